"""Tornado's stream over a transport: bytes in order, back-pressure both ways, and the end of the connection."""

import asyncio
import ssl
from typing import Any

import pytest
from tornado.iostream import StreamBufferFullError, StreamClosedError, UnsatisfiableReadError

from tests.polling import until
from torngas_aio.http import stream as module
from torngas_aio.http.stream import SocketView, StreamProtocol, TransportStream


class Transport:
    """A transport whose other side is the test."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.unsent = 0
        self.has_ended = False

    def get_extra_info(self, name: str) -> Any:
        return None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return self.has_ended

    def close(self) -> None:
        self.calls.append("close")
        self.has_ended = True

    def abort(self) -> None:
        self.calls.append("abort")
        self.has_ended = True

    def get_write_buffer_size(self) -> int:
        return self.unsent


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
async def stream(transport: Transport) -> TransportStream:
    return TransportStream(transport)


async def test_bytes_are_read_as_they_come(stream: TransportStream) -> None:
    protocol = StreamProtocol(stream)
    protocol.data_received(b"one two")
    assert await stream.read_bytes(4) == b"one "
    line = asyncio.ensure_future(stream.read_until(b"\n"))
    protocol.data_received(b" three")
    await asyncio.sleep(0)
    assert not line.done()
    protocol.data_received(b"\nfour")
    assert await line == b"two three\n"
    assert await stream.read_bytes(10, partial=True) == b"four"


async def test_a_readers_own_buffer_is_filled(stream: TransportStream) -> None:
    stream.feed(b"abcdef")
    buffer = bytearray(4)
    assert await stream.read_into(buffer) == 4
    assert buffer == b"abcd"
    reading = stream.read_into(buffer, partial=True)
    assert await reading == 2
    assert buffer == b"efcd"


async def test_a_transport_is_not_read_while_too_much_is_unread(stream: TransportStream, transport: Transport) -> None:
    stream.feed(b"x" * module._HIGH_WATER)
    assert transport.calls == []
    stream.feed(b"x")
    stream.feed(b"x")
    assert transport.calls == ["pause"]
    assert await stream.read_bytes(10) == b"x" * 10
    assert transport.calls == ["pause", "resume"]


async def test_what_is_written_goes_on_at_once_until_the_transport_is_full(
    stream: TransportStream, transport: Transport
) -> None:
    protocol = StreamProtocol(stream)
    await stream.write(b"one")
    assert transport.written == [b"one"]
    protocol.pause_writing()
    kept = [stream.write(b"two"), stream.write(b"three")]
    assert transport.written == [b"one"]
    assert stream.writing()
    protocol.resume_writing()
    await asyncio.gather(*kept)
    assert b"".join(transport.written) == b"onetwothree"
    assert not stream.writing()


async def test_what_has_arrived_can_be_read_after_the_end(stream: TransportStream) -> None:
    closed: list[str] = []
    stream.set_close_callback(lambda: closed.append("closed"))
    protocol = StreamProtocol(stream)
    protocol.data_received(b"last words")
    protocol.connection_lost(None)
    assert stream.closed()
    assert await stream.read_bytes(5) == b"last "
    assert await stream.read_until_close() == b"words"
    with pytest.raises(StreamClosedError):
        await stream.read_bytes(1)
    await until(lambda: closed)
    protocol.data_received(b"late")
    protocol.connection_lost(None)
    protocol.resume_writing()
    assert closed == ["closed"]


async def test_a_connection_that_breaks_fails_reads_and_writes(stream: TransportStream, transport: Transport) -> None:
    protocol = StreamProtocol(stream)
    reading = asyncio.ensure_future(stream.read_bytes(1))
    protocol.pause_writing()
    writing = asyncio.ensure_future(stream.write(b"kept"))
    await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError("by the peer"))
    for waiting in (reading, writing):
        with pytest.raises(StreamClosedError) as caught:
            await waiting
        assert isinstance(caught.value.real_error, ConnectionResetError)
    assert transport.written == []


@pytest.mark.parametrize(
    ("limit", "read", "error"),
    [
        ({"max_buffer_size": 10}, lambda stream: stream.read_until(b"\n"), StreamBufferFullError),
        ({}, lambda stream: stream.read_until(b"\n", max_bytes=10), UnsatisfiableReadError),
    ],
)
async def test_a_peer_that_sends_more_than_may_be_kept_is_closed(
    stream: TransportStream, transport: Transport, limit: dict[str, int], read: Any, error: type[Exception]
) -> None:
    for name, value in limit.items():
        setattr(stream, name, value)
    reading = asyncio.ensure_future(read(stream))
    await asyncio.sleep(0)
    stream.feed(b"x" * 20)
    with pytest.raises(StreamClosedError) as caught:
        await reading
    assert isinstance(caught.value.real_error, error)
    assert transport.calls == ["close"]


@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_closed_stream_gives_the_peer_some_time_for_the_rest(
    stream: TransportStream, transport: Transport, is_slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.0)
    transport.unsent = 100 * is_slow
    stream.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.calls == (["close", "abort"] if is_slow else ["close"])


async def test_a_peer_that_takes_the_rest_is_not_cut_off(stream: TransportStream, transport: Transport) -> None:
    transport.unsent = 100
    stream.close()
    assert stream._last_call is not None
    stream.lose(None)
    assert stream._last_call is None
    assert transport.calls == ["close"]
    StreamProtocol(stream).cut()
    assert transport.calls == ["close", "abort"]


async def test_tls_begins_where_nothing_is_under_way_only(stream: TransportStream) -> None:
    stream.feed(b"too early")
    with pytest.raises(ValueError, match="not idle"):
        stream.start_tls(server_side=True, ssl_options=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


async def test_a_handshake_that_fails_closes_the_stream(
    stream: TransportStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: Any, **kwargs: Any) -> None:
        raise ssl.SSLError("no shared cipher")

    monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", fail)
    stream._transport.get_protocol = lambda: None
    with pytest.raises(ssl.SSLError, match="no shared cipher"):
        await stream.start_tls(server_side=True, ssl_options=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert stream.closed()
    assert isinstance(stream.error, ssl.SSLError)


def test_the_socket_is_asked_and_with_tls_what_wraps_it() -> None:
    class Plain:
        family = "inet"

        def cipher(self) -> str:
            return "none"

    class Wrapped:
        def cipher(self) -> str:
            return "TLS_AES_128"

    infos: dict[str, Any] = {"socket": Plain()}
    transport = type("Asked", (), {"get_extra_info": lambda self, name: infos.get(name)})()
    assert SocketView(transport).cipher() == "none"
    infos["ssl_object"] = Wrapped()
    view = SocketView(transport)
    assert (view.cipher(), view.family) == ("TLS_AES_128", "inet")
    with pytest.raises(AttributeError):
        _ = view.absent
