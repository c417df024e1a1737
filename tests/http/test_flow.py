"""Every pause of reading is followed by a resume: random schedules with tiny buffers come to their end."""

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from tornado.iostream import StreamClosedError

from tests.http.conftest import Start
from tests.http.wire import Client, Direct, get
from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.http import body as incoming
from torngas_aio.http import protocol as protocols
from torngas_aio.http import stream as streams
from torngas_aio.http import websocket as websockets
from torngas_aio.http.adapters import adapter_for
from torngas_aio.http.base import Exchange
from torngas_aio.http.limits import Limits
from torngas_aio.http.protocol import HTTPProtocol
from torngas_aio.http.request import Request
from torngas_aio.http.server_state import ServerState
from torngas_aio.http.stream import StreamProtocol, TransportStream
from torngas_aio.http.tornado_body import TornadoBody
from torngas_aio.http.websocket import WebSocketConnection

READERS = ("all", "chunks", "cancelled", "some", "none")


class Wire:
    """A transport whose other side is this test."""

    def __init__(self, data: bytes) -> None:
        self.left = data
        self.written = b""
        self.is_reading = True
        self.protocol: Any = None

    def deliver(self, size: int) -> bool:
        """Hand on the next *size* bytes, unless reading is paused or all are delivered."""
        piece, self.left = (self.left[:size], self.left[size:]) if self.is_reading else (b"", self.left)
        if piece:
            self.protocol.data_received(piece)
        return bool(piece)

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.written += b"<closed>"

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0


class Turns:
    """Points at which a reader waits until the schedule lets it go on."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def __call__(self) -> None:
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]

    def give(self, rng: random.Random) -> bool:
        """Let one of those that wait go on; whether there was one."""
        self.waiting = [turn for turn in self.waiting if not turn.done()]
        if self.waiting:
            rng.choice(self.waiting).set_result(None)
        return bool(self.waiting)


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def read(body: Any, how: str, turn: Turns) -> bytes | None:
    """Read *body* in one of many ways; None where it was not read to its end."""
    await turn()
    if how == "all":
        return bytes(await body.read_all())
    data = b""
    while how != "none":
        chunk = b"" if how != "cancelled" else await cancelled_read(body)
        how = "chunks" if how == "cancelled" else how
        chunk = chunk or await body.read_chunk()
        data += chunk
        if not chunk:
            return data
        if how == "some":
            break
        await turn()
    return None


async def cancelled_read(body: Any) -> bytes:
    """Begin to read, and give up where that has to wait."""
    reading = asyncio.ensure_future(body.read_chunk())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    return b"" if reading.cancelled() else bytes(reading.result())


def request_of(rng: random.Random, path: str) -> tuple[bytes, bytes]:
    """One request, and its body."""
    body = rng.randbytes(rng.choice((0, 1, 5, 40, 90, 400)))
    if rng.random() < 0.3:
        cut = rng.randint(0, len(body))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head.encode() + chunks + b"0\r\n\r\n", body
    if not body:
        return get(path), body
    return f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, body


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers that are full at once."""
    monkeypatch.setattr(incoming, "HIGH_WATER", 48)
    monkeypatch.setattr(protocols, "_MAX_AHEAD", 64)
    monkeypatch.setattr(streams, "_HIGH_WATER", 48)
    monkeypatch.setattr(protocols, "_TURN_BYTES", 32)
    monkeypatch.setattr(websockets, "HIGH_WATER", 48)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(60))
async def test_every_request_of_a_random_schedule_is_answered(seed: int) -> None:
    rng = random.Random(seed)
    turn = Turns()
    bodies: list[bytes] = []
    got: list[tuple[bytes, bytes | None]] = []

    async def serve(request: Request, exchange: Exchange) -> None:
        number = int(request.path[1:])
        is_chunked = "Transfer-Encoding" in request.headers  # unread, its end is not waited for
        how = rng.choice(READERS[:3] if is_chunked else READERS)
        got.append((bodies[number], await read(exchange.body, how, turn)))
        exchange.respond(200, "OK", [], b"", is_head=False)

    requests = []
    for number in range(12):
        data, body = request_of(rng, f"/{number}")
        requests.append(data)
        bodies.append(body)
    wire = Wire(b"".join(requests))
    limits = Limits(chunk_size=rng.choice((7, 64, 1000)))
    server_state = ServerState(
        asyncio.get_running_loop(), adapter_for(Direct(serve)), limits, contextvars.copy_context()
    )
    wire.protocol = HTTPProtocol(server_state)
    wire.protocol.connection_made(wire)
    is_full = False
    for _ in range(100_000):
        step = rng.random()
        if step < 0.1:
            is_full = not is_full
            (wire.protocol.pause_writing if is_full else wire.protocol.resume_writing)()
        elif step < 0.5:
            turn.give(rng)
        else:
            wire.deliver(rng.choice((1, 3, 20, 70, 200)))
        await settle()
        if not (wire.left and wire.is_reading) and not turn.waiting and not is_full:
            break
    assert wire.left == b"", "reading was paused, and not resumed"
    assert wire.written.count(b"HTTP/1.1 200 OK") == 12
    assert b"<closed>" not in wire.written
    assert [part for _, part in got if part is not None] == [whole for whole, part in got if part is not None]
    wire.protocol.connection_lost(None)
    server_state.close()


