"""Paths that lead to a route, what comes before it, and the hooks and modules that run for it."""

from typing import Any

import pytest
from tornado.web import RequestHandler, StaticFileHandler

from torngas_aio import Application
from torngas_aio.exception import UrlError
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.operations.routes import (
    find_route,
    handler_name,
    modules_of,
    pipeline_of,
    place_of,
    sample_path,
    shadowing_route,
    stages_of,
)
from torngas_aio.routing import Route
from torngas_aio.urlhelper import Url


class Page(WebHandler):
    async def get(self, *args: str) -> None: ...


class Foreign(RequestHandler): ...


class Early(BaseMiddleware):
    before_body = True

    async def process_request(self, handler: Any, clear: Any) -> None: ...


class Late(BaseMiddleware):
    async def process_init(self, application: Any) -> None: ...
    async def process_call(self, request: Any, clear: Any) -> None: ...
    async def process_request(self, handler: Any, clear: Any) -> None: ...


def made(*rules: Any, middlewares: Any = (Early, Late)) -> Application:
    return Application(list(rules), middlewares=middlewares)


def routes_of(*rules: Any) -> list[Route]:
    return list(made(*rules).wildcard_router.routes())


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/"),
        ("/about", "/about"),
        (r"/post/(\d+)", "/post/1"),
        (r"/post/(?P<name>[a-z]+)/edit", "/post/a/edit"),
        (r"/(\d{4}-\d\d-\d\d)", "/2024-01-31"),
        (r"/files/(.*)", "/files/1"),
        (r"/a\.html", "/a.html"),
        (r"/page/?", "/page"),
        (r"/([A-Z]_\d)", "/A_9"),
        (r"/pages/((?:\w+/)?\w+\.html)", "/pages/x.html"),
        (r"/never/[^\s\S]", None),
    ],
)
def test_a_path_is_found_that_the_pattern_takes(pattern: str, path: str | None) -> None:
    (route,) = routes_of((pattern, Page))
    assert sample_path(route) == path


def test_a_path_leads_to_its_route_without_its_query() -> None:
    application = made(Url()(r"/post/(\d+)", Page, name="post"), ("/", Page))
    route, path = find_route(application, "/post/7?page=2")
    assert route is not None
    assert (route.name, path) == ("post", "/post/7")
    assert find_route(application, "/nowhere") == (None, "/nowhere")
    route, path = find_route(application, "post")
    assert route is not None
    assert (route.pattern, path) == (r"/post/(\d+)", "/post/1")


def test_a_name_that_no_route_has_is_refused_with_those_there_are() -> None:
    application = made(Url()("/b", Page, name="beta"), Url()("/a", Page, name="alpha"), ("/", Page))
    with pytest.raises(UrlError, match=r"No route is named 'gamma'\. Known are alpha, beta; a path starts with '/'\."):
        find_route(application, "gamma")
    with pytest.raises(UrlError, match="Known are none"):
        find_route(made(("/", Page)), "")


def test_a_route_behind_a_wider_one_is_shadowed() -> None:
    application = made((r"/post/(.*)", Page), (r"/post/new", Page), (r"/page", Page), (r"/(.*)", Page))
    shadows = [shadowing_route(application, route) for route in application.wildcard_router.routes()]
    assert [None if each is None else each.pattern for each in shadows] == [None, r"/post/(.*)", None, None]


def test_a_route_of_another_host_is_not_looked_at() -> None:
    application = made((r"/(.*)", Page))
    application.add_handlers(r"admin\.example", [("/post", Page)])
    of_host = [route for route in application.default_router.routes() if route.host == r"admin\.example"]
    assert [shadowing_route(application, route) for route in of_host] == [None]


def test_stages_come_in_the_order_in_which_they_run() -> None:
    application = made(Url()("/page", Page, name="page"))
    route, path = find_route(application, "page")
    steps = [
        (step.stage, step.when, [line.name for line in step.lines]) for step in pipeline_of(application, route, path)
    ]
    here = __name__
    assert steps == [
        ("init", "once, before the first request", [f"{here}.Late.process_init"]),
        ("call", "", [f"{here}.Late.process_call"]),
        ("route", "", ["/page  name page"]),
        ("request", "before the body is read", [f"{here}.Early.process_request"]),
        ("request", "once the body is read", [f"{here}.Late.process_request"]),
        ("handler", "", [f"{here}.Page"]),
    ]
    assert [step.stage for step in pipeline_of(application, None, "/nowhere")] == ["init", "call", "request", "request"]


def test_a_plain_handler_of_tornado_has_call_hooks_only() -> None:
    application = made(("/plain", Foreign), ("/static/(.*)", StaticFileHandler, {"path": "."}))
    plain, static = application.wildcard_router.routes()
    assert plain.is_foreign
    assert [step.stage for step in pipeline_of(application, plain, "/plain")] == ["init", "call", "route", "handler"]
    assert stages_of(application, static, "/static/x") is application.pipeline.unrouted
    assert modules_of(application, plain, "/plain") == modules_of(application, static, "/static/x") == []


def test_where_something_is_written_is_told_as_far_as_it_is_known() -> None:
    (route,) = routes_of(("/", Page))
    assert handler_name(route) == f"{__name__}.Page"
    file, _, line = place_of(route.handler_class).rpartition(":")
    assert file.endswith("test_routes.py")
    assert int(line) > 1
    assert place_of(len) == "?"
    assert place_of(type("Made", (), {"__module__": "no.such.module"})) == "?"
