"""The same application behind uvicorn, granian and hypercorn, over their sockets."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from httpx2.websockets import WebSocketDisconnect, WebSocketUpgradeError

from tests.asgi.conftest import ROOT, Served
from tests.asgi.server import http_scope
from torngas_aio.application import Application
from torngas_aio.asgi import AsgiApplication, get_asgi_application
from torngas_aio.asgi.request import build_request, start_line_of
from torngas_aio.exception import ArgumentError


async def test_requests_are_answered(served: Served) -> None:
    found = await served.client.get("/echo/%E4%BD%A0?name=a%20b")
    assert (found.json()["path"], found.json()["uri"]) == ("/echo/%E4%BD%A0", "/echo/%E4%BD%A0?name=a%20b")
    assert found.json()["ip"] == "127.0.0.1"
    assert found.headers.get_list("set-cookie") == ["a=1", "b=2"]
    head = await served.client.head("/echo")
    assert head.status_code == 405
    assert (await served.client.post("/echo", content=b"\x00body")).content == b"\x00body"
    empty = await served.client.delete("/echo")
    assert (empty.status_code, empty.content) == (204, b"")
    assert (await served.client.get("/nowhere")).status_code == 404
    assert (await served.client.get("/foreign")).text == "foreign"
    assert (await served.client.get("/echo?guard=1")).status_code == 401
    await served.noted("endcall /echo")


async def test_nothing_set_in_one_request_is_seen_in_the_next(served: Served) -> None:
    for _ in range(20):
        assert (await served.client.get("/echo?name=left-behind")).json()["before"] == "nothing"


async def test_bodies_are_streamed_up(served: Served) -> None:
    async def pieces() -> object:
        for _ in range(64):
            yield b"z" * 65536

    assert (await served.client.post("/up", content=pieces())).text == str(64 * 65536)  # type: ignore[arg-type]  # an iterator


async def test_a_slow_reader_holds_the_handler_back(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    writer.write(b"GET /down HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()
    await served.noted("sent 0")
    assert (await served.client.get("/echo")).status_code == 200  # time for the handler to run on, if it could
    assert "note: sent 896" not in served.output
    received = 0
    while "note: sent 896" not in served.output:
        received += len(await reader.read(1 << 20))
    assert received > 0
    writer.close()


async def test_an_answer_that_breaks_looks_cut(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /cut HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        data = await reader.read()
    assert data.startswith(b"HTTP/1.1 200 ")
    assert not data.endswith(b"0\r\n\r\n")
    writer.close()


async def test_a_client_that_leaves_is_noticed(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n")
    await served.noted("waiting")
    writer.close()
    await writer.wait_closed()
    await served.noted("client left")
    await served.noted("endcall /waiting")


@pytest.mark.parametrize("path", ["/reverse", "/foreign-reverse"])
async def test_sockets_carry_text_and_bytes(served: Served, path: str) -> None:
    async with served.client.websocket(path) as socket:
        await socket.send_text("你好")
        assert await socket.receive_text() == "好你"
        for size in (1, 125, 126, 60_000):
            await socket.send_bytes(b"\x01" * (size - 1) + b"\x02")
            assert await socket.receive_bytes() == b"\x02" + b"\x01" * (size - 1)


async def test_a_socket_closes_from_either_side_and_then_ends_its_request(served: Served) -> None:
    async with served.client.websocket("/reverse", subprotocols=["a", "b"]) as socket:
        assert socket.subprotocol == "b"
        await socket.send_text("close")
        with pytest.raises(WebSocketDisconnect) as told:
            await socket.receive_text()
        assert (told.value.code, told.value.reason) == (4001, "enough")
    await served.noted("endcall /reverse")
    async with served.client.websocket("/reverse") as socket:
        await socket.send_text("ab")
        await socket.receive_text()
    await served.noted("endcall /reverse", 2)


async def test_a_guard_refuses_the_socket(served: Served) -> None:
    with pytest.raises(WebSocketUpgradeError) as refused:
        async with served.client.websocket("/reverse?guard=1"):
            raise AssertionError("The socket was opened.")
    assert refused.value.response.status_code in {401, 403}
    await served.noted("endcall /reverse")


async def test_startup_and_shutdown_run_once(served: Served) -> None:
    await served.client.get("/echo")
    await served.stop()
    await served.noted("shutdown")
    assert [line for line in served.output if line in {"note: init", "note: shutdown"}] == [
        "note: init",
        "note: shutdown",
    ]


@pytest.mark.parametrize("served", ["uvicorn", "granian"], indirect=True)  # hypercorn's workers get no signal
async def test_a_stream_learns_of_the_stop(served: Served) -> None:
    """Before its connection has ended, for which these servers wait without a limit."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /streaming HTTP/1.1\r\nHost: x\r\n\r\n")
    await served.noted("streaming")
    async with asyncio.timeout(10):
        await served.stop()
        assert (await reader.read()).endswith(b"end\r\n0\r\n\r\n")
    await served.noted("shutdown")
    writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("outcome", ["complete", "failed", "cancelled"])