@pytest.mark.parametrize("seed", range(40))
async def test_every_body_on_tornados_server_comes_to_its_end(seed: int) -> None:
    rng = random.Random(seed)
    turn = Turns()
    body = TornadoBody()
    sent = [rng.randbytes(rng.choice((1, 20, 300))) for _ in range(rng.randint(1, 8))]

    async def feed() -> None:
        await body.wanted
        for chunk in sent:
            taken = body.feed(chunk)
            if taken is not None:
                await taken
        body.feed_end()

    async def application() -> bytes | None:
        whole = await read(body, rng.choice(READERS), turn)
        if whole is None and rng.random() < 0.5:
            await body.read_all()
        return whole

    reading = asyncio.ensure_future(application())
    reading.add_done_callback(body.discard)  # as the front door does
    feeding = asyncio.ensure_future(feed())
    for _ in range(200):
        turn.give(rng)
        await settle()
    assert reading.done(), "the reader was not woken"
    assert feeding.done(), "the server was held back for a reader that does not read"
    assert reading.result() in (None, b"".join(sent))


@pytest.mark.parametrize("first", ["read_chunk", "cancelled"])
async def test_the_rest_of_a_body_can_be_read_at_once_on_tornados_server(first: str) -> None:
    body = TornadoBody()
    reading = asyncio.ensure_future(body.read_chunk())
    await asyncio.sleep(0)
    if first == "cancelled":
        reading.cancel()
        await asyncio.wait([reading])
    taken = body.feed(b"one")
    if first == "read_chunk":
        assert await reading == b"one"
    rest = asyncio.ensure_future(body.read_all())
    await asyncio.sleep(0)
    assert taken is not None
    await taken
    body.feed(b"two")
    body.feed_end()
    assert await rest == (b"two" if first == "read_chunk" else b"onetwo")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(60))
async def test_every_byte_of_a_random_schedule_reaches_the_reader_of_a_stream(seed: int) -> None:
    rng = random.Random(seed)
    turn = Turns()
    data = rng.randbytes(3000)
    wire = Wire(data)
    stream = TransportStream(wire)
    wire.protocol = StreamProtocol(stream)
    got = b""

    async def application() -> None:
        nonlocal got
        while len(got) < len(data):
            await turn()
            size = min(rng.choice((1, 10, 100, 500)), len(data) - len(got))
            match rng.choice(("bytes", "partial", "into")):
                case "bytes":
                    got += await stream.read_bytes(size)
                case "partial":
                    got += await stream.read_bytes(size, partial=True)
                case _:
                    target = bytearray(size)
                    await stream.read_into(target)
                    got += target

    reading = asyncio.ensure_future(application())
    for _ in range(100_000):
        if rng.random() < 0.5:
            turn.give(rng)
        else:
            wire.deliver(rng.choice((1, 20, 70, 400)))
        await settle()
        if reading.done() or (not (wire.left and wire.is_reading) and not turn.waiting):
            break
    assert reading.done(), "reading was paused, and not resumed"
    assert got == data
    stream.close()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(40))
async def test_every_message_of_a_random_schedule_reaches_its_websocket(seed: int) -> None:
    rng = random.Random(seed)
    turn = Turns()
    sent = [rng.randbytes(rng.choice((0, 1, 20, 100))) for _ in range(30)]
    wire = Wire(b"".join(b"\x82%c\0\0\0\0%b" % (0x80 | len(payload), payload) for payload in sent))
    got: list[bytes] = []

    class Events:
        async def on_message(self, message: bytes) -> None:
            await turn()
            got.append(message)

        def end_call(self, error: BaseException | None = None) -> None:
            pass

    async def report(error: BaseException) -> None:
        raise error

    wire.protocol = connection = WebSocketConnection(Events(), report, max_message_bytes=1000)  # type: ignore[arg-type]
    connection.connection_made(wire)
    running = asyncio.ensure_future(connection.run())
    for _ in range(10_000):
        if rng.random() < 0.5:
            turn.give(rng)
        else:
            wire.deliver(rng.choice((1, 7, 70, 400)))
        await settle()
        if not (wire.left and wire.is_reading) and not turn.waiting:
            break
    assert wire.left == b"", "reading was paused, and not resumed"
    assert got == sent
    running.cancel()
    await asyncio.wait([running])


