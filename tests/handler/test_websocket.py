"""WebSockets over real sockets, on every server: the protocol's errors, compression, back-pressure, pings, the end."""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import tornado.websocket
from tornado.netutil import bind_sockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.contracts.front_doors.conftest import SERVERS, HTTPServerOf, Uvicorn
from tests.http.test_frames import client_frame
from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.context import current_scope
from torngas_aio.handler import WebSocketHandler
from torngas_aio.handler.websocket import broadcast
from torngas_aio.http import websocket as connections
from torngas_aio.http.deflate import compressed_parts
from torngas_aio.http.frames import BINARY, CLOSE, PING, TEXT
from torngas_aio.testing import TestClient

HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n"
)
notes: list[Any] = []


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        notes.append((self.close_code, self.close_reason))


class Packed(Echo):
    def get_compression_options(self) -> dict[str, Any]:
        return {"compression_level": 9, "mem_level": 5}


class Mispacked(Echo):
    def get_compression_options(self) -> dict[str, Any]:
        options: dict[str, Any] = self.settings["compression"]
        return options


class Spoken(Echo):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self.get_query_argument("choose", subprotocols[0] if subprotocols else "") or None

    def open(self) -> None:
        notes.append(self.selected_subprotocol)


class Failing(WebSocketHandler):
    async def open(self) -> None:
        if self.get_query_argument("at", "") == "open":
            raise KeyError("in open")

    async def on_message(self, message: str | bytes) -> None:
        if message == "cancel":
            raise asyncio.CancelledError
        if message == "own":
            raise OwnError("own")
        raise KeyError("in on_message")

    def on_ping(self, data: bytes) -> None:
        raise KeyError("in on_ping")


class OwnError(BaseException):
    pass


