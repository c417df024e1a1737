"""The corners of a request: finished in the middle, failing twice, cancelled anywhere; nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
import tornado.template
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from tests.handler.conftest import OpenClient
from tests.polling import until
from torngas_aio.context import Outcome
from torngas_aio.handler import ErrorHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware

TOLD: list[str] = []


@pytest.fixture(autouse=True)
async def nothing_is_left_running() -> AsyncIterator[None]:
    """Every task that a test's requests started has ended when its client is closed."""
    TOLD.clear()
    yield
    await until(lambda: not [task for task in asyncio.all_tasks() if "serve" in repr(task.get_coro())])


async def told(*lines: str) -> None:
    await until(lambda: set(lines) <= set(TOLD))


class Slow(BaseMiddleware):
    """Hooks that suspend, and say when they ran."""

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        await asyncio.sleep(0.005)
        TOLD.append("response")
        handler.set_header("X-Hook", "ran")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


class Deed(WebHandler):
    """Does what the test put here."""

    deed: Callable[[Any], Any]

    async def get(self) -> None:
        result = type(self).deed(self)
        if result is not None:
            await result


def does(deed: Callable[[Any], Any]) -> list[Any]:
    return [("/", type("Does", (Deed,), {"deed": staticmethod(deed)}))]


async def suspends(handler: WebHandler) -> None:
    await told("endcall")
    TOLD.append("went on")


@pytest.mark.parametrize(
    ("finish", "status"),
    [
        (lambda handler: handler.redirect("/else"), 302),
        (lambda handler: handler.send_error(418), 418),
        (lambda handler: handler.finish("done"), 200),
    ],
    ids=["redirect", "send_error", "finish"],
)
@pytest.mark.parametrize("goes_on", [True, False])
async def test_whatever_finishes_unawaited_is_completed_once(
    open_client: OpenClient, finish: Callable[[WebHandler], Any], status: int, goes_on: bool
) -> None:
    def deed(handler: WebHandler) -> Any:
        finish(handler)
        return suspends(handler) if goes_on else None

    client = await open_client(does(deed), (Slow,))
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["x-hook"]) == (status, "ran")
    await told("endcall", *(["went on"] if goes_on else []))
    assert TOLD.count("response") == TOLD.count("endcall") == 1


async def changes_meanwhile(handler: Any) -> None:
    handler.finish("body")
    for _ in range(3):  # the response hook has begun, and waits
        await asyncio.sleep(0)
    handler.set_header("X-Late", "set")


async def a_task_changes_meanwhile(handler: Any) -> None:
    async def change() -> None:
        handler.set_header("X-Late", "set")

    task = asyncio.create_task(change())
    await handler.finish("body")
    await task


@pytest.mark.parametrize("deed", [changes_meanwhile, a_task_changes_meanwhile])
async def test_while_a_response_hook_waits_only_hooks_change_the_response(
    open_client: OpenClient, deed: Callable[[Any], Any]
) -> None:
    client = await open_client(does(deed), (Slow,))
    response = await client.get("/")
    assert (response.text, response.headers["x-hook"]) == ("body", "ran")
    assert "x-late" not in response.headers


async def test_unawaited_flushes_keep_their_order(open_client: OpenClient) -> None:
    async def deed(handler: WebHandler) -> None:
        handler.write("a")
        handler.flush()
        handler.write("b")
        handler.flush()
        await told("response")
        handler.write("c")
        handler.flush()
        handler.write("d")
        handler.finish("e")
        await told("endcall")

    answer = await (await open_client(does(deed), (Slow,))).get("/")
    assert (answer.text, answer.headers["x-hook"]) == ("abcde", "ran")
    await told("endcall")
    assert TOLD.count("response") == 1


async def test_an_awaited_finish_waits_for_the_flush_before_it(open_client: OpenClient) -> None:
    async def deed(handler: WebHandler) -> None:
        handler.write("a")
        handler.flush()
        await asyncio.sleep(0)  # the flush is being completed, its hook waits
        await handler.finish("b")
        TOLD.append("after finish")

    answer = await (await open_client(does(deed), (Slow,))).get("/")
    assert answer.text == "ab"
    await told("after finish")
    assert TOLD == ["response", "endcall", "after finish"]


