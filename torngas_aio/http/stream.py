"""What `detach()` gives: a Tornado IOStream that works through an asyncio transport.

    transport ──data_received──► inbox ──► IOStream's own buffer and reads
    IOStream.write ──► transport.write, unless that is full: then IOStream keeps it until it has drained

The socket is never touched, so bytes keep their order, TLS goes on, and the loop's back-pressure holds.
Until it takes the connection over, a stream can be asked about it and can close it.
"""

import asyncio
import ssl
from typing import Any, Self

from tornado.iostream import BaseIOStream, IOStream, StreamBufferFullError, UnsatisfiableReadError
from tornado.netutil import ssl_options_to_context

from torngas_aio._compat.tornado import BufferedStream
from torngas_aio.http.base import Successor

__all__ = ["SocketView", "StreamProtocol", "TransportStream"]

_HIGH_WATER = 64 * 1024  # unread bytes, above which the transport is not read
_LAST_SECONDS = 10.0  # for a client to take what was written before the stream was closed


class SocketView:
    """The socket of a transport, to be asked and configured; with TLS, the TLS object's methods as well."""

    def __init__(self, transport: Any) -> None:
        self._socket = transport.get_extra_info("socket")
        self._tls = transport.get_extra_info("ssl_object")

    def __getattr__(self, name: str) -> Any:
        if self._tls is not None and hasattr(self._tls, name):  # getpeercert, cipher, version, ...
            return getattr(self._tls, name)
        return getattr(self._socket, name)


class TransportStream(BufferedStream, IOStream):
    """A connection that speaks another protocol than HTTP now."""

    def __init__(self, transport: Any) -> None:
        BaseIOStream.__init__(self)  # IOStream's own wants a socket to itself
        self.socket: Any = SocketView(transport)
        self._transport = transport
        self._inbox = bytearray()
        self._is_read_paused = False
        self._is_write_paused = False
        self._last_call: asyncio.TimerHandle | None = None

    # The transport speaks

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.closed():
            return
        self._inbox += data
        if self.is_awaited:
            self._pull()
        if len(self._inbox) > _HIGH_WATER and not self._is_read_paused and not self._transport.is_closing():
            self._is_read_paused = True
            self._transport.pause_reading()

    def _pull(self) -> None:
        try:
            self.read_now()
        except (OSError, StreamBufferFullError, UnsatisfiableReadError) as exc:
            self.close(exc_info=exc)

    def lose(self, exc: BaseException | None) -> None:
        """Note that the connection has ended; what has arrived can still be read."""
        if self._last_call is not None:
            self._last_call.cancel()
            self._last_call = None
        if self.closed():
            return
        if not self.is_filling:
            self._empty_inbox()
        self.close(exc_info=exc if exc is not None else False)

    def hold_writes(self) -> None:
        """Keep further writes here: the transport holds enough."""
        self._is_write_paused = True

    def release_writes(self) -> None:
        """Give the transport what was kept."""
        self._is_write_paused = False
        if not self.closed():
            self._handle_write()

    # IOStream asks

    def fileno(self) -> Any:
        """Return the socket's number."""
        return self.socket.fileno()

    def close_fd(self) -> None:
        """Close the transport once it has sent what it holds; give it `_LAST_SECONDS` for that."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._last_call = asyncio.get_running_loop().call_later(_LAST_SECONDS, self._transport.abort)

    def get_fd_error(self) -> Exception | None:
        """Return None: the transport tells of errors itself."""
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
        """Give *data* to the transport, all of it or, while that is full, nothing."""
        if self._is_write_paused:
            return 0
        self._transport.write(bytes(data))
        return len(data)

    def set_nodelay(self, value: bool) -> None:
        """Nothing: the loop's transports never delay."""

    def start_tls(
        self,
        server_side: bool,
        ssl_options: dict[str, Any] | ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> Any:
        """Go on in TLS; return an awaitable of this stream, once the handshake is done.

        Raises:
            ValueError: Something is still being read or written.
        """
        if not self.is_quiet or self._inbox:
            raise ValueError("The stream is not idle; it cannot go on in TLS.")
        if isinstance(ssl_options, ssl.SSLContext):
            context = ssl_options
        elif ssl_options is None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH if server_side else ssl.Purpose.SERVER_AUTH)
        else:
            context = ssl_options_to_context(ssl_options, server_side=server_side)
        return self._go_on_in_tls(context, server_side, server_hostname)

    async def _go_on_in_tls(self, context: ssl.SSLContext, server_side: bool, hostname: str | None) -> Self:
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
        """Close at once; what has not been sent is lost."""
        self._transport.abort()

    # Where BaseIOStream would go to the socket

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
        """Nothing: the transport watches the socket."""

    def _handle_write(self) -> None:
        if self._write_buffer is not None:
            super()._handle_write()


class StreamProtocol(Successor):
    """Passes a transport's events on to a stream."""

    __slots__ = ("_stream",)

    def __init__(self, stream: TransportStream) -> None:
        self._stream = stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing: the stream knows its transport."""

    def data_received(self, data: bytes) -> None:
        """Pass *data* on."""
        self._stream.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the stream of its end."""
        self._stream.lose(exc)

    def pause_writing(self) -> None:
        """Have the stream keep what is written."""
        self._stream.hold_writes()

    def resume_writing(self) -> None:
        """Have the stream write what it kept."""
        self._stream.release_writes()

    def cut(self) -> None:
        """Close at once."""
        self._stream.cut()
