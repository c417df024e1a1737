"""Settings for development. What is not here has its default: see torngas_aio.global_settings."""

import os
from pathlib import Path

PROJECT_PATH = Path(__file__).resolve().parent.parent

DEBUG = True

INSTALLED_APPS = ("home",)

# In declared order for call and request hooks, in reverse for the rest: the first one here sees the end last.
MIDDLEWARE_CLASSES = (
    "middlewares.timing.TimingMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)

# Hooks around every route ...
COMMON_MODULES = ("httpmodules.nostore.NoStoreModule",)

# ... and around some: by a route's name or a regular expression of the path; `!` takes a common one out.
ROUTE_MODULES = {"index": ["!httpmodules.nostore.NoStoreModule"]}

TORNADO_CONF = {
    "cookie_secret": os.environ.get("COOKIE_SECRET", "__secret__"),  # for development only
    "template_path": str(PROJECT_PATH / "templates"),
    "static_path": str(PROJECT_PATH / "statics"),
    "xsrf_cookies": True,
}

TEMPLATE_CONFIG = {"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}

LOGGING_DIR = str(PROJECT_PATH / "logs")
