"""Settings of the tracker: SQLite and this process alone, or more by environment variables.

TRACKER_REDIS=127.0.0.1:6379            sessions, live updates and jobs for any number of servers
TRACKER_DATABASE=mysql+aiomysql://user:password@host:3306/name, or postgresql+asyncpg://...
TRACKER_SECRET, TRACKER_URL             in production, with TRACKER_DEBUG=0
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from torngas_aio.auth import PermissionRequired

HERE = Path(__file__).resolve().parent
REDIS = os.environ.get("TRACKER_REDIS")
DATABASE = os.environ.get("TRACKER_DATABASE")
DATA = Path(os.environ.get("TRACKER_DATA", HERE))  # the database of SQLite, uploads, mails that are not sent

DEBUG = os.environ.get("TRACKER_DEBUG", "1") == "1"  # with DEBUG, a secret is made for the run where none is set
SECRET = os.environ.get("TRACKER_SECRET")
BASE_URL = os.environ.get("TRACKER_URL", "http://127.0.0.1:8000")

INSTALLED_APPS = ("accounts", "tracker")

MIDDLEWARE_CLASSES = (
    "torngas_aio.middleware.accesslog.AccessLogMiddleware",
    "torngas_aio.middleware.security.SecurityHeadersMiddleware",
    "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware",
    "torngas_aio.middleware.session.SessionMiddleware",
    "torngas_aio.auth.AuthMiddleware",
    "tracker.setup.SetUpMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)

COMMON_MODULES = ("torngas_aio.auth.LoginRequired",)  # every page, unless a route says otherwise
ROUTE_MODULES = {
    "^/accounts/": ["!torngas_aio.auth.LoginRequired"],  # its pages for users ask for a login themselves
    "^/-/": ["!torngas_aio.auth.LoginRequired"],  # health checks, and with DEBUG the API's document
    "admin": [PermissionRequired("admin.use")],
}


def _database() -> dict[str, object]:
    if not DATABASE:
        return {"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(DATA / "tracker.db")}
    server = urlsplit(DATABASE)
    return {
        "ROLE": "master",
        "DRIVER": server.scheme,
        "UID": unquote(server.username or ""),
        "PASSWD": unquote(server.password or ""),
        "HOST": server.hostname,
        "PORT": server.port,
        "DATABASE": server.path.lstrip("/"),
    }


DATABASE_CONNECTION = {"default": {"connections": [_database()]}}
ATOMIC_REQUESTS = True  # one commit for each request; messages, jobs and mails go out after it

if REDIS:
    CACHES = {"default": {"BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache", "LOCATION": REDIS}}
    CHANNELS = {
        "default": {
            "BACKEND": "torngas_aio.channels.redis.RedisChannels",
            "LOCATION": f"redis://{REDIS}/1",
            "OPTIONS": {"HISTORY": 1000},
        }
    }
    JOBS = {"default": {"BACKEND": "torngas_aio.jobs.redis.RedisJobs", "LOCATION": f"redis://{REDIS}/2"}}

SESSION = {"session_cache_alias": "default", "session_name": "tracker", "secret_key": SECRET}

AUTH = {
    "load_user": "accounts.models.load_user",
    "has_permission": "accounts.models.has_permission",
    "login_url": "/accounts/login",
}

TORNADO_CONF = {
    "cookie_secret": SECRET,
    "template_path": str(HERE / "templates"),
    "static_path": str(HERE / "statics"),
    "xsrf_cookies": False,  # pages of other sites are refused by the headers that browsers send
    "cross_origin_protection": True,
}

TEMPLATE_CONFIG = {"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}

OPENAPI = {"title": "Tracker", "version": "1.0"}

UPLOADS = str(DATA / "uploads")
MAIL_SERVER = os.environ.get("TRACKER_MAIL_SERVER", "")
MAIL_FROM = "tracker@example.com"
MAIL_FOLDER = str(DATA / "mails")

LOGGING_DIR = str(HERE / "logs")
