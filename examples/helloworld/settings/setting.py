"""Settings for development; `setting_online` is for everything that others can reach."""

from pathlib import Path

PROJECT_PATH = Path(__file__).resolve().parent.parent

DEBUG = True

INSTALLED_APPS = ("hello", "guestbook")

MIDDLEWARE_CLASSES = (
    # The access log stands first: its endcall hook, run in reverse, is the last to run.
    "torngas_aio.middleware.accesslog.AccessLogMiddleware",
    "middlewares.timing.TimingMiddleware",
    "middlewares.sorry.SorryMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)

# Every matched route, unless it says otherwise.
COMMON_MODULES = (
    "httpmodules.language.LanguageModule",
    "httpmodules.auth.MembersOnlyModule",
)

ROUTE_MODULES = {
    # a route's name, as the URL tables give it
    "Index": ["!httpmodules.auth.MembersOnlyModule"],
    "Login": ["!httpmodules.auth.MembersOnlyModule"],
    # a regular expression, searched in the path
    "^/api/": ["!all", "httpmodules.quiet.NoStoreModule"],
}

TEMPLATE_CONFIG = {"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}

TORNADO_CONF = {
    "template_path": str(PROJECT_PATH / "templates"),
    "static_path": str(PROJECT_PATH / "statics"),
    "xsrf_cookies": True,
    "login_url": "/login",
}

LOGGING_DIR = str(PROJECT_PATH / "logs")
