"""HTTP modules: hooks that turn on and off per route.

base.py       the base class         httpmodule.py        the middleware that adds modules to routes
ratelimit.py  requests for each time
"""

from torngas_aio.httpmodule.base import BaseHttpModule

__all__ = ["BaseHttpModule"]
