"""Tornado's application router, with an index instead of a linear search.

    rules (any order, any nesting)          steps, built at the first look-up and after each change
        (r"/a", A)            ┐
        (r"/b/(\\d+)", B)      ├──────────►  PathStep: index over A, B, C
        AnyMatches -> router  ┘ (C inside)
        HostMatches -> router ───────────►  MatcherStep: if the host matches, its router
        (r"/d", D)            ───────────►  PathStep: index over D

The first rule that matches, in the order of declaration, is used: as in Tornado.
"""

import difflib
import functools
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from inspect import isclass
from typing import Any, ParamSpec, TypeVar, cast

from tornado import web
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import AnyMatches, PathMatches, ReversibleRuleRouter, Rule
from tornado.web import RequestHandler

from torngas_aio._compat.tornado import BaseRouter, regex_of
from torngas_aio.exception import UrlError
from torngas_aio.routing.matchers import ForeignLeaf, HandlerLeaf, MatcherStep, PathStep, Resolver, Step
from torngas_aio.routing.route import NO_KWARGS, Resolved, Route, host_of, pattern_of, reverse_with_slash
from torngas_aio.utils.narrowing import is_list_or_tuple

__all__ = ["ApplicationRouter"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_MOST_COMPARED = 256  # characters of a path; comparing costs their number for each character of each pattern
_FIRST_SEGMENT = re.compile(r"\^?(/(?:[\w~-]|\\[.-])+)(?:/|\Z)").match


class ApplicationRouter(BaseRouter):
    """A router for handlers, hosts, nested and foreign routers; a look-up costs about the same with 10 or 5,000 routes.

    `rules` may be changed at any time by list methods or assignment; a rule's own `matcher` and `target` must not
    change after the first look-up.

    Args:
        application: The `tornado.web.Application` that creates the handlers.
        rules: `Rule`s, `URLSpec`s or tuples, as in Tornado; lists may be nested.

    Raises:
        UrlError: Two rules of one list have the same name.
    """

    def __init__(self, application: web.Application, rules: Any = None) -> None:
        self._steps: tuple[Step, ...] | None = None
        self._classes: dict[str, set[type[RequestHandler]]] = {}
        self._routes: dict[int, Route] = {}
        self._outer: list[ApplicationRouter] = []
        self._twins: dict[int, tuple[BaseRouter, ApplicationRouter]] = {}
        self._rules = _Rules()
        self._rules.watch(self._invalidate)
        super().__init__(application, rules)

    @property
    def rules(self) -> list[Rule]:
        """The rules, in the order in which they are tried."""
        return self._rules

    @rules.setter
    def rules(self, rules: Iterable[Rule]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # a list in Tornado
        self._rules = rules if isinstance(rules, _Rules) else _Rules(rules)
        self._rules.watch(self._invalidate)
        self._invalidate()

    def process_rule(self, rule: Rule) -> Rule:
        """Process one added rule; a list as its target becomes a nested router.

        Raises:
            UrlError: Its name is in use, or its table was refused.
        """
        UrlError.gather(getattr(rule, "faults", ()))
        known = self.named_rules.get(rule.name) if rule.name else None
        if known is not None and known is not rule:
            raise UrlError(
                f"{pattern_of(rule.matcher)!r} and {pattern_of(known.matcher)!r} are both named {rule.name!r}. "
                "Give one of them another name.",
                code="TGA203",
            )
        if known is None:
            rule = ReversibleRuleRouter.process_rule(self, rule)
        reverse_with_slash(rule.matcher)
        if is_list_or_tuple(rule.target):
            rule.target = type(self)(self.application, rule.target)
        return rule

    def resolve(self, request: HTTPServerRequest) -> Resolved | None:
        """Return the result for *request*; None if no rule matches.

        Uses `request.path`, and the parts of the request that the rules' matchers use. Foreign targets (routers, server
        delegates, callables) are asked for a delegate during the search, and may decline.
        """
        steps = self._steps
        for step in self._build_steps() if steps is None else steps:
            found = step.resolve(request)
            if found is not None:
                return found
        return None

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> HTTPMessageDelegate | None:
        found = self.resolve(request)
        if found is None or found.route is None:
            return None if found is None else found.delegate
        params: dict[str, object] = {"target_kwargs": found.route.kwargs} if found.route.kwargs else {}
        if found.path_args or found.path_kwargs:
            params |= {"path_args": list(found.path_args), "path_kwargs": dict(found.path_kwargs)}
        return self.get_target_delegate(found.route.handler_class, request, **params)

    def reverse_url(self, name: str, *args: object) -> str | None:
        """Return the URL of the rule *name*, None if there is none; an optional slash at its end is included."""
        if self._steps is None:
            self._build_steps()  # finds the rules of nested routers created by Tornado
        return super().reverse_url(name, *args)

    def routes(self) -> Iterator[Route]:
        """Yield every route in the order of declaration, those of nested routers in their place."""
        yield from self._iterate(None)

    def candidates(self, path: str, limit: int = 10) -> list[Route]:
        """Return up to *limit* routes whose patterns are most similar to *path*, best first; a common prefix counts."""
        path = path[:_MOST_COMPARED]
        matcher = difflib.SequenceMatcher(b=path, autojunk=False)

        def likeness(route: Route) -> float:
            matcher.set_seq1(route.pattern)
            return matcher.ratio() + _common_prefix(route.pattern, path)

        return sorted(self.routes(), key=likeness, reverse=True)[:limit]

    def classes_beside(self, path: str) -> Collection[type[RequestHandler]]:
        """Return the handler classes of routes with the first segment of *path*; without such routes, those of all."""
        known = self._classes
        if not known:
            for route in self.routes():
                segment = _FIRST_SEGMENT(route.pattern)
                for key in {"", segment[1].replace("\\", "") if segment else ""}:
                    known.setdefault(key, set()).add(route.handler_class)
        return known.get("/" + path[1:].partition("/")[0]) or known.get("") or ()

    def _iterate(self, host: str | None) -> Iterator[Route]:
        if self._steps is None:
            self._build_steps()  # sets `is_indexed`
        for rule in self._rules:
            inner_host = host_of(rule.matcher) or host
            nested = self._nested(rule.target)
            if nested is not None:
                yield from nested._iterate(inner_host)
            elif _is_handler(rule.target):
                route = self._route_of(rule)
                route.host = inner_host
                yield route

    def _invalidate(self) -> None:
        self._steps = None
        self._classes = {}
        for router in self._outer:
            router._invalidate()

    def _build_steps(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        leaves: list[HandlerLeaf | ForeignLeaf] = []
        for router, rule in self._flatten():
            regex = regex_of(rule.matcher) if type(rule.matcher) is PathMatches else None
            if regex is None:
                if leaves:
                    steps.append(PathStep(leaves))
                    leaves = []
                steps.append(MatcherStep(rule, router._resolver_of(rule)))
            elif _is_handler(rule.target):
                leaves.append(HandlerLeaf(len(leaves), router._route_of(rule), regex))
            else:
                leaves.append(ForeignLeaf(len(leaves), rule, router._resolver_of(rule), regex))
        if leaves:
            steps.append(PathStep(leaves))
        self._steps = tuple(steps)
        return self._steps

    def _flatten(self) -> Iterator[tuple["ApplicationRouter", Rule]]:
        """Yield the rules, those of routers under `AnyMatches` in the place of their router."""
        for rule in self._rules:
            nested = self._nested(rule.target)
            if nested is not None and type(rule.matcher) is AnyMatches:
                if self not in nested._outer:
                    nested._outer.append(self)
                yield from nested._flatten()
            else:
                yield self, rule

    def _nested(self, target: object) -> "ApplicationRouter | None":
        """Return *target* as a router whose rules can be indexed here; None for every other target."""
        if type(target) is BaseRouter and target.application is self.application:
            return self._twin_of(target)
        if not isinstance(target, ApplicationRouter) or target.application is not self.application:
            return None
        kind = type(target)
        is_plain = kind.find_handler is ApplicationRouter.find_handler and kind.resolve is ApplicationRouter.resolve
        return target if is_plain else None

    def _twin_of(self, router: BaseRouter) -> "ApplicationRouter":
        """Return a router that shares the rules of *router*, one made by `tornado.web.Application.add_handlers`."""
        known, twin = self._twins.get(id(router), (None, None))
        if known is not router or twin is None:
            twin = ApplicationRouter(self.application)
            twin.rules = router.rules
            twin.named_rules = router.named_rules
            for rule in router.named_rules.values():
                reverse_with_slash(rule.matcher)
            router.rules = twin.rules
            self._twins[id(router)] = (router, twin)
        return twin

    def _route_of(self, rule: Rule) -> Route:
        route = self._routes.get(id(rule))
        if route is None or route.rule is not rule or route.handler_class is not rule.target:
            route = self._routes[id(rule)] = Route(rule)
        return route

    def _resolver_of(self, rule: Rule) -> Resolver:
        nested = self._nested(rule.target)
        if nested is not None:
            return lambda request, target_params: nested.resolve(request)
        if _is_handler(rule.target):
            return functools.partial(_resolve_handler, self._route_of(rule))
        return functools.partial(self._resolve_foreign, rule.target)

    def _resolve_foreign(
        self, target: object, request: HTTPServerRequest, target_params: dict[str, object]
    ) -> Resolved | None:
        delegate = self.get_target_delegate(target, request, **target_params)
        return None if delegate is None else Resolved(None, delegate=delegate)


class _Rules(list[Rule]):
    """A list of rules that notifies its routers of every change."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        super().__init__(rules)
        self._watchers: list[Callable[[], None]] = []

    def watch(self, forget: Callable[[], None]) -> None:
        if forget not in self._watchers:
            self._watchers.append(forget)

    def notify(self) -> None:
        for forget in self._watchers:
            forget()


def _notifying(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the list method *method*, extended to notify the routers."""

    @functools.wraps(method)
    def changing(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        finally:
            cast("_Rules", args[0]).notify()

    return changing


for _name in (
    *("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"),
    *("__delitem__", "__iadd__", "__imul__", "__setitem__"),
):
    setattr(_Rules, _name, _notifying(getattr(list, _name)))


def _is_handler(target: object) -> bool:
    return isclass(target) and issubclass(target, RequestHandler)


def _common_prefix(pattern: str, path: str) -> float:
    """Return the common prefix of *pattern* and *path*, as a fraction of *path* from 0 to 1."""
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(pattern, path, strict=False)))
    return same / (len(path) or 1)


def _resolve_handler(route: Route, request: HTTPServerRequest, target_params: dict[str, Any]) -> Resolved:
    kwargs = target_params.pop("target_kwargs", route.kwargs)
    args, named = target_params.pop("path_args", None) or (), target_params.pop("path_kwargs", None) or NO_KWARGS
    if target_params:
        raise TypeError(
            f"{route.rule.matcher!r} answered with {sorted(target_params)!r}: a matcher for a handler may return "
            "path_args, path_kwargs and target_kwargs."
        )
    return Resolved(route if kwargs is route.kwargs else route.with_kwargs(kwargs), args, named)
