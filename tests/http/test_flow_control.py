"""How long a client may leave unread what waits for it, by a clock of the test, and what is known of the client."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from tests.http.conftest import Start
from tests.http.wire import get
from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.http import flow_control
from torngas_aio.http.flow_control import FlowControlledProtocol
from torngas_aio.http.limits import Limits
from torngas_aio.http.server import HTTPServer

SIZE = 5_000_000


class Transport:
    """Holds what the client has not taken, partly in the system's queue."""

    def __init__(self) -> None:
        self.buffered = 0
        self.queued = 0
        self.is_cut = False

    def write(self, data: bytes) -> None:
        self.buffered += len(data)

    def abort(self) -> None:
        self.is_cut = True

    def is_closing(self) -> bool:
        return self.is_cut

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    family = 0


def cut_after(monkeypatch: pytest.MonkeyPatch, reads: Callable[[int], int], moves: Callable[[int], int]) -> int | None:
    """Seconds after which the client is cut off; None if it is served to the end of the 100 s.

    Args:
        reads: Bytes that the client acknowledges in a second.
        moves: Bytes that the system takes from the transport in a second.
    """
    monkeypatch.setattr(flow_control, "queued_bytes", lambda transport: transport.queued)
    clock = SimpleNamespace(now=1000.0)
    loop = SimpleNamespace(time=lambda: clock.now)
    transport = Transport()
    channel = FlowControlledProtocol(SimpleNamespace(limits=Limits(), loop=loop, scheme=None))  # type: ignore[arg-type]
    channel.connection_made(transport)  # type: ignore[arg-type]
    channel.send(b"x" * SIZE)
    channel.pause_writing()
    for second in range(1, 100):
        clock.now += 1
        moved = min(moves(second), transport.buffered)
        transport.buffered -= moved
        transport.queued += moved
        transport.queued -= min(reads(second), transport.queued)
        channel.check_writing(clock.now)
        if transport.is_cut:
            return second
    return None


@pytest.mark.parametrize(
    ("last", "reads"),
    [
        (1, lambda second: 0),
        (1, lambda second: 300_000 if second == 1 else 0),  # what its own system takes without it
        (9, lambda second: 300_000 if second <= 9 else 0),
        (15, lambda second: 10_000 if second <= 15 else 0),
        (30, lambda second: 10_000 if second in {1, 8, 15, 22, 30} else 0),
    ],
)
@pytest.mark.parametrize("moves", [lambda second: 400_000, lambda second: 1000, lambda second: SIZE - 1])
def test_a_client_is_cut_off_soon_after_the_last_byte_it_took(
    monkeypatch: pytest.MonkeyPatch, last: int, reads: Callable[[int], int], moves: Callable[[int], int]
) -> None:
    """What the system takes from us meanwhile is no progress."""
    seconds = cut_after(monkeypatch, reads, moves)
    assert seconds is not None
    assert last < seconds <= last + 12


@pytest.mark.parametrize("pace", [300, 5000])
def test_a_slow_but_steady_client_is_served(monkeypatch: pytest.MonkeyPatch, pace: int) -> None:
    assert cut_after(monkeypatch, lambda _: pace, lambda _: 40_000) is None


@pytest.mark.parametrize("pace", [1, 100])
def test_a_client_that_takes_next_to_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, pace: int) -> None:
    assert cut_after(monkeypatch, lambda _: pace, lambda _: 40_000) == 10


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_UNIX, "0.0.0.0")],
)
async def test_the_family_of_the_clients_address(family: int, address: str, tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []

    async def answer(request: Any) -> None:
        context = request.connection.context
        seen.append((context.address_family, context.remote_ip))
        request.connection.respond(204, "No Content", (), b"", False)

    server = HTTPServer(SimpleNamespace(serve_request=answer))
    listening = socket.socket(family)
    listening.bind(str(tmp_path / "socket") if family == socket.AF_UNIX else (address, 0))
    listening.listen()
    listening.setblocking(False)
    server.add_socket(listening)
    await server.started()
    with socket.socket(family) as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, listening.getsockname())
        await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert await asyncio.get_running_loop().sock_recv(client, 100)
    assert seen == [(family, address)]
    await server.stop_gracefully(1)


ENDLESS = 100_000
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PART = b"x" * 5000


class EndlessStream(WebHandler):
    async def get(self) -> None:
        try:
            for _ in range(ENDLESS):
                self.write(PART)
                await self.flush()
        except StreamClosedError:
            self.settings["ends"].append(self.request.path)


class EndlessSocket(WebSocketHandler):
    async def open(self) -> None:
        try:
            for _ in range(ENDLESS):
                await self.write_message(PART, binary=True)
        except WebSocketClosedError:
            self.settings["ends"].append(self.request.path)


def leave_midway(address: tuple[str, int], path: str, context: ssl.SSLContext) -> None:
    with socket.create_connection(address) as plain, context.wrap_socket(plain, server_hostname="localhost") as sock:
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
        sock.sendall(get(path, *fields))
        size = 0
        while size < 500_000:
            size += len(sock.recv(65536))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("path", ["/stream", "/socket"])
async def test_a_tls_client_that_leaves_an_endless_writer_stops_it(start: Start, path: str) -> None:
    """A TLS transport takes every write then, until the loop has its turn: the writer must let it."""
    ends: list[str] = []
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    application = Application([("/stream", EndlessStream), ("/socket", EndlessSocket)], ends=ends)
    served = await start(application, ssl_options=ours)
    await asyncio.gather(*(asyncio.to_thread(leave_midway, served.address, path, theirs) for _ in range(6)))
    await until(lambda: len(ends) == 6)
