"""The transport of one connection: what goes out, back-pressure both ways, and clients that do not read.

send ──► transport ── full: pause_writing ──► `drain` waits, a deadline runs
                   └─ lower: resume_writing ──► writers go on
send_file ──► `sendfile` on a duplicate of the socket, once the transport is empty; waits and ends as `send`
pause_reading, resume_reading     how much comes in
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
except ImportError:  # not on this system: progress is then seen later, when the system takes more
    _ask = None
else:
    _ask = getattr(termios, "TIOCOUTQ", None)


_int = struct.Struct("i")
_sendfile = getattr(os, "sendfile", None)  # the socket never waits, the file is in the system's cache or read ahead
_FILE_STEP = 512 * 1024  # bytes of a file that are sent in one turn of the loop


def queued_bytes(sock: Any) -> int:
    """Return how many bytes the other side has not acknowledged; 0 where the system does not tell."""
    if _ask is None or sock is None:
        return 0
    try:
        size: int = _int.unpack(fcntl.ioctl(sock.fileno(), _ask, b"\0\0\0\0"))[0]  # pyright: ignore[reportPossiblyUnboundVariable]
    except (OSError, ValueError):  # closed meanwhile
        return 0
    return size


def _family_of(address: object, transport: asyncio.BaseTransport) -> int | None:
    """Return the family of the socket of *transport*, whose other side has *address*; None where neither tells."""
    # PERF: uvloop asks the system for the socket: -2 us a connection (benchmarks, connect)
    if is_list_or_tuple(address) and isinstance(address[0], str):
        return socket.AF_INET if len(address) == 2 else socket.AF_INET6
    found: socket.socket | None = transport.get_extra_info("socket")
    return None if found is None else found.family


class FlowControlledProtocol(asyncio.Protocol):
    """A connection's transport, with back-pressure both ways and a deadline for clients that do not read.

    Attributes:
        server_state: What it shares with the server's other connections.
        transport: The loop's; `write` is its method.
        context: The peer; of a single request, behind a proxy, ask its exchange.
        is_gone: Nothing can be sent any more.
        is_lost: Nor can what the transport still holds arrive.
        is_writing_paused: The transport holds more than its high-water mark.
        sent: Bytes given to the transport.
    """

    __slots__ = (
        "__weakref__",
        "_is_reading_paused",
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
        self._waiters: list[asyncio.Future[None]] | None = None
        self._write_deadline = NEVER
        self._write_mark = 0
        self.sent = 0
        self._taken = 0
        self._taken_at = 0.0

    # The transport speaks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up the connection."""
        self.transport = transport
        self.write = self.transport.write
        is_tls = transport.get_extra_info("ssl_object") is not None
        address = transport.get_extra_info("peername")
        self.context = Peer.of_socket(
            address, _family_of(address, transport), self.server_state.scheme or ("https" if is_tls else "http")
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """End the waiting of every writer: without an error the transport was closed once its last byte was taken."""
        self.is_gone = self.is_lost = True
        self._write_deadline = NEVER
        self._release_writers(has_failed=exc is not None)

    def pause_writing(self) -> None:
        """Note that the client reads slower than we write."""
        self.is_writing_paused = True
        if self._write_deadline is NEVER:  # else it is watched since an earlier pause
            self._watch_writing()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self.is_writing_paused = False
        self._release_writers(has_failed=False)

    # Out

    def send(self, data: bytes) -> None:
        """Write a part of an answer; `drain` tells whether it can arrive."""
        if self.transport.is_closing():  # broken, which the loop will tell us in its next turn
            self.is_gone = True
            return
        self.sent += len(data)
        self.write(data)

    @property
    def can_send_files(self) -> bool:
        """Whether `send_file` works on this connection."""
        extra = self.transport.get_extra_info
        return _sendfile is not None and extra("ssl_object") is None and extra("socket") is not None

    async def send_file(self, descriptor: int, start: int, count: int) -> int:
        """Send *count* bytes of an open file from *start* on, without a copy of them here.

        A client that does not take them in time is cut off, as with `send`. Nothing else may be sent meanwhile.

        Returns:
            How many bytes the file was too short.

        Raises:
            OSError: The file cannot be read.
            StreamClosedError: The client has gone.
        """
        assert _sendfile is not None
        await self._empty_transport()
        if self.is_gone or self.transport.is_closing():
            self.is_gone = True
            raise StreamClosedError
        # The loop lets no other code wait for the transport's own descriptor, and uvloop has no `loop.sendfile`.
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
            self.transport.set_write_buffer_limits(high=0)  # pauses us, until it is empty
            try:
                await self.drain()
            finally:
                self.transport.set_write_buffer_limits()

    async def _writable(self, descriptor: int) -> None:
        """Return when the system takes more; until then we are paused, and the deadline runs."""
        loop = self.server_state.loop
        self.pause_writing()
        loop.add_writer(descriptor, self.resume_writing)
        try:
            await self.drain()
        finally:
            loop.remove_writer(descriptor)
            self.is_writing_paused = False

    def drain(self) -> "asyncio.Future[None]":
        """Return a future that is done when the transport holds little enough and more may be written."""
        return self.failed() if self.is_gone else self.drained()

    def drained(self) -> "asyncio.Future[None]":
        """Return a future that is done when the transport holds little enough, also while it is being closed."""
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
        """Return a future that says that the client has gone; it need not be looked at."""
        future: asyncio.Future[None] = self.server_state.loop.create_future()
        _fail(future)
        return future

    def cut(self) -> None:
        """Close at once, whatever is going on."""
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

    # In

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
        """Cut off a client that has taken nothing, or next to nothing, of what waits for it for `write_timeout`.

        Once there was more than the system takes at once, this goes on until all of it has arrived.
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
            self._judge_writing(now, timeout)

    def _judge_writing(self, now: float, timeout: float) -> None:
        if (
            now < self._taken_at + timeout
            and self._taken - self._write_mark >= self.server_state.limits.min_rate * timeout
        ):
            self._write_deadline, self._write_mark = now + timeout, self._taken
        else:
            logger.info("Cut off %s: it did not read for %.0f s.", self.context, timeout)
            self.cut()

    def _watch_writing(self) -> None:
        self._write_deadline = self._in(self.server_state.limits.write_timeout)
        self._write_mark = self._taken = self.sent - self._waiting()
        self._taken_at = self.server_state.loop.time()

    def _waiting(self) -> int:
        """Bytes that the client has not taken: those in the transport, and those in the system's queue.

        The system takes more from us only when a third of its queue, easily a megabyte, is free again: a slow
        but steady reader would look dead without it.
        """
        return int(self.transport.get_write_buffer_size()) + queued_bytes(self.transport.get_extra_info("socket"))

    def _in(self, seconds: float) -> float:
        return self.server_state.loop.time() + seconds if seconds else NEVER


def _fail(future: "asyncio.Future[None]") -> None:
    future.set_exception(StreamClosedError())
    future.exception()  # looked at: the caller need not
