"""The transport of one connection: output, back-pressure in both directions, and clients that do not read.

send ──► transport ── buffer full: pause_writing ──► `drain` waits, a deadline runs
                   └─ buffer lower: resume_writing ──► writers continue
send_file ──► `sendfile` on a duplicate of the socket, once the transport's buffer is empty; waits and ends as `send`
pause_reading, resume_reading     back-pressure on input
"""

import asyncio
import os
import socket
import struct
from typing import Any

from tornado.iostream import StreamClosedError

from torngas_aio.http.limits import NEVER
from torngas_aio.http.proxies import Peer
from torngas_aio.http.server_state import ServerState, logger
from torngas_aio.utils.narrowing import is_list_or_tuple

__all__ = ["FlowControlledProtocol", "queued_bytes"]
try:
    import fcntl
    import termios
except ImportError:  # not on this system: progress is noticed later, when the kernel accepts more bytes
    _queue_request = None
else:
    _queue_request = getattr(termios, "TIOCOUTQ", None)


_int = struct.Struct("i")
_sendfile = getattr(os, "sendfile", None)  # the socket does not block, and the file is cached or read ahead
_FILE_STEP = 512 * 1024  # bytes of a file sent in one turn of the loop


def queued_bytes(sock: Any) -> int:
    """Return how many bytes the peer has not acknowledged; 0 if the system does not report it."""
    if _queue_request is None or sock is None:
        return 0
    try:
        size: int = _int.unpack(fcntl.ioctl(sock.fileno(), _queue_request, b"\0\0\0\0"))[0]  # pyright: ignore[reportPossiblyUnboundVariable]
    except (OSError, ValueError):  # closed in the meantime
        return 0
    return size


def _family_of(address: object, transport: asyncio.BaseTransport) -> int | None:
    """Return the address family of *transport*, whose peer is *address*; None if it is unknown."""
    # PERF: uvloop makes a system call for the socket: -2 us a connection (benchmarks, connect)
    if is_list_or_tuple(address) and isinstance(address[0], str):
        return socket.AF_INET if len(address) == 2 else socket.AF_INET6
    found: socket.socket | None = transport.get_extra_info("socket")
    return None if found is None else found.family


