# ruff: noqa: F811 (fixtures are imported and then named as parameters)
"""How long a request's things live: its context, its resources, its task, however it ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tornado.netutil import bind_sockets
from tornado.web import HTTPError, RequestHandler

from tests.handler.conftest import OpenClient, door, open_client  # noqa: F401 (fixtures)
from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.context import RequestScope, current_scope
from torngas_aio.handler import WebHandler
from torngas_aio.http.server import HTTPServer
from torngas_aio.lifespan import Lifespan
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.utils import request_context

TOLD: list[str] = []
MARK: ContextVar[str] = ContextVar("mark", default="none")


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    TOLD.clear()


async def told(*lines: str) -> None:
    await until(lambda: set(lines) <= set(TOLD))


def hold(name: str) -> None:
    """Open a resource of the current request that says when it is closed."""

    async def close() -> None:
        TOLD.append(f"{name} closed")

    scope = current_scope()
    assert scope is not None
    scope.add(name, object(), close=close)


# ---------------------------------------------------------------- the current request


class Sees(BaseMiddleware):
    """Says at every stage whose request is the current one."""

    async def process_call(self, request: Any, clear: Any) -> None:
        self.tell("call", request)

    async def process_request(self, handler: Any, clear: Any) -> None:
        self.tell("request", handler.request)

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        self.tell("response", handler.request)

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        self.tell("endcall", handler.request)

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        self.tell("exception", handler.request)

    def tell(self, place: str, request: Any) -> None:
        TOLD.append(f"{place} {request_context.request is request}")


class SeesToo(WebHandler):
    async def get(self) -> None:
        async def settle(outcome: Any) -> None:
            TOLD.append(f"settle {request_context.request is self.request}")

        async def close() -> None:
            TOLD.append(f"close {request_context.request is self.request}")

        self.scope.add("seen", object(), settle=settle, close=close)
        self.application.background.start_soon(self.later)  # type: ignore[attr-defined]  # ours
        await asyncio.to_thread(lambda: TOLD.append(f"thread {request_context.request is self.request}"))
        if self.get_argument("fail", None):
            raise ZeroDivisionError
        self.finish("seen")
        await asyncio.sleep(0)  # the response is completed by a task of its own

    async def later(self) -> None:
        TOLD.append(f"background {request_context.request is self.request}")


@pytest.mark.parametrize("fail", ["", "?fail=1"])
async def test_every_stage_sees_its_own_request(open_client: OpenClient, fail: str) -> None:
    client = await open_client([("/", SeesToo)], (Sees,))
    await asyncio.gather(*(client.get(f"/{fail}") for _ in range(10)))
    await told("close True", "endcall True")
    assert {line for line in TOLD if line.endswith("False")} == set()
    places = {line.split()[0] for line in TOLD}
    wanted = {"call", "request", "response", "endcall", "settle", "close", "background", "thread"}
    assert places == (wanted | {"exception"} if fail else wanted)


class Marks(BaseMiddleware):
    """Leaves something in the context at its first and its last chance."""

    async def process_call(self, request: Any, clear: Any) -> None:
        TOLD.append(MARK.get())
        MARK.set("call")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        MARK.set("endcall")


class Marked(WebHandler):
    async def get(self) -> None:
        MARK.set("handler")
        self.write("x")

    async def post(self) -> None:
        MARK.set("handler")
        self.write(str(len(self.request.body)))


async def raw_answers(port: int, sent: bytes, count: int) -> bytes:
    """Return everything that comes back until *count* answers have."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = b""
    async with asyncio.timeout(5):
        while answer.count(b"HTTP/1.1 200") < count:
            answer += await reader.read(65536)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_nothing_set_in_one_request_is_seen_in_the_next_of_its_connection(open_client: OpenClient) -> None:
    client = await open_client([("/", Marked)], (Marks,))
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    large = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"z" * 300_000
    await raw_answers(client.port, get * 5 + large + get + large + get, 9)
    assert TOLD == ["none"] * 9


# ---------------------------------------------------------------- resources


class Opens(BaseMiddleware):
    async def process_call(self, request: Any, clear: Any) -> None:
        hold("resource")
        TOLD.append("call")
        if "fail" in request.arguments:
            raise HTTPError(403)
        if "clear" in request.arguments:
            clear()


