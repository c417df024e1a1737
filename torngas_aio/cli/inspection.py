"""What an application will do for a route: a path that leads to it, its hooks and modules.

Begin with `find_route` and `stages_of`.
"""

import re
from typing import Any

from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.web import StaticFileHandler

from torngas_aio.application import Application
from torngas_aio.exception import UrlError
from torngas_aio.handler import BaseHandler
from torngas_aio.http.request import Request
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.pipeline import RouteStages
from torngas_aio.routing import Route

__all__ = ["find_route", "handler_name", "is_foreign", "modules_of", "sample_path", "stages_of"]


def find_route(application: Application, wanted: str) -> tuple[Route | None, str]:
    """Return the route that *wanted* leads to, None where none does, and a path for it.

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
    request = Request(RequestStartLine("GET", wanted, "HTTP/1.1"), HTTPHeaders({"Host": "localhost"}), None)
    found = application.default_router.resolve(request)
    return (found.route if found is not None else None), request.path


def sample_path(route: Route) -> str | None:
    """Return a path that *route* matches; None where none is easily found."""
    pattern = re.sub(r"\\(.)", r"\1", re.sub(r"\(\?[aiLmsux]+\)|\^|/\?$", "", route.pattern))
    for filling in ("1", "a", ""):
        path = re.sub(r"\((?:[^()]|\([^()]*\))*\)[*+?]?", filling, pattern) or "/"
        if re.fullmatch(route.pattern, path):
            return path
    return None


def is_foreign(route: Route) -> bool:
    """Whether the handler is plain Tornado's: it gets the call hooks only."""
    return not issubclass(route.handler_class, BaseHandler)


def stages_of(application: Application, route: Route | None, path: str | None) -> RouteStages:
    """Return the compiled hooks of *route* for a request to *path*."""
    if route is None or issubclass(route.handler_class, StaticFileHandler):
        return application.pipeline.unrouted
    if is_foreign(route):
        return RouteStages({})
    mask = application.pipeline.mask_of(path) if path else 0
    return application.pipeline.stages_for(route.name, mask)


def modules_of(application: Application, route: Route, path: str | None) -> list[str]:
    """Return the names of the HTTP modules that run for *route*, in order."""
    if is_foreign(route) or issubclass(route.handler_class, StaticFileHandler):
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