class Closing(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        code, _, reason = str(message).partition(" ")
        try:
            self.close(int(code), reason or None)
        except ValueError as exc:
            self.write_message(str(exc))


class Slow(WebSocketHandler):
    may_go_on: asyncio.Event
    seen = 0

    async def on_message(self, message: str | bytes) -> None:
        type(self).seen += 1
        await self.may_go_on.wait()
        await self.write_message("done")


class AnswersLate(WebSocketHandler):
    """Writes to the socket that it has closed, or meets another one that has closed."""

    def open(self) -> None:
        if self.get_query_argument("of") == "its own":
            self.close(4401, "who are you?")

    async def on_message(self, message: str | bytes) -> None:
        if self.get_query_argument("of") == "another":
            raise tornado.websocket.WebSocketClosedError
        await self.write_message("done")


class Flood(WebSocketHandler):
    """Writes more than a client that does not read can take."""

    async def on_message(self, message: str | bytes) -> None:
        part = bytes(64 * 1024)
        try:
            if message == "wait":
                while True:
                    await self.write_message(part, binary=True)
                    notes.append("sent")
            for _ in range(10_000):
                self.write_message(part, binary=True)
                notes.append("sent")
        except tornado.websocket.WebSocketClosedError:
            notes.append("closed")


class ClosingSlowly(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        if message == "fail":
            raise KeyError

    async def on_close(self) -> None:  # type: ignore[override]  # plain in Tornado
        notes.append(self.close_code)
        await asyncio.sleep(0)
        notes.append("closed")


class Member(WebSocketHandler):
    def open(self) -> None:
        self.settings["members"].add(self)

    def on_message(self, message: str | bytes) -> None:
        """Nothing."""


class PackedMember(Member):
    def get_compression_options(self) -> dict[str, Any]:
        return {}


class TornadoMember(tornado.websocket.WebSocketHandler):
    def open(self) -> None:
        self.settings["members"].add(self)

    def on_message(self, message: str | bytes) -> None:
        """Nothing."""


class Scoped(WebSocketHandler):
    scopes: list[Any]

    async def on_message(self, message: str | bytes) -> None:
        self.scopes.append(current_scope())
        if message == "fail":
            raise ValueError("of its own")
        await asyncio.sleep(0)
        self.scopes.append(current_scope())
        await self.write_message("done")


class Holding(WebSocketHandler):
    """Opens a resource in each call, which then fails as the query says."""

    def open(self) -> None:
        self.hold_and_fail("open")

    def on_message(self, message: str | bytes) -> Any:
        return self.hold_and_fail("message") if message == "plain" else self.hold_late()

    async def hold_late(self) -> None:
        await asyncio.sleep(0)
        self.hold_and_fail("message")

    def on_close(self) -> None:
        self.hold_and_fail("close")

    def hold_and_fail(self, call: str) -> None:
        hold(call)
        if self.get_query_argument("fails") == call:
            raise {"value": ValueError, "cancel": asyncio.CancelledError, "exit": GeneratorExit}[
                self.get_query_argument("as")
            ]


def hold(name: str) -> None:
    async def close() -> None:
        notes.append(f"{name} closed")

    scope = current_scope()
    assert scope is not None
    scope.add(name, None, close=close)


class HoldingHooks:
    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        hold("exception")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        hold("endcall")


class Lingering(WebSocketHandler):
    """Never ends by itself: in the call that the query names."""

    async def _linger(self, call: str) -> None:
        notes.append(call)
        if self.get_query_argument("in") == call:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                notes.append("cancelled")
                raise

    async def open(self) -> None:
        await self._linger("open")

    async def on_message(self, message: str | bytes) -> None:
        await self._linger("message")

    async def on_close(self) -> None:  # type: ignore[override]  # plain in Tornado
        await self._linger("close")


class LingeringBriefly(Lingering):
    cancel_on_disconnect = True


class Watch:
    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        notes.append(repr(value))

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        notes.append("endcall")


Start = Callable[..., Awaitable[tuple[Application, int]]]


@pytest.fixture(params=["torngas_aio", "tornado", "asgi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def start(kind: str) -> AsyncIterator[Start]:
    """Start the application on a server: `application, port = await start(**settings)`."""
    servers: list[Any] = []

    async def started(**options: Any) -> tuple[Application, int]:
        notes.clear()
        Slow.may_go_on, Slow.seen = asyncio.Event(), 0
        rules = [
            ("/echo", Echo), ("/packed", Packed), ("/spoken", Spoken), ("/failing", Failing), ("/closing", Closing),
            ("/slow", Slow), ("/late", AnswersLate), ("/flood", Flood), ("/member", Member),
            ("/packed-member", PackedMember), ("/tornado-member", TornadoMember), ("/closing-slowly", ClosingSlowly),
            ("/scoped", Scoped), ("/holding", Holding), ("/lingering", Lingering),
            ("/lingering-briefly", LingeringBriefly), ("/mispacked", Mispacked),
        ]  # fmt: skip
        options = {"members": set(), "cookie_secret": "0123456789" * 4, **options}
        application = Application(rules, **{"middlewares": [Watch], **options})
        server: Any = (
            Uvicorn(application, {})
            if kind == "asgi"
            else HTTPServerOf(SERVERS["ours" if kind == "torngas_aio" else "tornado's"], application, {})
        )
        sockets = bind_sockets(0, "127.0.0.1")
        await server.start(sockets)
        servers.append(server)
        return application, sockets[0].getsockname()[1]

    yield started
    for server in servers:
        await server.stop()


@asynccontextmanager
async def client(port: int, path: str = "/echo", **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}{path}", **options) as connection:
        yield connection


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """Return code and reason of the server's close frame."""
    with pytest.raises(ConnectionClosed) as ended:
        await connection.recv()
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code, ended.value.rcvd.reason


class Wire:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = ""

    async def frame(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first, await self.reader.readexactly(size)


@asynccontextmanager
async def wire(port: int, path: str = "/echo", fields: str = "") -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.format(path, fields).encode())
    found = Wire(reader, writer)
    found.head = (await reader.readuntil(b"\r\n\r\n")).decode()
    try:
        yield found
    finally:
        writer.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 3_000_000])
@pytest.mark.parametrize("path", ["/echo", "/packed"])
async def test_messages_of_every_size(start: Start, path: str, size: int) -> None:
    _, port = await start()
    async with client(port, path, max_size=None) as connection:
        for message in ("é" * size, bytes(size)):
            await connection.send(message)
            assert await connection.recv() == message
        await connection.close(4001, "bye")
    await until(lambda: "endcall" in notes)
    assert notes == [(4001, "bye"), "endcall"]


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(TEXT, b"hi", is_masked=False), 1002),
        (client_frame(TEXT, b"hi", first=0xC0), 1002),
        (client_frame(3, b"hi"), 1002),
        (client_frame(TEXT, b"\xff"), 1007),
        (client_frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
        (client_frame(BINARY, bytes(5000)), 1009),
    ],
)
async def test_a_broken_protocol_is_told_its_code(start: Start, data: bytes, code: int) -> None:
    _, port = await start(websocket_max_message_size=4000)
    async with wire(port) as client:
        client.writer.write(client_frame(TEXT, b"first") + data + bytes(100_000))
        assert await client.frame() == (0x81, b"first")
        first, payload = await client.frame()
        assert (first, int.from_bytes(payload[:2], "big")) == (0x88, code)
        assert await client.reader.read() == b""
    await until(lambda: "endcall" in notes)
    assert notes == [(None, None), "endcall"]


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=99", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; unknown, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
        ("\x22", None),
    ],
)
async def test_offers_of_compression(start: Start, offer: str, accepted: str | None) -> None:
    _, port = await start()
    async with wire(port, "/packed", f"Sec-WebSocket-Extensions: {offer}\r\n") as client:
        assert client.head.startswith("HTTP/1.1 101 ")
        found = [line for line in client.head.splitlines() if line.lower().startswith("sec-websocket-extensions")]
        assert found == ([f"Sec-Websocket-Extensions: {accepted}"] if accepted else [])
        client.writer.write(client_frame(TEXT, b"hi"))
        first, _ = await client.frame()
        assert first == (0xC1 if accepted else 0x81)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1014, 3000, 4999])
