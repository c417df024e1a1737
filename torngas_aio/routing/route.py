"""A route, and what a look-up answers."""

import copy
import re
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tornado.httputil import HTTPMessageDelegate
from tornado.routing import Matcher, PathMatches, Rule
from tornado.web import RequestHandler

from torngas_aio._compat.tornado import regex_of, rewrite_reversed
from torngas_aio.pipeline import RouteStages

__all__ = ["NO_KWARGS", "Resolved", "Route", "host_of", "pattern_of", "reverse_with_slash"]

_ENDS_WITH_OPTIONAL_SLASH = re.compile(r"/[?*]\??\$?\Z").search

NO_KWARGS: Mapping[str, bytes] = MappingProxyType({})


class Route:
    """One rule whose target is a handler class; made once, when the router is built.

    Attributes:
        rule: Tornado's rule, as the user wrote it.
        name: What `reverse_url` calls it, if anything.
        pattern: The path's regular expression without its closing `$`; for a rule without a path, its matcher's text.
        host: The host pattern of the group it stands in, without `$`; None outside of one.
        handler_class: The target.
        kwargs: What the handler is made with; shared, so copy before changing.
        is_foreign: Whether the target is plain Tornado's: it gets the call hooks only.
        is_indexed: False when every look-up that gets this far must try the rule's own matcher.
        pipelines: Compiled pipelines by the bit mask of their HTTP modules; the core's.
        counts: Where metrics note a request, by method and status; empty without them.
    """

    __slots__ = (
        "counts",
        "handler_class",
        "host",
        "is_foreign",
        "is_indexed",
        "kwargs",
        "name",
        "pattern",
        "pipelines",
        "rule",
    )

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name: str | None = rule.name
        self.pattern = pattern_of(rule.matcher)
        self.host = host_of(rule.matcher)
        self.handler_class: type[RequestHandler] = rule.target
        self.kwargs: dict[str, Any] = rule.target_kwargs
        self.is_foreign = not hasattr(rule.target, "_call_method")
        self.is_indexed = False
        self.pipelines: dict[int, RouteStages] = {}
        self.counts: dict[str, dict[int, Any]] = {}
        if binding := sys.modules.get("torngas_aio.api.binding"):  # else no marker was imported, and none declared
            binding.bind_methods(self.handler_class)

    def with_kwargs(self, kwargs: dict[str, object]) -> "Route":
        """Return this route, pipelines included, for one request whose matcher chose the handler's *kwargs*."""
        route = copy.copy(self)
        route.kwargs = kwargs
        return route

    def __repr__(self) -> str:
        name = "" if self.name is None else f" name={self.name!r}"
        return f"<Route {self.pattern!r} {self.handler_class.__name__}{name}>"


class Resolved:
    """What a request's path led to; read-only, and shared between requests where nothing differs.

    Attributes:
        route: The route, or None for a foreign target.
        path_args: Unnamed groups, url-unescaped; None for a group that took no part.
        path_kwargs: Named groups, likewise.
        delegate: What a foreign target (a router, server delegate or callable) answered with.
    """

    __slots__ = ("delegate", "path_args", "path_kwargs", "route")

    def __init__(
        self,
        route: Route | None,
        path_args: Sequence[bytes] = (),
        path_kwargs: Mapping[str, bytes] = NO_KWARGS,
        delegate: HTTPMessageDelegate | None = None,
    ) -> None:
        self.route = route
        self.path_args = path_args
        self.path_kwargs = path_kwargs
        self.delegate = delegate

    def __repr__(self) -> str:
        target = self.delegate if self.route is None else self.route
        return f"<Resolved {target!r} {list(self.path_args)} {dict(self.path_kwargs)}>"


def pattern_of(matcher: Matcher) -> str:
    """Return the text that shows a reader what *matcher* takes."""
    if isinstance(matcher, PathMatches):
        return regex_of(matcher).pattern.removesuffix("$")
    return type(matcher).__name__


def host_of(matcher: Matcher) -> str | None:
    """Return the host pattern that *matcher* asks for, without its `$`; None for any host."""
    pattern = getattr(matcher, "host_pattern", None)
    return None if pattern is None else str(pattern.pattern).removesuffix("$")


def reverse_with_slash(matcher: Matcher) -> None:
    """Have *matcher* reverse a pattern's optional parts to addresses that hold them; Tornado's hold the `?` as well.

    `/a/?` is `/a/`, and `/a/(\\d+)?` with 7 is `/a/7`. A `?` that the pattern escapes stays.
    """
    if not isinstance(matcher, PathMatches):
        return
    pattern = regex_of(matcher).pattern

    def with_optional_parts(path: str) -> str:
        if _ENDS_WITH_OPTIONAL_SLASH(pattern):
            path = path.rstrip("?*")
        return path if r"\?" in pattern else path.replace("?", "")

    rewrite_reversed(matcher, with_optional_parts)
