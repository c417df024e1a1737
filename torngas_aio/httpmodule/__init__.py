"""HTTP modules: hooks that turn on and off per route.

httpmodule.py  the base class, and the middleware that adds modules to routes
ratelimit.py   requests for each time
"""

from torngas_aio.httpmodule.httpmodule import BaseHttpModule

__all__ = ["BaseHttpModule"]