class Foreign(RequestHandler):
    async def get(self) -> None:
        hold("foreign's")
        await asyncio.sleep(0)
        if self.get_argument("raise", None):
            raise ZeroDivisionError
        self.write("foreign")


@pytest.mark.parametrize("query", ["", "?fail=1", "?clear=1", "?raise=1"])
@pytest.mark.parametrize("path", ["/foreign", "/nowhere", "/ours"])
async def test_what_a_call_hook_opened_is_closed_whoever_answers(
    open_client: OpenClient, path: str, query: str
) -> None:
    client = await open_client([("/foreign", Foreign), ("/ours", Marked)], (Opens,))
    await client.get(path + query)
    await told("resource closed")
    if path == "/foreign" and "fail" not in query:
        await told("foreign's closed")
    assert TOLD.count("resource closed") == 1


async def test_what_a_call_hook_opened_is_closed_when_it_is_cancelled() -> None:
    class Hangs(BaseMiddleware):
        async def process_call(self, request: Any, clear: Any) -> None:
            hold("resource")
            TOLD.append("hangs")
            await asyncio.Event().wait()

    server = HTTPServer(Application([("/", Marked)], middlewares=[Hangs]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    reader, writer = await asyncio.open_connection("127.0.0.1", sockets[0].getsockname()[1])
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await told("hangs")
    assert await server.stop_gracefully(0.05) is False
    assert TOLD == ["hangs", "resource closed"]
    assert b"503" in await reader.read()
    writer.close()


async def test_what_a_call_hook_opened_is_closed_when_the_client_leaves_a_foreign_upload(
    open_client: OpenClient,
) -> None:
    client = await open_client([("/", Foreign)], (Opens,))
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    await told("call")
    writer.close()
    await writer.wait_closed()
    await told("resource closed")


async def test_a_completion_that_the_method_itself_cancelled_is_not_sent(open_client: OpenClient) -> None:
    class Impatient(Late):
        request_timeout = None

        async def get(self) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await super().get()

    client = await open_client([("/", Impatient)], (Hangs,))
    answer = await client.get("/?settle=1")
    assert (answer.status_code, "promised" in answer.text) == (500, False)
    await told("endcall", "resource closed")


# ---------------------------------------------------------------- cancelled where it hurts


class Late(WebHandler):
    """Finishes, and waits where the test says."""

    request_timeout: float | None = 0.05

    async def get(self) -> None:
        hold("resource")
        if self.get_argument("settle", None):

            async def settle(outcome: Any) -> None:
                await self.hang("settle")

            self.scope.add("transaction", object(), settle=settle)
        await self.finish("promised")

    async def hang(self, place: str) -> None:
        if self.get_argument(place, None):
            TOLD.append(f"hangs in {place}")
            await asyncio.Event().wait()


class Hangs(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> None:
        await handler.hang("request")

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        await handler.hang("response")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


@pytest.mark.parametrize("where", ["request", "response", "settle"])
async def test_a_timeout_is_answered_503_wherever_it_falls(open_client: OpenClient, where: str) -> None:
    client = await open_client([("/", Late)], (Hangs,))
    async with asyncio.timeout(5):
        answer = await client.get(f"/?{where}=1")
    assert answer.status_code == 503
    assert "promised" not in answer.text
    await told("endcall", *(["resource closed"] if where != "request" else []))
    assert TOLD.count("endcall") == 1


class LeftLate(Late):
    request_timeout = None
    cancel_on_disconnect = True


@pytest.mark.parametrize("where", ["request", "response", "settle"])
async def test_a_client_that_leaves_cancels_wherever_it_is(open_client: OpenClient, where: str) -> None:
    client = await open_client([("/", LeftLate)], (Hangs,))
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET /?{where}=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await told(f"hangs in {where}")
    writer.close()
    await writer.wait_closed()
    await told("endcall", *(["resource closed"] if where != "request" else []))
    assert TOLD.count("endcall") == 1


class Floods(LeftLate):
    async def get(self) -> None:
        hold("resource")
        TOLD.append("hangs in drain")
        await self.finish(b"x" * 50_000_000)


async def test_a_client_that_leaves_while_the_answer_drains_ends_the_request(open_client: OpenClient) -> None:
    client = await open_client([("/", Floods)], (Hangs,))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(100)
    writer.transport.abort()
    await told("endcall", "resource closed")
    assert TOLD.count("endcall") == TOLD.count("resource closed") == 1


# ---------------------------------------------------------------- rendering


class Renders(BaseMiddleware):
    async def process_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        TOLD.append(f"render {template_name}")


def renders(deed: Callable[[Any], Any]) -> list[Any]:
    class Page(WebHandler):
        async def get(self) -> None:
            result = deed(self)
            if result is not None:
                await result

    return [("/", Page)]


async def test_an_unawaited_render_of_a_missing_template_is_an_error_answered_once(
    open_client: OpenClient, tmp_path: Path
) -> None:
    def deed(handler: WebHandler) -> Any:
        handler.render("missing.html")
        return asyncio.sleep(0.01)

    client = await open_client(renders(deed), (Renders, Sees), template_path=str(tmp_path))
    answer = await client.get("/")
    await told("endcall True")
    assert answer.status_code == 500
    assert client.errors
    assert "missing.html" in str(client.errors[0])
    assert [TOLD.count(line) for line in ("render missing.html", "exception True", "response True")] == [1, 1, 1]


async def test_render_string_runs_the_render_hooks_each_time(open_client: OpenClient, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("a{{ word }}")

    async def deed(handler: WebHandler) -> None:
        parts = [await handler.render_string("a.html", word=number) for number in range(3)]
        handler.write(b"".join(parts))

    client = await open_client(renders(deed), (Renders,), template_path=str(tmp_path))
    assert (await client.get("/")).text == "a0a1a2"
    assert TOLD == ["render a.html"] * 3


# ---------------------------------------------------------------- the lifespan


async def test_a_request_that_is_cancelled_does_not_take_the_opening_with_it() -> None:
    may_open = asyncio.Event()

    async def opens() -> None:
        TOLD.append("opening")
        await may_open.wait()
        TOLD.append("open")

    async def closes() -> None:
        TOLD.append("closed")

    lifespan = Lifespan()
    lifespan.add("slow", opens, closes)
    first = asyncio.ensure_future(lifespan.open())
    second = asyncio.ensure_future(lifespan.open())
    await told("opening")
    first.cancel()
    await asyncio.wait([first])
    may_open.set()
    await second
    assert first.cancelled()
    assert lifespan.is_open
    await lifespan.close()
    assert TOLD == ["opening", "open", "closed"]


async def test_an_init_hook_that_hangs_is_given_up_and_its_elders_shut_down() -> None:
    class Elder(BaseMiddleware):
        async def process_init(self, application: Any) -> None:
            TOLD.append("elder open")

        async def process_shutdown(self, application: Any) -> None:
            TOLD.append("elder closed")

    class Hung(BaseMiddleware):
        async def process_init(self, application: Any) -> None:
            await asyncio.Event().wait()

        async def process_shutdown(self, application: Any) -> None:
            TOLD.append("never opened")

    application = Application([], middlewares=[Elder, Hung])
    application.lifespan.step_seconds = 0.05
    with pytest.raises(TimeoutError, match="Hung"):
        await application.startup()
    assert TOLD == ["elder open", "elder closed"]


async def test_a_shutdown_hook_that_hangs_or_fails_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    class First(BaseMiddleware):
        async def process_shutdown(self, application: Any) -> None:
            TOLD.append("first closed")

    class Fails(BaseMiddleware):
        async def process_shutdown(self, application: Any) -> None:
            raise ZeroDivisionError

    class Hung(BaseMiddleware):
        async def process_shutdown(self, application: Any) -> None:
            TOLD.append("hung begins")
            await asyncio.Event().wait()

    application = Application([], middlewares=[First, Fails, Hung])
    application.lifespan.step_seconds = 0.05
    await application.startup()
    await application.shutdown()
    assert TOLD == ["hung begins", "first closed"]
    assert "Hung" in caplog.text
    assert "Fails" in caplog.text


async def test_a_cancellation_while_one_resource_is_closed_leaves_none_open() -> None:
    scope, begun, closed = RequestScope(), asyncio.Event(), list[str]()

    async def close(name: str) -> None:
        begun.set()
        await asyncio.sleep(0)
        closed.append(name)

    scope.add("first", None, close=partial(close, "first"))
    scope.add("last", None, close=partial(close, "last"))
    task = asyncio.create_task(scope.aclose())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["last", "first"]
