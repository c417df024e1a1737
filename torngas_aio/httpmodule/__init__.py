"""HTTP modules: hooks that are enabled for each route.

httpmodule.py  the base class, and the middleware that adds modules to routes
ratelimit.py   rate limits
"""

from torngas_aio.httpmodule.httpmodule import BaseHttpModule

__all__ = ["BaseHttpModule"]
