"""Settings of the login example. LOGIN_STORE chooses where sessions live: process, redis or memcached."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent

DEBUG = True  # for trying it out; secrets are then made for the run

INSTALLED_APPS = ("accounts",)

MIDDLEWARE_CLASSES = ("torngas_aio.middleware.session.SessionMiddleware",)

CACHES = {
    "default": {
        "BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache",
        "LOCATION": "login",
        "KEY_FUNCTION": "torngas_aio.cache.keys.hashed_key",  # takes keys that visitors typed
    },
    "process": {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache", "LOCATION": "sessions"},
    "redis": {
        "BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache",
        "LOCATION": os.environ.get("REDIS", "127.0.0.1:6379"),
    },
    "memcached": {
        "BACKEND": "torngas_aio.cache.backends.memcached.MemcachedCache",
        "LOCATION": os.environ.get("MEMCACHED", "127.0.0.1:11211").split(","),
    },
}

SESSION = {
    "session_cache_alias": os.environ.get("LOGIN_STORE", "process"),
    "session_name": "login",
    "absolute_expires": 30 * 86_400,
}

TORNADO_CONF = {
    "login_url": "/login",
    "template_path": str(HERE / "templates"),
    "static_path": str(HERE / "statics"),
    "xsrf_cookies": True,
}

TEMPLATE_CONFIG = {"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}

LOGGING_DIR = str(HERE / "logs")
