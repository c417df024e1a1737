"""Whatever a request's code raises, BaseExceptions included: it is answered, told to the hooks, and logged as sent."""

import asyncio
import functools
import gc
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.web import RequestHandler

from tests.handler.conftest import OpenClient
from tests.http.wire import Client
from torngas_aio.application import Application
from torngas_aio.asgi import get_asgi_application
from torngas_aio.context import current_scope
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.middleware.accesslog import AccessLogMiddleware
from torngas_aio.middleware.cors import CORSMiddleware
from torngas_aio.middleware.security import SecurityHeadersMiddleware

TOLD: list[str] = []


class Own(BaseException):
    """A project's own."""


async def await_cancelled() -> None:
    other = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    other.cancel()
    await other


async def raise_now(error: BaseException) -> None:
    raise error


RAISED: dict[str, Callable[[], Awaitable[None]]] = {
    "own": lambda: raise_now(Own("own")),
    "pytest.fail": lambda: raise_now(pytest.fail.Exception("failed")),
    "GeneratorExit": lambda: raise_now(GeneratorExit()),
    "sys.exit": lambda: raise_now(SystemExit(3)),
    "CancelledError": lambda: raise_now(asyncio.CancelledError()),
    "a cancelled task": await_cancelled,
    "group": lambda: raise_now(BaseExceptionGroup("two", [SystemExit(1), Own()])),
    "an ordinary one": lambda: raise_now(KeyError("ordinary")),
}

PLACES = ("call", "request", "prepare", "on_prepare", "method", "after a pause", "render", "response", "settle")


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    TOLD.clear()


@pytest.fixture(params=RAISED)
def raised(request: pytest.FixtureRequest) -> str:
    """What is raised."""
    return str(request.param)


class Hooks(BaseMiddleware):
    """Raises where the request's headers say, and tells which hooks ran."""

    async def process_call(self, request: Any, clear: Any) -> None:
        await fails("call", request)

    async def process_request(self, handler: Any, clear: Any) -> None:
        await fails("request", handler.request)

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append("response")
        await fails("response", handler.request)

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append(f"endcall {handler.get_status()}")
        await fails("endcall", handler.request)

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append(f"exception {typ.__name__}")
        await fails("exception", handler.request)


class More(BaseMiddleware):
    """The hooks that are still due when one of `Hooks` has failed."""

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append("more response")

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append("more exception")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("more endcall")


async def fails(place: str, request: Any) -> None:
    if request.headers.get("Fail-In") == place:
        await RAISED[request.headers["Raise"]]()


class Page(WebHandler):
    async def prepare(self) -> None:
        await fails("prepare", self.request)

    async def on_prepare(self) -> None:
        await fails("on_prepare", self.request)

    async def get(self) -> None:
        await fails("method", self.request)
        await asyncio.sleep(0)
        await fails("after a pause", self.request)
        scope = current_scope()
        assert scope is not None
        if self.request.headers["Fail-In"] == "settle":
            scope.add("it", object(), settle=self.settle, close=self.settle)
        if self.request.headers["Fail-In"] == "render":
            self._deferred = functools.partial(fails, "render", self.request)  # as a template that awaits
        self.finish("done")

    async def settle(self, *_: Any) -> None:
        await fails("settle", self.request)

    async def complete_finish(self) -> None:
        await fails("complete_finish", self.request)