async def test_the_server_s_signal_handlers_are_called_and_put_back(number: signal.Signals, outcome: str) -> None:
    heard: list[int] = []

    def handler(number: int, frame: Any) -> None:
        heard.append(number)

    async def fails() -> None:
        raise ValueError("no database")

    before = signal.signal(number, handler)
    try:
        application = Application()
        if outcome == "failed":
            application.lifespan.add("broken", fails)
        served = AsgiApplication(application)
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        messages.put_nowait({"type": "lifespan.startup"})
        said: asyncio.Queue[Any] = asyncio.Queue()
        living = asyncio.ensure_future(served({"type": "lifespan"}, messages.get, said.put))
        await said.get()
        if outcome != "failed":
            signal.raise_signal(number)
            async with asyncio.timeout(5):
                await application.is_stopping.wait()
            assert heard == [number]
        if outcome == "complete":
            messages.put_nowait({"type": "lifespan.shutdown"})
        elif outcome == "cancelled":
            living.cancel()
        await asyncio.wait([living])
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
        await application.shutdown()


def test_the_root_path_is_taken_off_the_target() -> None:
    scope = {"type": "http", "method": "GET", "path": "/app/a b", "raw_path": b"/app/a%20b", "root_path": "/app",
             "query_string": b"x=1", "headers": [], "http_version": "1.1"}  # fmt: skip
    assert start_line_of(scope) == ("GET", "/a%20b?x=1", "HTTP/1.1")
    assert start_line_of({**scope, "path": "/app", "raw_path": None, "query_string": b""}).path == "/"
    assert start_line_of({**scope, "raw_path": b"/application"}).path == "/application?x=1"


ENCODINGS = [
    ("/caf\xe9", b"/caf%c3%a9/x", "/x"), ("/app", b"/%61pp/x", "/x"), ("/a+b", b"/a%2Bb/x/", "/x/"),
    ("/a/b", b"/a/%62", "/"), ("/a/b", b"/a%2Fb/c", "/a%2Fb/c"), ("/a/b", b"/a", "/a"), ("/app", b"/app//x", "//x"),
    ("/app", b"/%61pplication", "/%61pplication"), ("app", b"/app/x", "/x"), (None, b"/x", "/x"),
]  # fmt: skip


@pytest.mark.parametrize(("root", "raw", "path"), ENCODINGS)
def test_the_root_path_may_be_encoded_in_another_way(root: str | None, raw: bytes, path: str) -> None:
    """RFC 3986 6.2.2: these are the same path."""
    scope = http_scope("/x", raw_path=raw, root_path=root)
    assert start_line_of(scope).path == path
    request = build_request(scope, None)
    assert request.path == path
    assert request.uri == request.root_path + path


async def test_an_application_that_cannot_start_says_why() -> None:
    async def fails() -> None:
        raise ValueError("no database")

    application = Application()
    application.lifespan.add("broken", fails)
    said: list[object] = []
    messages = iter([{"type": "lifespan.startup"}])

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: object) -> None:
        said.append(message)

    await AsgiApplication(application)({"type": "lifespan"}, receive, send)
    assert said == [{"type": "lifespan.startup.failed", "message": "no database"}]


class Stop(BaseException):
    """As pytest's `fail()` raises."""


@pytest.mark.parametrize("error", [Stop("no"), SystemExit(1), asyncio.CancelledError("no"), Stop()])
async def test_whatever_a_start_raises_is_told_to_the_server(error: BaseException) -> None:
    """A server that is told nothing goes on without a lifespan, and serves."""

    async def fails() -> None:
        raise error

    application = Application()
    application.lifespan.add("broken", fails)
    said: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: object) -> None:
        said.append(message)

    await AsgiApplication(application)({"type": "lifespan"}, receive, send)
    assert [each["type"] for each in said] == ["lifespan.startup.failed"]
    assert said[0]["message"]


def test_only_applications_can_be_served() -> None:
    with pytest.raises(ArgumentError, match="subclass of it was wanted"):
        get_asgi_application(httpx2.AsyncClient)  # type: ignore[arg-type]  # what is refused


def test_without_settings_it_says_nothing_of_who_can_connect(tmp_path: Path) -> None:
    """The ASGI server chooses the address, so only our own server can say who reaches it."""
    environment = {name: value for name, value in os.environ.items() if name != "TORNGAS_APP_SETTINGS"}
    done = subprocess.run(
        [sys.executable, "-c", "from torngas_aio.asgi import get_asgi_application; get_asgi_application()"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "No settings module: built-in defaults, and random secrets for this run" in done.stderr
    assert "can connect" not in done.stderr
