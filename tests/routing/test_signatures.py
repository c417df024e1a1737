"""A handler's methods against their pattern, before the first request."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from tornado import gen
from tornado.routing import HostMatches
from tornado.web import RedirectHandler, RequestHandler, StaticFileHandler, authenticated

from torngas_aio.application import Application
from torngas_aio.handler import ApiHandler, ErrorHandler, WebHandler, WebSocketHandler
from torngas_aio.routing.signatures import signature_findings


class NoArgument(WebHandler):
    async def get(self) -> None: ...


class OneArgument(WebHandler):
    async def get(self, key: str) -> None: ...


class Authenticated(WebHandler):
    @authenticated
    async def get(self) -> None: ...


class Coroutine(RequestHandler):
    @gen.coroutine
    def get(self) -> Any: ...


class Socket(WebSocketHandler):
    async def open(self) -> None: ...


class NamedOnly(ApiHandler):
    async def get(self, *, key: str) -> None: ...


class Optional(WebHandler):
    async def get(self, key: str = "", *rest: str) -> None: ...


class Both(WebHandler):
    async def get(self, key: str | None = None) -> None: ...

    async def put(self, key: str) -> None: ...


def passing_a_user(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(self: Any, *args: Any) -> Any:
        return method(self, "user", *args)

    return wrapper


class Decorated(WebHandler):
    @passing_a_user
    async def get(self, user: str, key: str) -> None: ...


def findings(pattern: str, handler: type[RequestHandler], **kwargs: Any) -> tuple[list[str], list[str]]:
    return signature_findings(Application([(pattern, handler, kwargs)]).wildcard_router.routes())


@pytest.mark.parametrize(
    ("pattern", "handler", "told"),
    [
        (r"/a/(\d+)", NoArgument, "'/a/(\\\\d+)' gives 1 argument, which "),
        (r"/a/(\d+)", Authenticated, "Authenticated.get(self) -> None ("),
        (r"/a/(\d+)", Coroutine, "Coroutine.get(self)"),
        (r"/a/(\d+)", Socket, "Socket.open(self)"),
        (r"/a/(\d+)/(\d+)", OneArgument, "gives 2 arguments, which "),
        (r"/a", OneArgument, "gives no arguments, which "),
        (r"/a/(?P<id>\d+)", OneArgument, "gives the arguments id, which "),
        (r"/a/(\d+)", NamedOnly, "NamedOnly.get(self, *, key: str)"),
    ],
)
def test_a_route_that_never_works_is_a_fault(pattern: str, handler: type[RequestHandler], told: str) -> None:
    """With the pattern, the method's signature, and where it is written."""
    faults, cautions = findings(pattern, handler)
    assert len(faults) == 1
    assert told in faults[0]
    assert "test_signatures.py:" in faults[0]
    assert cautions == []


@pytest.mark.parametrize(
    ("pattern", "handler"),
    [
        ("/a", NoArgument),
        (r"/a/(\d+)", OneArgument),
        (r"/a/(?P<key>\d+)", OneArgument),
        (r"/a/(?P<key>\d+)", NamedOnly),
        (r"/a(?:/(\d+))?", Optional),
        (r"/a/(\d+)/(\d+)", Optional),
        ("/a", Authenticated),
        ("/a/(.*)", Decorated),
        ("/a", Decorated),
        ("/a", ErrorHandler),
        (r"/a/(\d+)", ErrorHandler),
    ],
)
def test_what_fits_or_cannot_be_judged_is_none(pattern: str, handler: type[RequestHandler]) -> None:
    """Defaults, rests, methods that are not implemented, and decorators that may pass something of their own."""
    assert findings(pattern, handler) == ([], [])


def test_tornado_s_own_handlers_fit() -> None:
    assert findings("/a/(.*)", StaticFileHandler, path=".") == ([], [])
    assert findings("/a/(.*)", RedirectHandler, url="/b/{0}") == ([], [])


def test_one_method_of_several_that_does_not_fit_is_a_caution() -> None:
    """`/posts` and `/posts/(id)` often share a handler."""
    faults, (caution,) = findings("/a", Both)
    assert faults == []
    assert "Both.put(self, key: str)" in caution


def test_routes_of_nested_routers_are_looked_at_and_other_matchers_are_not() -> None:
    application = Application([(HostMatches("a"), [(r"/a/(\d+)", NoArgument)])])
    assert len(signature_findings(application.wildcard_router.routes())[0]) == 1