async def test_codes_that_a_handler_closes_with(start: Start, code: int) -> None:
    _, port = await start()
    async with client(port, "/closing") as connection:
        await connection.send(f"{code} why")
        assert await closed(connection) == (code, "why")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_codes_that_a_handler_may_not_close_with(start: Start, code: int) -> None:
    _, port = await start()
    async with client(port, "/closing") as connection:
        await connection.send(str(code))
        assert f"code {code}" in str(await connection.recv())
        await connection.send("1000")
        assert (await closed(connection))[0] == 1000


@pytest.mark.parametrize(
    ("path", "message", "error"),
    [
        ("/failing?at=open", "", "KeyError('in open')"),
        ("/failing", "x", "KeyError('in on_message')"),
        ("/failing", "own", "OwnError('own')"),
        ("/failing", "cancel", "CancelledError()"),
    ],
)
async def test_an_error_closes_with_1011_and_runs_the_hooks(start: Start, path: str, message: str, error: str) -> None:
    _, port = await start()
    async with client(port, path) as connection:
        if message:
            await connection.send(message)
        assert (await closed(connection))[0] == 1011
    await until(lambda: "endcall" in notes)
    assert notes == [error, "endcall"]


async def test_subprotocols(start: Start) -> None:
    _, port = await start()
    async with client(port, "/spoken", subprotocols=["b", "a"]) as connection:
        assert connection.subprotocol == "b"
    async with client(port, "/spoken") as connection:
        assert connection.subprotocol is None
    assert notes[0] == "b"


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
async def test_a_subprotocol_that_was_not_offered_is_the_handlers_error(start: Start) -> None:
    _, port = await start()
    async with wire(port, "/spoken?choose=other") as client:
        assert client.head.startswith("HTTP/1.1 500 ")
    await until(lambda: "endcall" in notes)
    assert "'other'" in notes[0]


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
@pytest.mark.parametrize("key", ["", "abc", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "dGhlIHNhbXBsZSBub25jZQ=", "é" * 24])
async def test_a_bad_key_is_400(start: Start, key: str) -> None:
    _, port = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.format("/echo", "").replace("dGhlIHNhbXBsZSBub25jZQ==", key).encode("latin-1"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
async def test_a_slow_handler_stops_the_client(start: Start) -> None:
    _, port = await start()
    async with client(port, "/slow") as connection:
        sending = asyncio.create_task(_send_many(connection, 400))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        assert Slow.seen == 1
        Slow.may_go_on.set()
        for _ in range(400):
            assert await connection.recv() == "done"
        await sending


async def _send_many(connection: ClientConnection, count: int) -> None:
    for _ in range(count):
        await connection.send(bytes(60_000))


async def test_a_client_that_does_not_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer who waits is held, and the connection cut when nothing moves; one who does not is cut at the limit."""
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.4)
    _, port = await start()
    for message, most in (("wait", 400), ("rush", 500)):
        notes.clear()
        async with wire(port, "/flood") as client:
            client.writer.write(client_frame(TEXT, message.encode()))
            await until(lambda: "endcall" in notes)
            assert notes[-2:] == ["closed", "endcall"]
            assert notes.count("sent") < most


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
async def test_pings(start: Start) -> None:
    _, port = await start(websocket_ping_interval=0.15, websocket_ping_timeout=0.15)
    async with wire(port) as client:
        for _ in range(3):
            assert await client.frame() == (0x89, b"")
            client.writer.write(client_frame(0xA))
        assert await client.frame() == (0x89, b"")
        first, payload = await client.frame()  # no pong any more
        assert (first, payload[2:]) == (0x88, b"ping timed out")
        client.writer.write(client_frame(CLOSE, payload))
        assert await client.reader.read() == b""


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
async def test_only_the_last_ping_is_answered_to_a_client_that_does_not_read(start: Start) -> None:
    _, port = await start()
    async with wire(port, "/slow") as client:
        Slow.may_go_on.set()
        client.writer.write(b"".join(client_frame(PING, b"%d" % number) for number in range(1000)))
        for number in range(1000):
            assert await client.frame() == (0x8A, b"%d" % number)


async def test_the_code_of_a_client_that_does_not_wait_for_its_answer(start: Start) -> None:
    _, port = await start()
    for _ in range(5):
        notes.clear()
        async with wire(port) as client:
            client.writer.write(client_frame(TEXT, b"open"))
            assert await client.frame() == (0x81, b"open")
            client.writer.write(client_frame(TEXT, b"hello") + client_frame(CLOSE, struct.pack(">H", 4001) + b"bye"))
            await until(lambda: "endcall" in notes)
        assert notes == [(4001, "bye"), "endcall"]


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
@pytest.mark.parametrize("options", [{"compression_level": 10}, {"mem_level": 0}, {"compression_level": "9"}])
async def test_compression_that_zlib_has_not_fails_at_the_handshake(start: Start, options: dict[str, Any]) -> None:
    _, port = await start(compression=options)
    with pytest.raises(InvalidStatus) as caught:
        async with client(port, "/mispacked"):
            pass
    assert caught.value.response.status_code == 500
    assert notes[0].startswith("TypeError" if "9" in options.values() else "ValueError")


@pytest.mark.parametrize("message", ["text", b"bytes", {"a": 1}])
async def test_broadcast(start: Start, message: Any) -> None:
    application, port = await start()
    async with (
        client(port, "/member", compression=None) as one,
        client(port, "/packed-member") as two,
        client(port, "/packed-member") as three,
        client(port, "/tornado-member") as four,
        client(port, "/member") as gone,
    ):
        members = application.settings["members"]
        await until(lambda: len(members) == 5)
        await gone.close()
        await until(lambda: any(member.ws_connection is None for member in members))
        for _ in range(2):
            assert await application.broadcast(members, message, binary=isinstance(message, bytes)) == 4
            for member in (one, two, three, four):
                assert await member.recv() == ('{"a": 1}' if isinstance(message, dict) else message)
    with pytest.raises(TypeError, match="not int"):
        await application.broadcast(members, 1)


@pytest.mark.parametrize("kind", ["torngas_aio"], indirect=True)
async def test_a_broadcast_is_compressed_once_while_others_have_turns(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed: list[Any] = []
    turns = [0]

    def compressing(payload: bytes, settings: tuple[int, int, int]) -> Iterator[bytes]:
        compressed.append(settings)
        return compressed_parts(payload, settings)

    async def count_turns() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr("torngas_aio.handler.websocket.compressed_parts", compressing)
    application, port = await start()
    long = "".join(f"line {number * 7919}\n" for number in range(50_000))
    async with client(port, "/packed-member") as one, client(port, "/packed-member") as two:
        members = application.settings["members"]
        await until(lambda: len(members) == 2)
        for text in ("short " * 10, long, "short " * 10):
            compressed.clear()
            for _ in range(2):  # the messages to one socket stand between those to all
                assert await application.broadcast(members, text) == 2
                for member in members:
                    await member.write_message(text[:5000])
                for socket in (one, two):
                    assert [await socket.recv(), await socket.recv()] == [text, text[:5000]]
            assert compressed == [(6, 8, 15)] * 2
        counting = asyncio.create_task(count_turns())
        await application.broadcast(members, long)
        assert turns[0] >= len(long) // 32_768
        counting.cancel()


@pytest.mark.parametrize(
    ("count", "size", "turns"), [(1, 10, 1), (5_000, 10, 15), (200, 100_000, 8), (30, 5_000_000, 30)]
)
async def test_a_broadcast_gives_others_a_turn_after_so_many_writes_and_bytes(
    count: int, size: int, turns: int
) -> None:
    class Member:
        ws_connection = None

        def write_message(self, payload: bytes, binary: bool) -> None:
            in_turn[-1] += 1

    async def count_turns() -> None:
        while True:
            in_turn.append(0)
            await asyncio.sleep(0)

    in_turn = [0]
    counting = asyncio.create_task(count_turns())
    members: Any = [Member() for _ in range(count)]
    assert await broadcast(members, b"x" * size) == count
    counting.cancel()
    assert sum(in_turn) == count
    assert sum(map(bool, in_turn)) >= turns


@pytest.mark.parametrize("kind", ["torngas_aio"], indirect=True)
async def test_a_handshake_behind_a_request_whose_client_has_gone(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    _, port = await start()
    caplog.set_level(logging.WARNING)
    for _ in range(20):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE.format("/echo", "").encode())
        writer.transport.abort()
    async with client(port) as connection:
        await connection.send("alive")
        assert await connection.recv() == "alive"
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)
async def test_a_ping_between_the_fragments_of_a_compressed_message(start: Start) -> None:
    _, port = await start()
    async with wire(port, "/packed", "Sec-WebSocket-Extensions: permessage-deflate\r\n") as client:
        packed = b"\xf2H\xcd\xc9\xc9\x07\x00"  # SPEC: RFC 7692 7.2.3.1, "Hello"
        client.writer.write(client_frame(TEXT, packed[:3], first=0x40) + client_frame(PING, b"x"))
        client.writer.write(client_frame(0, packed[3:]))
        assert await client.frame() == (0x8A, b"x")
        assert (await client.frame())[0] == 0xC1


async def test_what_is_for_responses_is_refused_on_a_socket(start: Start) -> None:
    application, port = await start()
    async with client(port, "/member"):
        await until(lambda: application.settings["members"])
        (member,) = application.settings["members"]
        with pytest.raises(RuntimeError, match="WebSocket"):
            member.write("x")


@pytest.mark.parametrize("how", ["close", "fail", "abort"])
async def test_on_close_may_wait(start: Start, how: str) -> None:
    _, port = await start()
    async with client(port, "/closing-slowly") as connection:
        if how == "close":
            await connection.close(4000)
        elif how == "fail":
            await connection.send("fail")
        else:
            connection.transport.abort()
        await until(lambda: "endcall" in notes)
    told = [note for note in notes if not str(note).startswith("KeyError")]
    assert told == [4000 if how == "close" else None, "closed", "endcall"]


async def test_an_open_sockets_attributes_share_their_keys(start: Start) -> None:
    """CPython shares the keys of 30 attributes among the objects of a class; one more costs each 1.3 KB."""
    application, port = await start()
    async with client(port, "/member"):
        await until(lambda: application.settings["members"])
        (member,) = application.settings["members"]
        await application.broadcast([member], "x")
        await until(lambda: "_next_time_check" in vars(member))  # the server's sweep has come by
        assert len(vars(member)) <= 28  # some are left for the application's own


class Atomic(Echo):
    async def prepare(self) -> None:
        self.scope.waits_for_method = True  # as with ATOMIC_REQUESTS


@pytest.mark.parametrize("handler", [Echo, Atomic])
@pytest.mark.parametrize("is_debug", [False, True])
async def test_a_handshake_is_answered_while_its_method_goes_on(handler: type[Echo], is_debug: bool) -> None:
    """Where an un-awaited finish waits for the method: with DEBUG, and with ATOMIC_REQUESTS."""
    application = Application([("/", handler)], debug=is_debug, autoreload=False)
    async with TestClient(application) as client, client.websocket("/") as socket:
        await socket.send_text("hello")
        assert await socket.receive_text() == "hello"


async def test_each_message_has_a_scope_that_ends_with_it(start: Start) -> None:
    found: list[Any] = []
    Scoped.scopes = found
    _, port = await start()
    async with client(port, "/scoped") as connection:
        for _ in range(2):
            await connection.send("hello")
            assert await connection.recv() == "done"
        await connection.send("fail")
        assert (await closed(connection))[0] == 1011
    await until(lambda: all(scope.is_closed for scope in found))
    first, again, second, _, failed = found
    assert first is again
    assert len({id(scope) for scope in (first, second, failed)}) == 3
    with pytest.raises(RuntimeError, match="WebSocket's message"):
        first.add("a resource of a task that the message left behind", None)


@pytest.mark.parametrize("error", ["value", "cancel", "exit"])
@pytest.mark.parametrize("message", ["plain", "late"])
@pytest.mark.parametrize("call", ["open", "message", "close"])
async def test_after_an_error_the_hooks_have_the_scope_of_the_request(
    start: Start, call: str, message: str, error: str
) -> None:
    _, port = await start(middlewares=[HoldingHooks])
    async with client(port, f"/holding?fails={call}&as={error}") as connection:
        await connection.send(message)
    calls = ["open", "close"] if call == "open" else ["open", "message", "close"]
    await until(lambda: len(notes) >= len(calls) + 2)
    assert sorted(notes) == sorted(f"{name} closed" for name in [*calls, "exception", "endcall"])


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("call", ["open", "message", "close"])
@pytest.mark.parametrize("path", ["/lingering", "/lingering-briefly"])
async def test_a_call_that_hangs_ends_some_time_after_its_client_has_gone(
    start: Start, path: str, call: str, how: str
) -> None:
    """At once where the handler says so; `on_close` has its time in any case."""
    is_brief = path == "/lingering-briefly" and call != "close"
    _, port = await start(request_timeout=60.0 if is_brief else 0.3)
    async with client(port, f"{path}?in={call}", close_timeout=0.1) as connection:
        await connection.send("hello")
        await until(lambda: call == "close" or call in notes)
        if how == "abort":
            connection.transport.abort()
    await until(lambda: "endcall" in notes)
    calls = ["open"] if call == "open" else ["open", "message"]
    assert [note for note in notes if note != "cancelled"] == [*calls, "close", "endcall"]
    assert notes.count("cancelled") == 1


async def test_a_call_may_go_on_for_a_while_when_its_client_has_gone(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    application, port = await start(request_timeout=60.0)
    async with client(port, "/slow", close_timeout=0.1) as remote:
        await remote.send("hello")
        await until(lambda: Slow.seen)
        remote.transport.abort()
    (connection,) = [handler.ws_connection for handler in application.open_sockets]
    assert isinstance(connection, connections.WebSocketConnection)
    await until(lambda: connection._is_lost)
    Slow.may_go_on.set()
    await until(lambda: not application.open_sockets)
    assert "WebSocketClosedError()" in notes  # it was not cancelled, and wrote
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"], indirect=True)  # uvicorn tells of nothing after a close
@pytest.mark.parametrize(("of", "code", "errors"), [("its own", 4401, 0), ("another", 1011, 1)])
async def test_a_call_that_writes_to_a_socket_that_was_closed(
    start: Start, caplog: pytest.LogCaptureFixture, of: str, code: int, errors: int
) -> None:
    """It is no error that its own has closed meanwhile."""
    _, port = await start()
    async with wire(port, f"/late?of={of.replace(' ', '%20')}") as remote:
        remote.writer.write(client_frame(TEXT, b"hello"))
        _, content = await remote.frame()
        assert int.from_bytes(content[:2], "big") == code
        await until(lambda: "WebSocketClosedError()" in notes)
        remote.writer.write(client_frame(CLOSE, content[:2]))
        await until(lambda: "endcall" in notes)
    assert len([record for record in caplog.records if record.exc_info]) == errors


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_socket_that_waits_ends_in_order_when_its_client_has_gone(start: Start, how: str) -> None:
    """`cancel_on_disconnect` cancels calls, and nothing else."""
    _, port = await start()
    async with client(port, "/lingering-briefly?in=") as connection:
        await connection.send("hello")
        await until(lambda: "message" in notes)
        if how == "abort":
            connection.transport.abort()
    await until(lambda: "endcall" in notes)
    assert notes == ["open", "message", "close", "endcall"]
