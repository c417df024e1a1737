"""The result of `detach()`: a Tornado IOStream over an asyncio transport.

    transport ──data_received──► inbox ──► IOStream's own buffer and reads
    IOStream.write ──► transport.write; while that is full, IOStream buffers the data

The socket is not used directly, so bytes keep their order, TLS continues, and the loop's back-pressure applies.
Before `detach()` the stream can only describe the connection and close it.
"""

import asyncio
import ssl
from typing import Any, Self

from tornado.iostream import BaseIOStream, IOStream, StreamBufferFullError, UnsatisfiableReadError
from tornado.netutil import ssl_options_to_context

from torngas_aio._compat.tornado import BufferedStream
from torngas_aio.http.base import Successor

__all__ = ["SocketView", "StreamProtocol", "TransportStream"]

_HIGH_WATER = 64 * 1024  # unread bytes above which reading from the transport pauses
_LAST_SECONDS = 10.0  # for sending the rest after the stream was closed


class SocketView:
    """The socket of a transport, for reading and setting its options; with TLS, also the TLS object's methods."""

    def __init__(self, transport: Any) -> None:
        self._socket = transport.get_extra_info("socket")
        self._tls = transport.get_extra_info("ssl_object")

    def __getattr__(self, name: str) -> Any:
        if self._tls is not None and hasattr(self._tls, name):  # getpeercert, cipher, version, ...
            return getattr(self._tls, name)
        return getattr(self._socket, name)


class TransportStream(BufferedStream, IOStream):
    """A connection that no longer uses HTTP."""

    def __init__(self, transport: Any) -> None:
        BaseIOStream.__init__(self)  # IOStream's own requires exclusive use of the socket
        self.socket: Any = SocketView(transport)
        self._transport = transport
        self._inbox = bytearray()
        self._is_read_paused = False
        self._is_write_paused = False
        self._last_call: asyncio.TimerHandle | None = None

    # Called by the protocol

    def feed(self, data: bytes) -> None:
        """Process received bytes."""
        if self.closed():
            return
        self._inbox += data
        if self.is_awaited:
            self._read_inbox()
        if len(self._inbox) > _HIGH_WATER and not self._is_read_paused and not self._transport.is_closing():
            self._is_read_paused = True
            self._transport.pause_reading()

    def _read_inbox(self) -> None:
        try:
            self.read_now()
        except (OSError, StreamBufferFullError, UnsatisfiableReadError) as exc:
            self.close(exc_info=exc)

    def lose(self, exc: BaseException | None) -> None:
        """Close the stream because the connection has ended; received bytes can still be read."""
        if self._last_call is not None:
            self._last_call.cancel()
            self._last_call = None
        if self.closed():
            return
        if not self.is_filling:
            self._empty_inbox()
        self.close(exc_info=exc if exc is not None else False)

    def hold_writes(self) -> None:
        """Buffer further writes: the transport is full."""
        self._is_write_paused = True

    def release_writes(self) -> None:
        """Write the buffered data to the transport."""
        self._is_write_paused = False
        if not self.closed():
            self._handle_write()

    # Overrides of IOStream

    def fileno(self) -> Any:
        """Return the socket's file descriptor."""
        return self.socket.fileno()

    def close_fd(self) -> None:
        """Close the transport once its buffer is sent, after `_LAST_SECONDS` at most."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._last_call = asyncio.get_running_loop().call_later(_LAST_SECONDS, self._transport.abort)

    def get_fd_error(self) -> Exception | None:
        """Return None: the transport reports errors itself."""
        return None

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Move bytes from the inbox to *buf*, for `read_into`."""
        size = min(len(buf), len(self._inbox))
        if not size:
            return None
        buf[:size] = self._inbox[:size]
        del self._inbox[:size]
        self._resume_reading()
        return size

    def write_to_fd(self, data: memoryview) -> int:
        """Write all of *data* to the transport; while that is full, write nothing."""
        if self._is_write_paused:
            return 0
        self._transport.write(bytes(data))
        return len(data)

    def set_nodelay(self, value: bool) -> None:
        """Do nothing: the loop's transports set TCP_NODELAY."""

    def start_tls(
        self,
        server_side: bool,
        ssl_options: dict[str, Any] | ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> Any:
        """Switch to TLS; return an awaitable of this stream, which is done after the handshake.

        Raises:
            ValueError: A read or write is still in progress.
        """
        if not self.is_quiet or self._inbox:
            raise ValueError("The stream is not idle; it cannot go on in TLS.")
        if isinstance(ssl_options, ssl.SSLContext):
            context = ssl_options
        elif ssl_options is None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH if server_side else ssl.Purpose.SERVER_AUTH)
        else:
            context = ssl_options_to_context(ssl_options, server_side=server_side)
        return self._start_tls(context, server_side, server_hostname)

    async def _start_tls(self, context: ssl.SSLContext, server_side: bool, hostname: str | None) -> Self:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self._transport.get_protocol(),
                context,
                server_side=server_side,
                server_hostname=hostname,
            )
        except BaseException as exc:
            self.close(exc_info=exc)
            raise
        assert transport is not None
        self._transport = transport
        self.socket = SocketView(transport)
        return self

    def cut(self) -> None:
        """Close at once, dropping unsent data."""
        self._transport.abort()

    # Overrides of BaseIOStream that would access the socket

    def _read_to_buffer(self) -> int | None:
        if self.is_filling:
            return super()._read_to_buffer()
        size = len(self._inbox)
        if size:
            self._empty_inbox()
            self._resume_reading()
            if self._read_buffer_size > self.max_buffer_size:
                raise StreamBufferFullError("Reached maximum read buffer size")
        return size

    def _empty_inbox(self) -> None:
        self._read_buffer += self._inbox
        self._read_buffer_size += len(self._inbox)
        self._inbox.clear()

    def _resume_reading(self) -> None:
        if self._is_read_paused and len(self._inbox) < _HIGH_WATER // 2:
            self._is_read_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _add_io_state(self, state: int) -> None:
        """Do nothing: the transport watches the socket."""

    def _handle_write(self) -> None:
        if self._write_buffer is not None:
            super()._handle_write()


class StreamProtocol(Successor):
    """A protocol that forwards a transport's events to a stream."""

    __slots__ = ("_stream",)

    def __init__(self, stream: TransportStream) -> None:
        self._stream = stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Do nothing: the stream knows its transport."""

    def data_received(self, data: bytes) -> None:
        """Forward *data*."""
        self._stream.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forward the end of the connection."""
        self._stream.lose(exc)

    def pause_writing(self) -> None:
        """Make the stream buffer writes."""
        self._stream.hold_writes()

    def resume_writing(self) -> None:
        """Make the stream write its buffered data."""
        self._stream.release_writes()

    def cut(self) -> None:
        """Close at once."""
        self._stream.cut()
