"""Settings of the laboratory's site; `LAB`, a JSON object in the environment, replaces any of them."""

import json
import os
import time
from typing import Any

_lab: dict[str, Any] = json.loads(os.environ["LAB"])

_true_time, _clock = time.time, float(os.environ["LAB_CLOCK"])
time.time = lambda: _true_time() + _clock

INSTALLED_APPS = ("board",)

MIDDLEWARE_CLASSES = (
    "torngas_aio.middleware.accesslog.AccessLogMiddleware",
    "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware",
    "torngas_aio.middleware.session.SessionMiddleware",
)

SESSION = {"session_cache_alias": "default", "secret_key": "the-laboratory's-own-secret-of-sessions"}
TORNADO_CONF = {"cookie_secret": "the-laboratory's-own-secret-of-cookies"}
ATOMIC_REQUESTS = True
LOGGING_DIR = os.environ["LAB_LOGS"]

globals().update(_lab)