@pytest.mark.parametrize("streams", [True, False])
async def test_a_response_hook_that_puts_text_into_the_body_is_told(
    open_client: OpenClient, streams: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[Any]) -> None:
            if handler.get_status() == 200:
                chunk.append("text")

    async def deed(handler: WebHandler) -> None:
        handler.write("a")
        if streams:
            await handler.flush()

    assert (await (await open_client(does(deed), (Odd,))).get("/")).status_code == 500
    assert "TypeError: A response hook put a str into `chunk`" in caplog.text


async def test_a_response_hook_may_finish_render_or_fail_the_stream(open_client: OpenClient) -> None:
    class Replaces(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            chunk.clear()
            await handler.finish("replaced")

    class Fails(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            raise HTTPError(409)

    async def streams(handler: WebHandler) -> None:
        handler.write("part")
        await handler.flush()
        handler.write("never seen")

    assert (
        await (await open_client(does(lambda handler: handler.write("x")), (Replaces,))).get("/")
    ).text == "replaced"
    answer = await (await open_client(does(streams), (Slow, Fails))).get("/")
    assert (answer.status_code, answer.headers["x-hook"]) == (409, "ran")
    assert "part" not in answer.text


async def test_an_exception_hook_may_await_finish(open_client: OpenClient) -> None:
    class Answers(BaseMiddleware):
        async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
            handler.set_status(400)
            await handler.finish("from the hook")

    async def fails(handler: WebHandler) -> None:
        handler.write("lost")
        raise ZeroDivisionError

    answer = await (await open_client(does(fails), (Slow, Answers))).get("/")
    assert (answer.status_code, answer.text, answer.headers["x-hook"]) == (400, "from the hook", "ran")
    await told("endcall")
    assert TOLD == ["response", "endcall"]


class RaisesKeyError(WebHandler):
    async def get(self) -> None:
        raise KeyError


class PlainResponse(RaisesKeyError):
    def exception_response(self, status_code: int, **kwargs: Any) -> None:
        self.finish({"mine": status_code, "error": kwargs["exc_info"][0].__name__})


class AsyncResponse(RaisesKeyError):
    async def exception_response(self, status_code: int, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.finish({"mine": status_code, "error": kwargs["exc_info"][0].__name__})


@pytest.mark.parametrize("handler", [PlainResponse, AsyncResponse])
async def test_exception_response_answers_errors(open_client: OpenClient, handler: type[WebHandler]) -> None:
    answer = await (await open_client([("/", handler)], (Slow,))).get("/")
    assert (answer.status_code, answer.json()) == (500, {"mine": 500, "error": "KeyError"})
    assert answer.headers["x-hook"] == "ran"
    debug = await open_client([("/", handler)], debug=True, autoreload=False)
    assert "KeyError" in (await debug.get("/", headers={"Accept": "text/plain"})).text


class ReturnsItsPage(RaisesKeyError):
    """Answers errors as Tornado 4's handlers did, where `finish` and `render` returned None."""

    def write_error(self, status_code: int, **kwargs: Any) -> Any:
        way = self.get_query_argument("way")
        if way == "flush":
            self.write("mine")
            return self.flush()
        if way == "redirect":
            return self.redirect("/login")
        return self.finish("mine") if way == "finish" else self.render("mine.html")


@pytest.mark.parametrize(("way", "status"), [("finish", 500), ("flush", 500), ("render", 500), ("redirect", 302)])
@pytest.mark.parametrize("middlewares", [(), (Slow,)])
async def test_an_error_page_may_return_what_finished_it(
    open_client: OpenClient, middlewares: tuple[type, ...], way: str, status: int
) -> None:
    loader = tornado.template.DictLoader({"mine.html": "mine"})
    client = await open_client([("/", ReturnsItsPage)], middlewares, template_loader=loader)
    answer = await client.get(f"/?way={way}", follow_redirects=False)
    assert answer.status_code == status
    assert answer.text == ("" if way == "redirect" else "mine")


class BrokenPage(RaisesKeyError):
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.write("half")
        raise ZeroDivisionError


class BrokenAsyncPage(RaisesKeyError):
    async def write_error(self, status_code: int, **kwargs: Any) -> None:  # type: ignore[override]  # Tornado's is plain
        self.write("half")
        raise ZeroDivisionError


class BrokenResponse(RaisesKeyError):
    async def exception_response(self, status_code: int, **kwargs: Any) -> None:
        self.write("half")
        raise ZeroDivisionError


@pytest.mark.parametrize("handler", [BrokenPage, BrokenAsyncPage, BrokenResponse])
async def test_an_error_page_that_fails_is_answered_plainly(open_client: OpenClient, handler: type[WebHandler]) -> None:
    answer = await (await open_client([("/", handler)], (Slow,))).get("/")
    assert (answer.status_code, answer.text) == (500, "500 Internal Server Error\n")
    await told("endcall")
    assert TOLD.count("response") == TOLD.count("endcall") == 1


class Waits(WebHandler):
    """Waits where the test says, until it is cancelled."""

    cancel_on_disconnect = True
    where = "method"

    async def wait(self, place: str) -> None:
        if self.where == place:
            TOLD.append(f"waits in {place}")
            try:
                await asyncio.Event().wait()
            finally:
                TOLD.append("cancelled")

    async def get(self) -> None:
        async def settle(outcome: Outcome) -> None:
            TOLD.append("committed")

        async def close() -> None:
            TOLD.append("closed")

        self.scope.add("transaction", object(), settle=settle, close=close)
        await self.wait("method")
        self.write("never")


class WaitsInRequest(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> None:
        await handler.wait("request")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


async def leave(port: int, place: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await told(f"waits in {place}")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("where", ["request", "method"])
async def test_a_request_that_is_cancelled_ends_whole(open_client: OpenClient, where: str) -> None:
    handler = type("WaitsThere", (Waits,), {"where": where})
    client = await open_client([("/", handler)], (WaitsInRequest,))
    await leave(client.port, where)
    await told("cancelled", "endcall")
    if where == "method":
        await told("closed")
    assert "committed" not in TOLD
    assert TOLD.count("endcall") == 1


async def test_a_timeout_cancels_the_method_and_rolls_back(open_client: OpenClient) -> None:
    class Timed(Waits):
        request_timeout = 0.05

    client = await open_client([("/", Timed)], (Slow,))
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["x-hook"]) == (503, "ran")
    await told("closed")
    assert TOLD.index("cancelled") < TOLD.index("closed")


async def test_a_client_that_leaves_a_stream_gets_its_endcall_hooks_and_no_exception_hooks(
    open_client: OpenClient,
) -> None:
    class Exceptional(BaseMiddleware):
        async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
            TOLD.append(f"exception {typ.__name__}")

    class Endless(WebHandler):
        async def get(self) -> None:
            TOLD.append("waits in stream")
            try:
                while True:
                    self.write(b"x" * 65536)
                    await self.flush()
                    await asyncio.sleep(0)
            except StreamClosedError:
                TOLD.append("closed")
                raise

    client = await open_client([("/", Endless)], (Slow, Exceptional))
    await leave(client.port, "stream")
    await told("closed", "endcall")
    assert [line for line in TOLD if line.startswith("exception")] == []
    assert TOLD.count("endcall") == 1


@pytest.mark.parametrize("awaits", [True, False])
async def test_a_transaction_may_wait_for_the_method(open_client: OpenClient, awaits: bool) -> None:
    async def deed(handler: WebHandler) -> None:
        async def settle(outcome: Outcome) -> None:
            TOLD.append(f"commit {outcome.has_returned}")

        handler.scope.add("transaction", object(), settle=settle)
        handler.scope.waits_for_method = True
        if awaits:
            await handler.finish("ok")
        else:
            handler.finish("ok")
        await asyncio.sleep(0.02)
        TOLD.append("method returns")

    client = await open_client(does(deed))
    assert (await client.get("/")).text == "ok"
    await told("method returns")
    # Awaited, it completes there and then; left alone, it waits for the method.
    assert TOLD == (["commit False", "method returns"] if awaits else ["method returns", "commit True"])


@stream_request_body
class Upload(WebHandler):
    size = 0

    async def prepare(self) -> None:
        if self.get_argument("refuse", None):
            self.set_status(403)
            self.finish("refused before the body")
        if self.get_argument("small", None):
            self.request.connection.set_max_body_size(1000)

    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        self.size += len(chunk)
        if chunk == b"half":
            TOLD.append("half")

    async def post(self) -> None:
        self.write(str(self.size))


async def test_bodies_are_streamed_to_handlers(open_client: OpenClient) -> None:
    client = await open_client([("/", Upload)], (Slow,))

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"z" * 10_000

    assert (await client.post("/", content=pieces(100))).text == "1000000"
    assert (await client.post("/", content=b"")).text == "0"
    refused = await client.post("/?refuse=1", content=b"z" * 100)
    assert (refused.status_code, refused.text) == (403, "refused before the body")


async def test_a_body_beyond_the_handlers_limit_is_413(open_client: OpenClient, door: str) -> None:
    if door == "tornado":
        pytest.skip("Tornado's server cuts the connection itself")
    client = await open_client([("/", Upload)], (Slow,))
    assert (await client.post("/?small=1", content=b"z" * 5000)).status_code == 413
    await told("endcall")


async def test_a_client_that_leaves_its_upload_ends_the_request(open_client: OpenClient) -> None:
    client = await open_client([("/", Upload)], (Slow,))
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    await told("half")
    writer.close()
    await writer.wait_closed()
    await told("endcall")
    assert TOLD == ["half", "endcall"]


class Socket(WebSocketHandler):
    def open(self, *args: str, **kwargs: str) -> None:
        TOLD.append("open")
        if self.get_argument("fail", None) == "open":
            raise ZeroDivisionError

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)

    def on_close(self) -> None:
        TOLD.append("closed")


class SocketHooks(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> Any:
        if handler.get_argument("fail", None) == "guard":
            handler.set_status(401)
            handler.finish("no")
            return True
        return None

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append("response")
        if handler.get_argument("fail", None) == "response":
            raise HTTPError(409)

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append(f"exception {typ.__name__}")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


@pytest.mark.parametrize(("fail", "status"), [("guard", 401), ("response", 409)])
async def test_a_socket_is_refused_before_its_handshake(open_client: OpenClient, fail: str, status: int) -> None:
    client = await open_client([("/ws", Socket)], (SocketHooks,))
    with pytest.raises(Exception, match=str(status)):
        async with client.websocket(f"/ws?fail={fail}"):
            raise AssertionError("It was opened.")
    await told("endcall")
    assert "open" not in TOLD
    assert TOLD.count("endcall") == 1


async def test_a_socket_that_fails_to_open_tells_the_exception_hooks(open_client: OpenClient) -> None:
    client = await open_client([("/ws", Socket)], (SocketHooks,))
    with suppress(Exception):  # the close arrives with the handshake, or later
        async with client.websocket("/ws?fail=open") as socket:
            await socket.receive_text()
    await told("endcall")
    assert TOLD.index("response") < TOLD.index("open") < TOLD.index("exception ZeroDivisionError")
    assert TOLD.count("endcall") == 1


async def test_a_request_that_is_no_handshake_is_400(open_client: OpenClient) -> None:
    client = await open_client([("/ws", Socket)], (SocketHooks,))
    assert (await client.get("/ws")).status_code == 400
    await told("endcall")


async def test_the_first_requests_run_the_init_hooks_once(open_client: OpenClient) -> None:
    class Init(BaseMiddleware):
        async def process_init(self, application: Any) -> None:
            await asyncio.sleep(0)
            TOLD.append("init")

        async def process_shutdown(self, application: Any) -> None:
            TOLD.append("shutdown")
            raise ZeroDivisionError

    client = await open_client(does(lambda handler: handler.write("x")), (Init,))
    await client.application.lifespan.close()
    TOLD.clear()
    answers = await asyncio.gather(*(client.get("/") for _ in range(30)))
    assert {answer.text for answer in answers} == {"x"}
    assert TOLD == ["init"]
    await client.application.shutdown()
    await client.application.shutdown()
    assert TOLD == ["init", "shutdown"]


async def test_an_error_handler_answers_its_status_to_every_method(open_client: OpenClient) -> None:
    client = await open_client([("/gone", ErrorHandler, {"status_code": 410})], (Slow,), xsrf_cookies=True)
    for method in ("GET", "POST", "DELETE", "HEAD"):
        assert (await client.request(method, "/gone")).status_code == 410
