"""Settings of the tasks example."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent

DEBUG = True  # for trying it out; the secret is then made for the run, and the API's page is answered

INSTALLED_APPS = ("tracker",)

MIDDLEWARE_CLASSES = ("torngas_aio.middleware.security.SecurityHeadersMiddleware",)

TORNADO_CONF = {
    "template_path": str(HERE / "templates"),
    "xsrf_cookies": False,  # pages of other sites are refused by the headers that browsers send
    "cross_origin_protection": True,
}

TEMPLATE_CONFIG = {"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}

OPENAPI = {"title": "Tasks", "version": "1.0"}

UPLOADS = os.environ.get("TASKS_UPLOADS", str(HERE / "uploads"))

LOGGING_DIR = str(HERE / "logs")
