"""A transport over a stream of Tornado's, for a protocol that takes over a connection, such as a WebSocket."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, SSLIOStream

from torngas_aio.http.base import Successor

__all__ = ["StreamTransport"]


class StreamTransport:
    """The methods of a transport that a `Successor` needs, over Tornado's stream."""

    _READ_BYTES = 64 * 1024
    _HIGH_WATER = 64 * 1024

    def __init__(self, stream: IOStream, successor: Successor) -> None:
        self._stream = stream
        self._successor = successor
        self._unsent = 0
        self._may_read = True
        self._is_reading = False
        self._is_full = False
        self._at_rest: Callable[[], None] | None = None  # once everything has been sent
        successor.connection_made(self)  # type: ignore[arg-type]  # as much of a transport as a Successor uses
        stream.set_close_callback(self._lost)
        self._read()

    def _read(self) -> None:
        if self._may_read and not self._is_reading and not self._stream.closed():
            self._is_reading = True
            reading: Any = self._stream.read_bytes(self._READ_BYTES, partial=True)
            reading.add_done_callback(self._on_read)

    def _on_read(self, read: "asyncio.Future[bytes]") -> None:
        self._is_reading = False
        if not read.cancelled() and read.exception() is None:
            self._successor.data_received(read.result())
            self._read()

    def _lost(self) -> None:
        error = self._stream.error
        self._successor.connection_lost(error if isinstance(error, Exception) else None)

    def write(self, data: bytes) -> None:
        if self._stream.closed():
            return
        self._unsent += len(data)
        self._stream.write(data).add_done_callback(functools.partial(self._on_written, len(data)))
        if self._unsent > self._HIGH_WATER and not self._is_full:
            self._is_full = True
            self._successor.pause_writing()

    def _on_written(self, size: int, written: "asyncio.Future[None]") -> None:
        self._unsent -= size
        if written.cancelled() or written.exception() is not None or self._unsent:
            return
        if self._is_full:
            self._is_full = False
            self._successor.resume_writing()
        if self._at_rest is not None:
            self._at_rest()

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return self._stream.socket if name == "socket" else default

    def pause_reading(self) -> None:
        self._may_read = False

    def resume_reading(self) -> None:
        self._may_read = True
        self._read()

    def is_closing(self) -> bool:
        return self._stream.closed() or self._at_rest is not None

    def can_write_eof(self) -> bool:
        return not isinstance(self._stream, SSLIOStream)

    def write_eof(self) -> None:
        self._when_sent(self._shut_down)

    def close(self) -> None:
        self._when_sent(self._stream.close)

    def abort(self) -> None:
        self._stream.close()

    def _when_sent(self, end: Callable[[], None]) -> None:
        self._at_rest = end
        if not self._unsent:
            end()

    def _shut_down(self) -> None:
        if self._stream.closed():  # the client went while the last bytes left; there is no socket any more
            return
        with contextlib.suppress(OSError):  # the client has gone
            self._stream.socket.shutdown(socket.SHUT_WR)  # pyright: ignore[reportOptionalMemberAccess]
