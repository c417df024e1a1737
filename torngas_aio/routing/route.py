"""A route, and the result of a look-up."""

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
    """One rule whose target is a handler class; created once, when the router is built.

    Attributes:
        rule: Tornado's rule, as declared.
        name: The name for `reverse_url`, if any.
        pattern: The path's regular expression without its closing `$`; for a rule without a path, its matcher's class.
        host: The host pattern of its group, without `$`; None outside of a group.
        handler_class: The target.
        kwargs: The handler's keywords; shared between requests: copy before changing.
        is_foreign: Whether the target is a plain Tornado handler, to which only the call hooks apply.
        is_indexed: False if every look-up that reaches the rule must try its own matcher.
        pipelines: Compiled pipelines by the bit mask of their HTTP modules; used by the core only.
        counts: The metrics of its requests, by method and status; empty without metrics.
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
        if binding := sys.modules.get("torngas_aio.api.binding"):  # otherwise no method uses a marker
            binding.bind_methods(self.handler_class)

    def with_kwargs(self, kwargs: dict[str, object]) -> "Route":
        """Return this route, pipelines included, for one request whose matcher has set the handler's *kwargs*."""
        route = copy.copy(self)
        route.kwargs = kwargs
        return route

    def __repr__(self) -> str:
        name = "" if self.name is None else f" name={self.name!r}"
        return f"<Route {self.pattern!r} {self.handler_class.__name__}{name}>"


class Resolved:
    """The result for a request; read-only, and shared between requests with the same result.

    Attributes:
        route: The route, or None for a foreign target.
        path_args: Unnamed groups, percent-decoded; None for an unmatched group.
        path_kwargs: Named groups, likewise.
        texts: `path_args` as text; None if not known, or not UTF-8.
        delegate: The delegate returned by a foreign target (a router, server delegate or callable).
    """

    __slots__ = ("delegate", "path_args", "path_kwargs", "route", "texts")

    def __init__(
        self,
        route: Route | None,
        path_args: Sequence[bytes] = (),
        path_kwargs: Mapping[str, bytes] = NO_KWARGS,
        delegate: HTTPMessageDelegate | None = None,
        texts: Sequence[Any] | None = None,
    ) -> None:
        self.route = route
        self.path_args = path_args
        self.path_kwargs = path_kwargs
        self.delegate = delegate
        self.texts = texts

    def __repr__(self) -> str:
        target = self.delegate if self.route is None else self.route
        return f"<Resolved {target!r} {list(self.path_args)} {dict(self.path_kwargs)}>"


def pattern_of(matcher: Matcher) -> str:
    """Return a readable text of the pattern or class of *matcher*."""
    if isinstance(matcher, PathMatches):
        return regex_of(matcher).pattern.removesuffix("$")
    return type(matcher).__name__


def host_of(matcher: Matcher) -> str | None:
    """Return the host pattern of *matcher*, without its `$`; None for any host."""
    pattern = getattr(matcher, "host_pattern", None)
    return None if pattern is None else str(pattern.pattern).removesuffix("$")


def reverse_with_slash(matcher: Matcher) -> None:
    """Make *matcher* reverse optional parts of its pattern to their text; Tornado would leave a `?` in the URL.

    `/a/?` becomes `/a/`, and `/a/(\\d+)?` with 7 becomes `/a/7`. An escaped `?` of the pattern stays.
    """
    if not isinstance(matcher, PathMatches):
        return
    pattern = regex_of(matcher).pattern

    def with_optional_parts(path: str) -> str:
        if _ENDS_WITH_OPTIONAL_SLASH(pattern):
            path = path.rstrip("?*")
        return path if r"\?" in pattern else path.replace("?", "")

    rewrite_reversed(matcher, with_optional_parts)
