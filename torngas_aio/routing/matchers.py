"""The steps of one look-up, in the order of declaration.

PathStep      consecutive path rules, any number: one look-up in their index
MatcherStep   one rule with another matcher (host, any, the user's own): matched, then its target resolved
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
"""Most paths with groups in a step's cache; a full cache is cleared."""
MAX_RECENT_LENGTH = 128
"""Longer paths are not cached, to bound the memory that clients can use."""

__all__ = ["ForeignLeaf", "HandlerLeaf", "MatcherStep", "PathStep", "Resolver", "Step"]

Resolver = Callable[[HTTPServerRequest, dict[str, Any]], Resolved | None]
"""Resolves a request whose rule matched, with the rule's target parameters; None continues the search."""


class Step(Protocol):
    """A part of a router's rules, which resolves a request or leaves it to the next step."""

    def resolve(self, request: HTTPServerRequest) -> Resolved | None: ...


class MatcherStep:
    """A rule whose matcher may use more than the path."""

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
    """A path rule with a handler class: if its pattern matches, the search is over."""

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
        groups: tuple[Any, ...] = match.groups()
        if None in groups or "%" in path:
            values = [_unquote(text) for text in groups]
            texts: Sequence[Any] | None = None if self._names else _decode(values)
        else:  # PERF: the common case, without a call for each group
            values = [text.encode() for text in groups]
            texts = groups
        if self._names:
            return Resolved(self.route, (), MappingProxyType(dict(zip(self._names, values, strict=True))))
        return Resolved(self.route, tuple(values), texts=texts)


class ForeignLeaf:
    """A path rule with any other target, which may still decline the request."""

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
    """Consecutive path rules: whole paths in a dict, the others in a tree; the pattern itself decides.

    Results for recent paths are cached: they depend on the path only, except for foreign targets.

    Args:
        leaves: The rules in the order of declaration.
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
            self._resolve_now(path, found)

    def _mark_indexed(self) -> None:
        unbounded = set(self._tree.unbounded())
        for leaf in self._leaves:
            if leaf.route is not None:
                leaf.route.is_indexed = leaf not in unbounded

    def _resolve_now(self, path: str, literals: Sequence[HandlerLeaf | ForeignLeaf]) -> None:
        """Resolve *path* now, including rules with gaps; foreign targets are resolved for each request."""
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
        # `$` also matches before a final line feed, which shapes ignore: such a path is tried on all rules
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


def _decode(values: list[Any]) -> list[Any] | None:
    try:
        return [None if value is None else value.decode() for value in values]
    except UnicodeDecodeError:
        return None


def _unquote(text: str | None) -> Any:
    """Return a group's value as Tornado's bytes: percent-decoded, plus signs kept; None for an unmatched group."""
    if text is None:
        return None
    return unquote_to_bytes(text) if "%" in text else text.encode()
