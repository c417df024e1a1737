"""Settings of the blog: SQLite beside this project, or MariaDB with one environment variable.

BLOG_MARIADB=master:3306,slave:3307,slave:3308 names the servers: the first is the master, the others its slaves.
BLOG_USER, BLOG_PASSWORD and BLOG_DATABASE go with it.
"""

import os
from pathlib import Path

PROJECT_PATH = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("BLOG_DEBUG", "1") == "1"

INSTALLED_APPS = ("blog",)

MIDDLEWARE_CLASSES = (
    "torngas_aio.middleware.accesslog.AccessLogMiddleware",
    "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware",
    "torngas_aio.middleware.session.SessionMiddleware",
    "blog.setup.SetUpMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)

ROUTE_MODULES = {"^/admin": ["httpmodules.author.AuthorModule"]}


def _connections() -> list[dict[str, object]]:
    servers = os.environ.get("BLOG_MARIADB", "")
    if not servers:
        return [
            {
                "ROLE": "master",
                "DRIVER": "sqlite+aiosqlite",
                "DATABASE": os.environ.get("BLOG_SQLITE", str(PROJECT_PATH / "blog.db")),
            }
        ]
    found: list[dict[str, object]] = []
    for number, server in enumerate(servers.split(",")):
        host, _, port = server.partition(":")
        found.append(
            {
                "ROLE": "slave" if number else "master",
                "DRIVER": "mysql+aiomysql",
                "UID": os.environ.get("BLOG_USER", "root"),
                "PASSWD": os.environ.get("BLOG_PASSWORD", ""),
                "HOST": host,
                "PORT": int(port or 3306),
                "DATABASE": os.environ.get("BLOG_DATABASE", "blog"),
                "QUERY": {"charset": "utf8mb4"},
            }
        )
    return found


DATABASE_CONNECTION = {"default": {"connections": _connections()}}

ATOMIC_REQUESTS = True  # committed before the first byte: a failed commit is an error page, never a lost "saved"
STICK_TO_MASTER = 5  # whoever has just written reads from the master, though the slaves lag

SESSION = {
    "session_cache_alias": "session_loccache",
    "session_name": "blog",
    "secret_key": os.environ.get("BLOG_SECRET"),
}

TEMPLATE_CONFIG = {"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}

TORNADO_CONF = {
    "cookie_secret": os.environ.get("BLOG_SECRET"),
    "template_path": str(PROJECT_PATH / "templates"),
    "static_path": str(PROJECT_PATH / "statics"),
    "xsrf_cookies": True,
    "login_url": "/login",
}

LOGGING_DIR = str(PROJECT_PATH / "logs")