def post(path: str, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


REPORTED = {
    "a body of which half came ahead": (post("/1", b"a" * 60_000) + post("/2", b"b" * 20_000)[:-10_000], b"b" * 10_000),
    "six bodies at once": (b"".join(post(f"/{number}", b"c" * 300_000) for number in range(6)), b""),
    "a body that is not read": (post("/unread", b"d" * 60_000) + post("/unread", b"e" * 60_000), post("/3", b"f")),
    "a chunked body": (
        post("/1", b"a" * 70_000) + b"POST /2 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"llo\r\n0\r\n\r\n",
    ),
    "a head in two parts": (
        post("/1", b"a" * 70_000) + b"POST /2 HTTP/1.1\r\nHo",
        b"st: t\r\nContent-Length: 1\r\n\r\nx",
    ),
}


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def connect(request: pytest.FixtureRequest, start: Start) -> AsyncIterator[Any]:
    """Start a server and connect to it: `await connect(application)`."""
    import ssl

    authority = trustme.CA()
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    clients: list[Client] = []

    async def connected(application: Any) -> Client:
        ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(ours)
        served = await start(application, **({"ssl_options": ours} if request.param else {}))
        clients.append(await served.client(theirs if request.param else None))
        return clients[-1]

    yield connected
    for client in clients:
        await client.__aexit__()


@pytest.mark.parametrize("case", REPORTED)
async def test_pipelined_bodies_are_read_to_their_end(connect: Any, case: str) -> None:
    is_held_up = asyncio.Event()
    may_go_on = asyncio.Event()

    async def serve(request: Request, exchange: Exchange) -> None:
        if request.path == "/slow":
            is_held_up.set()
            await may_go_on.wait()
        body = b"" if request.path == "/unread" else await exchange.body.read_all()
        exchange.respond(200, "OK", [], b"%d" % len(body), is_head=False)

    client = await connect(Direct(serve))
    ahead, rest = REPORTED[case]
    client.send(get("/slow"))
    await is_held_up.wait()
    client.send(ahead)
    await asyncio.sleep(0.05)  # time for what can arrive to arrive; a schedule without it would pass as well
    may_go_on.set()
    await asyncio.sleep(0.01)
    client.send(rest)
    requests = (ahead + rest).count(b" HTTP/1.1")
    async with asyncio.timeout(15):
        answers = [await client.answer() for _ in range(1 + requests)]
    assert {answer.status for answer in answers} == {200}


async def test_a_stream_that_is_lost_while_it_is_paused_gives_what_had_arrived() -> None:
    wire = Wire(b"")
    stream = TransportStream(wire)
    StreamProtocol(stream).data_received(b"x" * 100_000)
    assert not wire.is_reading
    stream.lose(None)
    assert await stream.read_bytes(100_000) == b"x" * 100_000
    with pytest.raises(StreamClosedError):
        await stream.read_bytes(1)


class Large(WebHandler):
    after: asyncio.Future[bool]

    async def get(self) -> None:
        try:
            await self.finish(b"x" * 100_000_000)  # the system may take 40 MB for a connection
        except StreamClosedError:
            self.after.set_result(False)
            raise
        self.after.set_result(True)


@pytest.mark.parametrize("last", ["", "Connection: close"])
@pytest.mark.parametrize("leaves", [False, True])
async def test_the_method_goes_on_when_the_client_has_what_is_sent(start: Start, last: str, leaves: bool) -> None:
    """Also where the connection closes after it; not for a client that leaves before."""
    Large.after = asyncio.get_running_loop().create_future()
    served = await start(Application([(r"/", Large)]))
    async with await served.client() as client:
        client.send(get("/", *filter(None, [last])))
        await client.reader.readexactly(1)
        await asyncio.sleep(0.05)  # the rest fills the transport meanwhile
        assert not Large.after.done()
        if leaves:
            client.writer.transport.abort()
        else:
            while len(await client.reader.read(1 << 20)) and not Large.after.done():
                await asyncio.sleep(0)
        async with asyncio.timeout(20):
            assert await Large.after is not leaves
