"""Settings for a server that others can reach: no debug pages, and a secret from outside the code."""

import os

from settings.setting import *  # noqa: F403  the rest is as in development
from settings.setting import TORNADO_CONF

DEBUG = False

TORNADO_CONF = {**TORNADO_CONF, "cookie_secret": os.environ.get("HELLO_COOKIE_SECRET")}
