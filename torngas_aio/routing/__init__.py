"""Routing: Tornado's rules with the same results, found by an index instead of one by one.

    router.py      ApplicationRouter: rules in, `Resolved` out; hosts, nesting, foreign targets
    trie.py        an index of the routes that could match a path
    pattern.py     the literal parts and gaps of a pattern's matches
    matchers.py    the steps of one look-up, in the order of declaration
    route.py       Route and Resolved, the results
    signatures.py  checks that a handler's methods accept the groups of their pattern

Begin with `ApplicationRouter.resolve`.
"""

from torngas_aio.routing.route import Resolved, Route
from torngas_aio.routing.router import ApplicationRouter

__all__ = ["ApplicationRouter", "Resolved", "Route"]
