"""Which route a request takes: Tornado's rules and answers, found by index instead of one by one.

    router.py   ApplicationRouter: rules in, `Resolved` out; hosts, nesting, foreign targets
    index.py    PathIndex: the routes that could match a path, whatever their number
    shape.py    what a pattern must look like: its literal parts and the gaps between
    route.py    Route and Resolved, the values that serve

Begin with `ApplicationRouter.resolve`.
"""

from torngas_aio.routing.route import Resolved, Route
from torngas_aio.routing.router import ApplicationRouter

__all__ = ["ApplicationRouter", "Resolved", "Route"]
