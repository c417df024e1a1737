"""The processing of a route: a sample path, its hooks and HTTP modules, and routes that shadow it."""

import functools
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.web import StaticFileHandler

from torngas_aio._project_errors import shortened
from torngas_aio.application import Application
from torngas_aio.exception import UrlError
from torngas_aio.http.request import Request
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.pipeline import Hook, RouteStages
from torngas_aio.routing import Route

__all__ = [
    "Line",
    "Step",
    "find_route",
    "handler_name",
    "modules_of",
    "pipeline_of",
    "place_of",
    "sample_path",
    "shadowing_route",
    "stages_of",
]

_FILLINGS = ("1", "a", "", "a-b", "2024-01-31", "A_9", "x/y", "x.html")
"""Values for a pattern's groups in sample paths."""


@dataclass(frozen=True, slots=True)
class Line:
    """One function, class or pattern of a step, and the file and line of its source; "" if unknown."""

    name: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a pipeline.

    Attributes:
        stage: A stage of hooks, such as "request", or "route" or "handler".
        when: Time of the step, such as "once the body is read"; may be empty.
        lines: Its hooks in order.
    """

    stage: str
    when: str
    lines: tuple[Line, ...]


def pipeline_of(application: Application, route: Route | None, path: str) -> Iterator[Step]:
    """Yield the steps of a request to *path*, which matches *route*, in order; stages without hooks are skipped."""
    stages, pipeline = stages_of(application, route, path), application.pipeline
    hooks = stages.hooks
    early = len(stages.before_body)
    steps = [
        _step("init", pipeline.init, "once, before the first request"),
        _step("call", pipeline.call_hooks),
        None if route is None else Step("route", "", (Line(_route_text(route)),)),
        _step("request", hooks["request"][:early], "before the body is read"),
        _step("request", hooks["request"][early:], "once the body is read" if early else ""),
        None if route is None else Step("handler", "", (Line(handler_name(route), place_of(route.handler_class)),)),
        _step("render", hooks["render"], "at each render"),
        _step("response", hooks["response"]),
        _step("endcall", hooks["endcall"]),
        _step("exception", hooks["exception"], "if anything raises"),
        _step("shutdown", pipeline.shutdown, "once, after the last request"),
    ]
    yield from (step for step in steps if step is not None)


def _step(stage: str, hooks: tuple[Hook, ...], when: str = "") -> Step | None:
    lines = tuple(Line(str(hook), shortened(hook.location)) for hook in hooks)
    return Step(stage, when, lines) if lines else None


def _route_text(route: Route) -> str:
    return route.pattern + (f"  name {route.name}" if route.name else "")


def place_of(function: Any) -> str:
    """Return file and line of the source of *function*, or of a class; "?" if there is no source."""
    return shortened(_place_of(function))


@functools.lru_cache(1024)  # `inspect` parses the whole file to find a class
def _place_of(function: Any) -> str:
    try:
        found = inspect.unwrap(function)
        path, line = inspect.getsourcefile(found), inspect.getsourcelines(found)[1]
    except (TypeError, OSError):
        return "?"
    return f"{path}:{line}"


def find_route(application: Application, wanted: str) -> tuple[Route | None, str]:
    """Return the route for *wanted*, None if no route matches, and a path that matches it.

    Args:
        wanted: A path, which starts with a slash and may have a query string; or a route's name.

    Raises:
        UrlError: No route has this name.
    """
    if not wanted.startswith("/"):
        for route in application.wildcard_router.routes():
            if route.name == wanted:
                return route, sample_path(route) or route.pattern
        names = sorted(route.name for route in application.wildcard_router.routes() if route.name)
        raise UrlError(f"No route is named {wanted!r}. Known are {', '.join(names) or 'none'}; a path starts with '/'.")
    request = _request_to(wanted)
    found = application.default_router.resolve(request)
    return (found.route if found is not None else None), request.path


def shadowing_route(application: Application, route: Route) -> Route | None:
    """Return the route that matches every sample path of *route* before it does; None if *route* is reachable."""
    taken: list[Route | None] = []
    for path in _sample_paths(route) if route.host is None else ():
        found = application.default_router.resolve(_request_to(path))
        taken.append(None if found is None else found.route)
    others = [other for other in taken if other is not None and other.rule is not route.rule]
    return others[0] if others and len(others) == len(taken) else None


def _request_to(path: str) -> Request:
    return Request(RequestStartLine("GET", path, "HTTP/1.1"), HTTPHeaders({"Host": "localhost"}), None)


def sample_path(route: Route) -> str | None:
    """Return a path that *route* matches; None if none of the fillings gives one."""
    return next(_sample_paths(route), None)


def _sample_paths(route: Route) -> Iterator[str]:
    pattern = re.sub(r"\\(.)", r"\1", re.sub(r"\(\?[aiLmsux]+\)|\^|/\?$", "", route.pattern))
    for filling in _FILLINGS:
        path = re.sub(r"\((?:[^()]|\([^()]*\))*\)[*+?]?", filling, pattern) or "/"
        if re.fullmatch(route.pattern, path):
            yield path


def stages_of(application: Application, route: Route | None, path: str | None) -> RouteStages:
    """Return the compiled hooks of *route* for a request to *path*."""
    if route is None or issubclass(route.handler_class, StaticFileHandler):
        return application.pipeline.unrouted
    if route.is_foreign:
        return RouteStages({})
    mask = application.pipeline.mask_of(path) if path else 0
    return application.pipeline.stages_for(route.name, mask)


def modules_of(application: Application, route: Route, path: str | None) -> list[str]:
    """Return the names of the HTTP modules that run for *route*, in order."""
    if route.is_foreign or issubclass(route.handler_class, StaticFileHandler):
        return []
    names: list[str] = []
    for middleware in application.pipeline.middlewares:
        if isinstance(middleware, HttpModuleMiddleware):
            patterns = enumerate(middleware.path_patterns)
            matched = frozenset(index for index, pattern in patterns if path and pattern.search(path))
            names.extend(_short(module) for module in middleware.modules_for(route.name, matched))
    return names


def handler_name(route: Route) -> str:
    """Return module and class of the handler."""
    return f"{route.handler_class.__module__}.{route.handler_class.__qualname__}"


def _short(module: Any) -> str:
    return module.rpartition(".")[2] if isinstance(module, str) else str(module.__name__)
