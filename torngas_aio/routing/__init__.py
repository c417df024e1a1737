"""Which route a request takes: Tornado's rules and answers, found by index instead of one by one.

    router.py      ApplicationRouter: rules in, `Resolved` out; hosts, nesting, foreign targets
    trie.py        the routes that could match a path, whatever their number
    pattern.py     what a pattern's matches look like: literal parts and the gaps between
    matchers.py    the steps of one look-up, in the order of declaration
    route.py       Route and Resolved, the results
    signatures.py  whether a handler's methods take what their pattern gives them

Begin with `ApplicationRouter.resolve`.
"""

from torngas_aio.routing.route import Resolved, Route
from torngas_aio.routing.router import ApplicationRouter

__all__ = ["ApplicationRouter", "Resolved", "Route"]