class FlowControlledProtocol(asyncio.Protocol):
    """A connection's transport, with back-pressure both ways and a deadline for clients that do not read.

    Attributes:
        server_state: State shared with the server's other connections.
        transport: The loop's transport; `write` is its method.
        context: The peer of the connection; behind a proxy, the client of a request is its exchange's `context`.
        is_gone: Nothing more can be sent.
        is_lost: Buffered data cannot reach the peer any more either.
        is_writing_paused: The transport's buffer is above its high-water mark.
        sent: Bytes passed to the transport.
    """

    __slots__ = (
        "__weakref__",
        "_is_reading_paused",
        "_is_yielding",
        "_taken",
        "_taken_at",
        "_waiters",
        "_write_deadline",
        "_write_mark",
        "context",
        "is_gone",
        "is_lost",
        "is_writing_paused",
        "sent",
        "server_state",
        "transport",
        "write",
    )

    transport: Any
    context: Peer

    def __init__(self, server_state: ServerState) -> None:
        self.server_state = server_state
        self.is_gone = False
        self.is_lost = False
        self.is_writing_paused = False
        self._is_reading_paused = False
        self._is_yielding = False
        self._waiters: list[asyncio.Future[None]] | None = None
        self._write_deadline = NEVER
        self._write_mark = 0
        self.sent = 0
        self._taken = 0
        self._taken_at = 0.0

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the connection."""
        self.transport = transport
        self.write = self.transport.write
        is_tls = transport.get_extra_info("ssl_object") is not None
        address = transport.get_extra_info("peername")
        self.context = Peer.of_socket(
            address, _family_of(address, transport), self.server_state.scheme or ("https" if is_tls else "http")
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Release every waiting writer; without an error, the kernel took the last byte before the transport closed."""
        self.is_gone = self.is_lost = True
        self._write_deadline = NEVER
        self._release_writers(has_failed=exc is not None)

    def pause_writing(self) -> None:
        """Note that the client reads slower than the server writes."""
        self.is_writing_paused = True
        self._is_yielding = False
        if self._write_deadline is NEVER:  # otherwise an earlier pause has set it
            self._watch_writing()

    def resume_writing(self) -> None:
        """Let waiting writers continue."""
        self.is_writing_paused = False
        self._release_writers(has_failed=False)

    # Output

    def send(self, data: bytes) -> None:
        """Write a part of a response; `drain` fails if it cannot arrive."""
        if self.transport.is_closing():  # broken: the loop calls `connection_lost` in its next turn
            self.is_gone = True
            return
        self.sent += len(data)
        self.write(data)

    def yield_turn(self) -> None:
        """Make writers wait for the loop's next turn, as if the transport were full.

        A TLS transport whose client has gone accepts any number of bytes until the loop calls `connection_lost`: a
        handler that writes endlessly, and awaits nothing else, would never let it run.
        """
        if not self.is_writing_paused:
            self.is_writing_paused = self._is_yielding = True
            self.server_state.loop.call_soon(self._end_yielding)

    def _end_yielding(self) -> None:
        if self._is_yielding:  # otherwise the transport has paused writing
            self._is_yielding = False
            self.resume_writing()

    @property
    def can_send_files(self) -> bool:
        """Whether `send_file` works on this connection."""
        extra = self.transport.get_extra_info
        return _sendfile is not None and extra("ssl_object") is None and extra("socket") is not None

    async def send_file(self, descriptor: int, start: int, count: int) -> int:
        """Send *count* bytes of an open file, beginning at *start*, without copying them into this process.

        A client that reads too slowly is disconnected, as with `send`. Nothing else may be sent meanwhile.

        Returns:
            How many bytes are missing because the file is too short.

        Raises:
            OSError: The file cannot be read.
            StreamClosedError: The client has gone.
        """
        assert _sendfile is not None
        await self._empty_transport()
        if self.is_gone or self.transport.is_closing():
            self.is_gone = True
            raise StreamClosedError
        # The loop lets no other code wait for the transport's own descriptor, and uvloop lacks `loop.sendfile`.
        out = os.dup(self.transport.get_extra_info("socket").fileno())
        try:
            while count:
                try:
                    sent = _sendfile(out, descriptor, start, min(count, _FILE_STEP))
                except BlockingIOError:
                    await self._writable(out)
                    continue
                except (ConnectionError, TimeoutError) as exc:
                    self.cut()
                    raise StreamClosedError(exc) from exc
                if not sent:
                    break
                start += sent
                count -= sent
                self.sent += sent
                if sent == _FILE_STEP:
                    await asyncio.sleep(0)
                if self.is_gone:
                    raise StreamClosedError
        finally:
            os.close(out)
        return count

    async def _empty_transport(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.set_write_buffer_limits(high=0)  # pauses writing until the buffer is empty
            try:
                await self.drain()
            finally:
                self.transport.set_write_buffer_limits()

    async def _writable(self, descriptor: int) -> None:
        """Return when the kernel accepts more bytes; until then writing is paused and the deadline runs."""
        loop = self.server_state.loop
        self.pause_writing()
        loop.add_writer(descriptor, self.resume_writing)
        try:
            await self.drain()
        finally:
            loop.remove_writer(descriptor)
            self.is_writing_paused = False

    def drain(self) -> "asyncio.Future[None]":
        """Return a future that is done when more may be written: the buffer is below its high-water mark."""
        return self.failed() if self.is_gone else self.drained()

    def drained(self) -> "asyncio.Future[None]":
        """Return a future that is done when the buffer is below its high-water mark, even while closing."""
        if self.is_lost:
            return self.failed()
        if not self.is_writing_paused:
            return self.server_state.done
        waiter: asyncio.Future[None] = self.server_state.loop.create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        return waiter

    def failed(self) -> "asyncio.Future[None]":
        """Return a future that fails because the client has gone; it need not be awaited."""
        future: asyncio.Future[None] = self.server_state.loop.create_future()
        _fail(future)
        return future

    def cut(self) -> None:
        """Close the connection at once, dropping unsent data."""
        self.is_gone = self.is_lost = True
        self.transport.abort()
        self._release_writers(has_failed=True)

    def _release_writers(self, *, has_failed: bool) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if waiter.done():
                continue
            if has_failed:
                _fail(waiter)
            else:
                waiter.set_result(None)

    # Input

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # Clients that do not read

    def check_writing(self, now: float) -> None:
        """Disconnect a client that reads nothing, or less than `min_rate`, for `write_timeout`.

        Once output had to be buffered, this applies until all of it is acknowledged.
        """
        if self._write_deadline is NEVER:
            if self.transport.get_write_buffer_size():
                self._watch_writing()
            return
        waiting = self._waiting()
        if not waiting:
            self._write_deadline = NEVER
            return
        taken = self.sent - waiting
        if taken > self._taken:
            self._taken, self._taken_at = taken, now
        timeout = self.server_state.limits.write_timeout
        if now >= self._taken_at + timeout or now >= self._write_deadline:
            self._enforce_write_rate(now, timeout)

    def _enforce_write_rate(self, now: float, timeout: float) -> None:
        if (
            now < self._taken_at + timeout
            and self._taken - self._write_mark >= self.server_state.limits.min_rate * timeout
        ):
            self._write_deadline, self._write_mark = now + timeout, self._taken
        else:
            logger.info("Disconnected %s: it did not read for %.0f s.", self.context, timeout)
            self.cut()

    def _watch_writing(self) -> None:
        self._write_deadline = self._in(self.server_state.limits.write_timeout)
        self._write_mark = self._taken = self.sent - self._waiting()
        self._taken_at = self.server_state.loop.time()

    def _waiting(self) -> int:
        """Return the bytes that the client has not received: in the transport's buffer and in the kernel's queue.

        The kernel accepts more bytes only when a third of its queue, easily a megabyte, is free again. Without
        counting the queue, a slow but steady reader would appear stalled.
        """
        return int(self.transport.get_write_buffer_size()) + queued_bytes(self.transport.get_extra_info("socket"))

    def _in(self, seconds: float) -> float:
        return self.server_state.loop.time() + seconds if seconds else NEVER


def _fail(future: "asyncio.Future[None]") -> None:
    future.set_exception(StreamClosedError())
    future.exception()  # retrieved, so that asyncio does not warn if it is never awaited
