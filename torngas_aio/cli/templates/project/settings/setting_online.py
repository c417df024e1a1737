"""Settings for the world: no debug pages; secrets from the environment, or from the files that `*_FILE` names."""

import os

from settings.setting import *  # noqa: F403
from settings.setting import MIDDLEWARE_CLASSES as DEVELOPED_WITH
from settings.setting import TORNADO_CONF as DEVELOPMENT
from torngas_aio.utils.environment import database_of, secret

DEBUG = False

TORNADO_CONF = {
    **DEVELOPMENT,
    "cookie_secret": secret("COOKIE_SECRET"),
    "xsrf_cookie_kwargs": {"secure": True},
}
SESSION = {"secret_key": secret("SECRET_KEY"), "secure": True}

MIDDLEWARE_CLASSES = (
    *(["torngas_aio.middleware.security.AllowedHostsMiddleware"] if os.environ.get("ALLOWED_HOSTS") else []),
    "torngas_aio.middleware.security.SecurityHeadersMiddleware",
    *DEVELOPED_WITH,
)
ALLOWED_HOSTS = tuple(filter(None, os.environ.get("ALLOWED_HOSTS", "").split(",")))
SECURITY_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}
TRUSTED_PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto")

if url := secret("DATABASE_URL"):
    DATABASE_CONNECTION = {"default": {"connections": [database_of(url)]}}

if url := secret("REDIS_URL"):
    CACHES = {"default": {"BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache", "LOCATION": url}}
    SESSION["session_cache_alias"] = "default"

LOGGING_DIR = os.environ.get("LOGGING_DIR", "")  # empty: every line goes to stderr
