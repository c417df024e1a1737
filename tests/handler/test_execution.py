"""A method that nothing comes before is begun without a coroutine around it: clients and hooks see no difference."""

from typing import Any

import pytest
from tornado.web import Finish, HTTPError

from torngas_aio.application import Application
from torngas_aio.handler import ApiHandler, WebHandler
from torngas_aio.handler.execution import ExecutingHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.testing import TestClient

TOLD: list[str] = []


class Late(BaseMiddleware):
    """Hooks that leave the short way open: none runs before the method."""

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append(f"response {handler.get_status()}")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append(f"exception {typ.__name__}")


class Early(Late):
    async def process_request(self, handler: Any, clear: Any) -> Any:
        TOLD.append("request")
        match handler.request.path:
            case "/refused" | "/forgotten":
                handler.set_status(403)
                handler.finish("by the hook")
                return handler.request.path == "/refused"
            case "/broken":
                raise ZeroDivisionError
            case "/cleared":
                clear()
        return None


class Second(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> None:
        TOLD.append("second request")


class Both(WebHandler):
    """Coroutine methods and plain ones, which answer in each of the ways there are."""

    async def get(self, name: str = "", *args: Any, **kwargs: Any) -> Any:
        TOLD.append(f"get {self.path_args} {self.path_kwargs}")
        return await getattr(self, f"do_{name or 'write'}")()

    def post(self, *args: Any) -> None:
        self.write("posted")

    def delete(self, *args: Any) -> None:
        raise HTTPError(409)

    async def do_write(self) -> None:
        self.write("written")

    do_refused = do_forgotten = do_broken = do_cleared = do_write

    async def do_finish(self) -> None:
        await self.finish("finished")

    async def do_unawaited(self) -> None:
        self.finish("un-awaited")

    async def do_stream(self) -> None:
        self.write("one ")
        await self.flush()
        self.write("two")

    async def do_fail(self) -> None:
        raise ZeroDivisionError

    async def do_stop(self) -> None:
        raise Finish("stopped")

    async def do_value(self) -> Any:
        return {"a": 1}


class Api(ApiHandler):
    def get(self, *args: str) -> Any:
        return {"sync": list(args)}

    async def put(self, *args: str) -> Any:
        return {"async": list(args)}


class Prepared(Both):
    async def on_prepare(self) -> None:
        TOLD.append("on_prepare")


ROUTES = [
    (r"/api/(.*)", Api),
    (r"/prepared/(.*)", Prepared),
    (r"/named/(?P<word>.*)/(?P<other>.*)", Both),
    (r"/bare", Both),
    (r"/(.*)", Both),
]
REQUESTS = [
    *(("GET", f"/{name}") for name in ("write", "finish", "unawaited", "stream", "fail", "stop", "value", "none")),
    *(("GET", f"/{name}") for name in ("refused", "forgotten", "broken", "cleared")), ("POST", "/refused"),
    ("GET", "/bare"), ("GET", "/named/a%20b/%C3%A9"), ("GET", "/caf%E9"), ("HEAD", "/write"), ("POST", "/x"),
    ("DELETE", "/x"), ("OPTIONS", "/x"), ("PUT", "/x"), ("BREW", "/x"), ("GET", "/api/1"), ("PUT", "/api/2"),
    ("HEAD", "/api/1"), ("GET", "/prepared/write"), ("GET", "/prepared/fail"),
]  # fmt: skip


async def answer(request: tuple[str, str], middlewares: tuple[Any, ...]) -> tuple[int, Any, bytes, list[str]]:
    """Return status, headers, body and what was told, once the request has ended."""
    TOLD.clear()
    application = Application(ROUTES, middlewares=middlewares, cross_origin_protection=True)
    async with TestClient(application) as client:
        found = await client.request(*request, headers={"X-Request-ID": "a"})
    fields = sorted((name, value) for name, value in found.headers.items() if name != "date")
    return found.status_code, fields, found.content, list(TOLD)


@pytest.mark.parametrize("request_", REQUESTS, ids=" ".join)
@pytest.mark.parametrize("middlewares", [(), (Late,), (Early, Second)], ids=["no hooks", "late hooks", "early hooks"])
async def test_both_ways_to_the_method_answer_the_same(
    request_: tuple[str, str], middlewares: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    perform = ExecutingHandler._perform

    def note(handler: ExecutingHandler, args: Any, kwargs: Any) -> Any:
        ways.append("long")
        return perform(handler, args, kwargs)

    monkeypatch.setattr(ExecutingHandler, "_perform", note)
    first = await answer(request_, middlewares)
    is_unsafe = request_[0] not in {"GET", "HEAD", "OPTIONS"}
    is_long = (is_unsafe and Early in middlewares) or "prepared" in request_[1] or request_[0] == "BREW"
    assert ways == (["long"] if is_long else [])
    monkeypatch.setattr(ExecutingHandler, "_performed", note)
    assert await answer(request_, middlewares) == first