@pytest.mark.parametrize("place", PLACES)
async def test_every_place_answers_500_and_runs_the_hooks(
    open_client: OpenClient, place: str, raised: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_client([("/", Page)], (More, Hooks))
    with caplog.at_level(logging.INFO):
        response = await client.get("/", headers={"Fail-In": place, "Raise": raised})
        assert response.status_code == 500
        again = await client.get("/", headers={"Fail-In": "nowhere", "Raise": raised})
    assert again.text == "done"
    first = TOLD[: TOLD.index("more endcall") + 1]
    assert first[-2:] == ["endcall 500", "more endcall"]
    assert first.count("more response") == first.count("more exception") == 1
    access = [record.getMessage() for record in caplog.records if record.name == "tornado.access"]
    assert [line.split()[0] for line in access] == ["500", "200"]


class Labels(BaseMiddleware):
    """Headers of a project's own: one for every answer, and some of this one's content."""

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        if handler.request.headers.get("Reads-Headers"):
            assert "Content-Type" in handler._headers  # as hooks of old projects do
        for name in ("X-Node", "Etag", "Cache-Control", "Content-Language", "Content-Security-Policy"):
            handler.set_header(name, "hook")


class Labelled(Page):
    async def get(self) -> None:
        self.set_header("X-Total", "3")
        self.set_header("HX-Redirect", "/done")
        if self.request.headers.get("Reads-Headers") == "early":
            assert "X-Total" in self._headers
        await super().get()


@pytest.mark.parametrize("reads", ["", "late", "early"])
async def test_headers_of_response_hooks_are_on_the_page_of_an_error_after_them(
    open_client: OpenClient, reads: str
) -> None:
    """Those of CORS, security and the request's id among them; not those of the content that was replaced."""
    cors = CORSMiddleware(allow_origins=["https://app.example.com"])
    client = await open_client([("/", Labelled)], (AccessLogMiddleware, SecurityHeadersMiddleware, cors, Labels))
    headers = {"Fail-In": "settle", "Raise": "an ordinary one", "Origin": "https://app.example.com"}
    response = await client.get("/", headers={**headers, "Reads-Headers": reads})
    assert response.status_code == 500
    kept = {"access-control-allow-origin": headers["Origin"], "vary": "Origin", "x-node": "hook"}
    kept |= {"content-security-policy": "hook", "x-frame-options": "DENY"}
    assert {name: response.headers.get(name) for name in kept} == kept
    assert len(response.headers["x-request-id"]) == 16
    assert not {"x-total", "hx-redirect", "etag", "cache-control", "content-language"} & set(response.headers)


@pytest.mark.parametrize("place", ["endcall", "complete_finish"])
async def test_a_place_after_the_answer_is_logged(
    open_client: OpenClient, place: str, raised: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_client([("/", Page)], (More, Hooks))
    for _ in range(2):
        response = await client.get("/", headers={"Fail-In": place, "Raise": raised})
        assert (response.status_code, response.text) == (200, "done")
    while sum("failed" in record.getMessage() for record in caplog.records) < 2:
        await asyncio.sleep(0)
    assert TOLD.count("more endcall") == 2


async def test_an_exception_hook_that_fails_leaves_the_others_their_turn(open_client: OpenClient, raised: str) -> None:
    class Breaks(WebHandler):
        async def get(self) -> None:
            raise ZeroDivisionError

    client = await open_client([("/", Breaks)], (More, Hooks))
    response = await client.get("/", headers={"Fail-In": "exception", "Raise": raised})
    assert response.status_code == 500
    assert TOLD.index("exception ZeroDivisionError") < TOLD.index("more exception")


class Failing(WebHandler):
    """Raises in a method that is no coroutine, and in those that answer errors."""

    def initialize(self, where: str, error: BaseException) -> None:
        self.where, self.error = where, error
        self.fail("initialize")

    def fail(self, where: str) -> None:
        if self.where == where:
            raise self.error

    def get(self) -> None:
        self.fail("method")
        raise ZeroDivisionError

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.fail("write_error")
        super().write_error(status_code, **kwargs)

    def log_exception(self, *args: Any) -> None:
        self.fail("log_exception")

    def on_finish(self) -> None:
        self.fail("on_finish")


@pytest.mark.parametrize("where", ["initialize", "method", "write_error", "log_exception", "on_finish"])
@pytest.mark.parametrize("error", [Own(), SystemExit(1), GeneratorExit(), asyncio.CancelledError()], ids=repr)
async def test_plain_methods_answer_500(open_client: OpenClient, where: str, error: BaseException) -> None:
    client = await open_client([("/", Failing, {"where": where, "error": error})])
    for _ in range(2):
        assert (await client.get("/")).status_code == 500


class Streams(WebHandler):
    async def get(self) -> None:
        self.write("begun")
        await self.flush()
        raise SystemExit(1)


async def test_an_answer_that_has_begun_is_cut(open_client: OpenClient) -> None:
    client = await open_client([("/", Streams)], (Hooks,))
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|disconnected"):
        await client.get("/")
    while not TOLD or not TOLD[-1].startswith("endcall"):
        await asyncio.sleep(0)
    assert TOLD == ["response", "exception SystemExit", "endcall 200"]  # 200 is what the client saw


class Api(ApiHandler):
    async def get(self) -> None:
        raise Own


async def test_an_api_answers_as_json(open_client: OpenClient) -> None:
    client = await open_client([("/", Api)])
    response = await client.get("/")
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")


class Foreign(RequestHandler):
    async def get(self) -> None:
        await RAISED[self.get_argument("raise")]()


async def test_plain_tornado_handlers_answer_500_too(open_client: OpenClient, raised: str) -> None:
    client = await open_client([("/", Foreign)])
    for _ in range(2):
        assert (await client.get("/", params={"raise": raised})).status_code == 500


class Starts(WebHandler):
    async def get(self) -> None:
        scope = current_scope()
        assert scope is not None
        background = self.application.background  # type: ignore[attr-defined]  # ours
        background.start_soon(RAISED[self.get_argument("raise")], name="work")
        scope.add("it", object(), close=RAISED[self.get_argument("raise")])


async def test_background_tasks_and_resources_that_fail_are_logged(
    open_client: OpenClient, raised: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_client([("/", Starts)])
    assert (await client.get("/", params={"raise": raised})).status_code == 200
    wanted = {"The background task work failed.", "Closing 'it' failed."}
    while not wanted <= {record.getMessage() for record in caplog.records}:
        await asyncio.sleep(0)
    assert (await client.get("/", params={"raise": raised})).status_code == 200


class Waits(WebHandler):
    async def get(self) -> None:
        scope = current_scope()
        assert scope is not None
        scope.add("closable", object(), close_now=lambda: TOLD.append("closed") or True)  # type: ignore[func-returns-value]
        scope.add("open", object(), close=self.close)
        TOLD.append("waits")
        try:
            await asyncio.sleep(60)
        finally:
            TOLD.append("left")

    async def close(self) -> None:
        TOLD.append("awaited")


async def test_a_cancelled_request_is_logged_as_503(open_client: OpenClient, caplog: pytest.LogCaptureFixture) -> None:
    client = await open_client([("/", Waits)], (Hooks,))
    with caplog.at_level(logging.INFO):
        asking = asyncio.create_task(client.get("/", headers={"Fail-In": "-", "Raise": "-"}))
        while "waits" not in TOLD:
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if "serve()" in repr(task) or "_answer" in repr(task) or "answer(" in repr(task):
                task.cancel()
        assert (await asking).status_code == 503
    assert TOLD == ["waits", "left", "endcall 503", "awaited"]
    access = [record.getMessage() for record in caplog.records if record.name == "tornado.access"]
    assert [line.split()[0] for line in access] == ["503"]


class Wire:
    """An exchange that notes what happens to it, for a request without a server."""

    context = None
    is_finished = False

    def __init__(self) -> None:
        from torngas_aio.http.body import NO_BODY

        self.body = NO_BODY
        self.noted: list[str] = []

    def set_close_callback(self, callback: Any) -> None: ...

    def abort(self) -> None:
        self.is_finished = True
        self.noted.append("cut")

    def respond(self, status: int, *_: Any) -> bool:
        self.is_finished = True
        self.noted.append(str(status))
        return True


@pytest.mark.parametrize("how", ["close", "throw", "collected"])
@pytest.mark.parametrize("hooks", [(), (Hooks,)], ids=["bare", "hooked"])
def test_a_request_that_is_closed_from_outside_awaits_nothing(
    how: str, hooks: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torngas_aio.http.request import Request

    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    application, wire = Application([("/", Waits)], middlewares=hooks), Wire()

    async def begin() -> Any:
        await application.startup()
        request = Request(("GET", "/", "HTTP/1.1"), [(b"fail-in", b"-"), (b"raise", b"-")], wire)
        running = application.serve_request(request)
        running.send(None)
        return running

    running = asyncio.run(begin())
    if how == "close":
        running.close()
    elif how == "throw":
        with pytest.raises(GeneratorExit):
            running.throw(GeneratorExit())
    del running
    gc.collect()
    assert TOLD == ["waits", "left", "closed"]
    assert (wire.noted, complaints) == (["cut"], [])


@pytest.mark.parametrize(
    ("server", "loop", "place", "answer"),
    [
        *((server, "asyncio", "method", "500 Internal Server Error") for server in ("ours", "tornado's")),
        ("ours", "uvloop", "method", "500 Internal Server Error"),
        ("ours", "uvloop", "call", "500 Internal Server Error"),
        ("ours", "asyncio", "response", "500 Internal Server Error"),
        ("ours", "asyncio", "endcall", "200 OK"),
    ],
)
async def test_a_keyboard_interrupt_is_answered_and_raised_again(
    server: str, loop: str, place: str, answer: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.handler.interrupted", server, loop, place, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().split("\n")[:-1] == ["endcall", "interrupted", f"HTTP/1.1 {answer}"]


ERRORS = [Own(), SystemExit(1), GeneratorExit(), asyncio.CancelledError(), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_behind_asgi(error: BaseException) -> None:
    class Raises(WebHandler):
        async def get(self) -> None:
            raise error

    asgi = get_asgi_application(Application([("/", Raises)], middlewares=(Hooks,)))
    sent: list[Any] = []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"a")], "http_version": "1.1"}

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(KeyboardInterrupt) if isinstance(error, KeyboardInterrupt) else nullcontext():
        asyncio.run(asgi(scope, receive, send))
    assert sent[0]["status"] == 500
    assert TOLD == [f"exception {type(error).__name__}", "response", "endcall 500"]


class Socket(WebSocketHandler):
    """Raises in the method that the query names."""

    async def fails_in(self, place: str) -> None:
        if self.get_argument("in") == place:
            await RAISED[self.get_argument("raise")]()

    async def open(self, *args: str, **kwargs: str) -> None:
        await self.fails_in("open")

    async def on_message(self, message: str | bytes) -> None:
        await self.fails_in("on_message")

    async def on_ping(self, data: bytes) -> None:  # type: ignore[override]  # plain in Tornado
        await self.fails_in("on_ping")


class SocketHooks(BaseMiddleware):
    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append(f"exception {typ.__name__}")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


@pytest.mark.parametrize("place", ["open", "on_message", "on_ping"])
async def test_a_sockets_methods_close_it_with_1011(open_client: OpenClient, place: str, raised: str) -> None:
    client = await open_client([("/socket", Socket), ("/page", Api)], (SocketHooks,))
    query = urlencode({"in": place, "raise": raised})
    handshake = (
        f"GET /socket?{query} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    opcode = 0x9 if place == "on_ping" else 0x1
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        assert (await wire.ask(handshake.encode())).status == 101
        wire.send(bytes([0x80 | opcode, 0x80, 0, 0, 0, 0]))
        frame = await wire.reader.readexactly(2)
        if frame[0] == 0x8A:  # the pong
            frame = await wire.reader.readexactly(2)
        code = await wire.reader.readexactly(2)
    assert (frame[0], int.from_bytes(code, "big")) == (0x88, 1011)
    while "endcall" not in TOLD:
        await asyncio.sleep(0)
    assert len(TOLD) == 2
    assert (await client.get("/page")).status_code == 500  # the server goes on


class Deals(BaseMiddleware):
    """An exception hook that looks on, or deals with the error in one of the ways there are."""

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> Any:
        how = handler.get_query_argument("how")
        if how == "finish":
            handler.finish("mine")
        elif how == "clear":
            clear()
        elif how == "raise":
            raise ValueError("the hook's own")
        return how == "true"


class Fails(WebHandler):
    async def get(self) -> None:
        if self.get_query_argument("how") == "late":
            await self.finish("done")
        raise KeyError("of the method")


@pytest.mark.parametrize(
    ("how", "is_logged"),
    [("look", True), ("raise", True), ("late", True), ("true", False), ("clear", False), ("finish", False)],
)
async def test_an_error_is_logged_unless_an_exception_hook_deals_with_it(
    open_client: OpenClient, how: str, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_client([("/", Fails)], (Deals,))
    await client.get(f"/?how={how}")
    assert (f"Uncaught exception GET /?how={how}" in caplog.text) is is_logged
