"""The steps of one look-up, in the order of declaration.

PathStep      a run of path rules, however long: one look-up in its index
MatcherStep   one rule with another matcher (host, any, the user's own): asked, then gone into
"""

import re
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPServerRequest
from tornado.routing import Rule

from torngas_aio.routing.pattern import shapes_of
from torngas_aio.routing.route import Resolved, Route
from torngas_aio.routing.trie import RouteTree

MAX_RECENT = 512
"""How many paths with groups a step remembers; when it is full it forgets all of them."""
MAX_RECENT_LENGTH = 128
"""Longer paths are not remembered, so what a client can make us hold stays small."""

__all__ = ["ForeignLeaf", "HandlerLeaf", "MatcherStep", "PathStep", "Resolver", "Step"]

Resolver = Callable[[HTTPServerRequest, dict[str, Any]], Resolved | None]
"""Takes a request that a rule matched, and the rule's target parameters; answers None to have the search go on."""


class Step(Protocol):
    """A part of a router's rules that answers, or passes the request on to the next."""

    def resolve(self, request: HTTPServerRequest) -> Resolved | None: ...


class MatcherStep:
    """A rule whose matcher looks at more than the path."""

    __slots__ = ("_resolver", "_rule")

    def __init__(self, rule: Rule, resolver: Resolver) -> None:
        self._rule = rule
        self._resolver = resolver

    def resolve(self, request: HTTPServerRequest) -> Resolved | None:
        target_params = self._rule.matcher.match(request)
        if target_params is None:
            return None
        if self._rule.target_kwargs:
            target_params["target_kwargs"] = self._rule.target_kwargs
        return self._resolver(request, target_params)


class HandlerLeaf:
    """A path rule with a handler class: when its pattern matches, the search is over."""

    __slots__ = ("_match", "_names", "_shared", "order", "regex", "route")

    is_final = True

    def __init__(self, order: int, route: Route, regex: re.Pattern[str]) -> None:
        self.order = order
        self.route: Route = route
        self.regex = regex
        self._match = regex.match
        self._names = sorted(regex.groupindex, key=regex.groupindex.__getitem__)
        self._shared = None if regex.groups else Resolved(route)

    def resolve(self, path: str, request: HTTPServerRequest | None) -> Resolved | None:
        match = self._match(path)
        if match is None:
            return None
        if self._shared is not None:
            return self._shared
        groups: tuple[str | None, ...] = match.groups()
        if None in groups or "%" in path:
            values = [_unquoted(text) for text in groups]
        else:  # PERF: the common case, without a call for each group
            values = [text.encode() for text in groups]  # type: ignore[union-attr]
        if self._names:
            return Resolved(self.route, (), MappingProxyType(dict(zip(self._names, values, strict=True))))
        return Resolved(self.route, tuple(values))


class ForeignLeaf:
    """A path rule with any other target: it may still pass the request on."""

    __slots__ = ("_resolver", "_step", "order", "regex")

    is_final = False
    route = None

    def __init__(self, order: int, rule: Rule, resolver: Resolver, regex: re.Pattern[str]) -> None:
        self.order = order
        self.regex = regex
        self._step = MatcherStep(rule, resolver)

    def resolve(self, path: str, request: HTTPServerRequest) -> Resolved | None:
        return self._step.resolve(request)


class PathStep:
    """A run of path rules: whole paths in a dict, the rest in a tree, the pattern itself decides.

    Paths asked for lately are found at once: what a path leads to depends on nothing else, foreign targets aside.

    Args:
        leaves: In the order of declaration.
    """

    __slots__ = ("_chains", "_fixed", "_leaves", "_recent", "_tree")

    def __init__(self, leaves: Sequence[HandlerLeaf | ForeignLeaf]) -> None:
        self._leaves = leaves
        self._tree: RouteTree[HandlerLeaf | ForeignLeaf] = RouteTree()
        literals: dict[str, list[HandlerLeaf | ForeignLeaf]] = {}
        for leaf in leaves:
            for shape in shapes_of(leaf.regex):
                if shape.literal is None:
                    self._tree.add(shape, leaf)
                else:
                    literals.setdefault(shape.literal, []).append(leaf)
        self._tree.freeze()
        self._mark_indexed()
        self._fixed: dict[str, Resolved] = {}
        self._recent: dict[str, Resolved] = {}
        self._chains: dict[str, Sequence[HandlerLeaf | ForeignLeaf]] = {}
        for path, found in literals.items():
            self._settle(path, found)

    def _mark_indexed(self) -> None:
        unbounded = set(self._tree.unbounded())
        for leaf in self._leaves:
            if leaf.route is not None:
                leaf.route.is_indexed = leaf not in unbounded

    def _settle(self, path: str, literals: Sequence[HandlerLeaf | ForeignLeaf]) -> None:
        """Find out now what *path* leads to, rules with gaps included; foreign targets are asked each time."""
        chain = sorted({*literals, *self._tree.candidates(path)}, key=lambda leaf: leaf.order)
        chain = [leaf for leaf in chain if leaf.regex.match(path)]
        if chain and isinstance(chain[0], HandlerLeaf):
            found = chain[0].resolve(path, None)
            assert found is not None
            self._fixed[path] = found
        elif chain:
            self._chains[path] = chain

    def resolve(self, request: HTTPServerRequest) -> Resolved | None:
        path = request.path
        found = self._fixed.get(path) or self._recent.get(path)
        if found is not None:
            return found
        # `$` also matches before a last line feed, which shapes do not know: such a path is tried on all
        known = self._leaves if "\n" in path else self._chains.get(path)
        is_certain = True
        for leaf in known or self._tree.candidates(path):
            found = leaf.resolve(path, request)
            is_certain = is_certain and leaf.is_final
            if found is not None:
                if is_certain:
                    self._remember(path, found)
                return found
        return None

    def _remember(self, path: str, found: Resolved) -> None:
        if len(path) <= MAX_RECENT_LENGTH:
            if len(self._recent) >= MAX_RECENT:
                self._recent.clear()
            self._recent[path] = found


def _unquoted(text: str | None) -> Any:
    """Tornado's bytes of a group: url-unescaped, a plus kept; None for a group that took no part."""
    if text is None:
        return None
    return unquote_to_bytes(text) if "%" in text else text.encode()
