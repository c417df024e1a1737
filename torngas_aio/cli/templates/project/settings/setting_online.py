"""Settings for the world: no debug pages, and secrets from the environment only."""

import os

from settings.setting import *  # noqa: F403
from settings.setting import TORNADO_CONF as DEVELOPMENT

DEBUG = False

TORNADO_CONF = {**DEVELOPMENT, "cookie_secret": os.environ.get("COOKIE_SECRET")}
