"""An incoming request body: `http.base.Body`.

    protocol ── feed ──► [ pieces ] ── read_all / read_chunk ──► application
                 ▲          │ over HIGH_WATER and not read: reading from the socket pauses
      Content-Length or     └ decompressed while it is read, so an unread gzip bomb does not expand
      chunked framing

Limits are checked when the body is read, not when it arrives: a handler may still raise them in `prepare`.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from torngas_aio.http.base import BodyError
from torngas_aio.http.codings import TURN_BYTES, ChunkDecoder, ChunkError, InflateError, Inflater
from torngas_aio.http.request_parser import CHUNKED

__all__ = ["HIGH_WATER", "NO_BODY", "EmptyBody", "IncomingBody", "Source"]

HIGH_WATER = 64 * 1024
"""Unread bytes of a body above which reading from the socket pauses."""

_SMALL = 4096  # bytes; smaller pieces are joined, so that a body sent byte by byte needs no more memory


class Source(Protocol):
    """The connection that a body is read from."""

    def pause_body(self) -> None:
        """Stop reading from the socket."""

    def resume_body(self) -> None:
        """Resume reading from the socket."""

    def send_continue(self) -> None:
        """Send `100 Continue`."""


class EmptyBody:
    """The body of a request without one."""

    __slots__ = ()

    is_complete = True
    is_received = True
    unpacks = False
    data = b""

    async def read_all(self) -> bytes:
        """Return b""."""
        return b""

    async def read_chunk(self) -> bytes:
        """Return b""."""
        return b""


NO_BODY = EmptyBody()


class IncomingBody:
    """The body of one request, framed by its length or by chunks.

    Attributes:
        received: Bytes that have arrived, without chunked framing.
        deadline: The loop time at which it must be complete; set by the connection, as `window_deadline` and
            `window_received` are, once it waits for more of the body.
        limit: The largest size, decompressed, that `read_all` and `read_chunk` accept.
        is_received: Every byte has arrived, and the body has not failed.
    """

    __slots__ = (
        "_buffered",
        "_chunk_size",
        "_chunks",
        "_error",
        "_handed_on",
        "_holds_back",
        "_inflater",
        "_is_discarded",
        "_is_paused",
        "_is_read_whole",
        "_left",
        "_pieces",
        "_source",
        "_unpacked",
        "_waiter",
        "_worked",
        "deadline",
        "is_received",
        "length",
        "limit",
        "received",
        "window_deadline",
        "window_received",
    )

    deadline: float
    window_deadline: float
    window_received: int

    def __init__(self, source: Source, length: int, limit: int, chunk_size: int) -> None:
        self._source = source
        self._pieces: deque[bytes] = deque()
        self._unpacked: Iterator[bytes] | None = None
        self._buffered = 0
        self._chunks = ChunkDecoder() if length == CHUNKED else None
        self._chunk_size = chunk_size
        self._error: Exception | None = None
        self._handed_on = 0
        self._holds_back = False
        self._inflater: Inflater | None = None
        self._is_discarded = False
        self._is_paused = False
        self._is_read_whole = False
        self._left = max(length, 0)
        self._waiter: asyncio.Future[None] | None = None
        self._worked = 0  # compressed and decompressed bytes since the last turn of the loop
        self.length = length
        self.limit = limit
        self.received = 0
        self.is_received = False

    def unpack(self) -> None:
        """Decompress the body with gzip while it is read."""
        self._inflater = Inflater(self._chunk_size)

    def hold_back(self) -> None:
        """Note that the client waits for `100 Continue` before it sends the body."""
        self._holds_back = True

    @property
    def unpacks(self) -> bool:
        """Whether readers get gzip's output instead of the bytes received."""
        return self._inflater is not None

    @property
    def is_held_back(self) -> bool:
        """Whether the client still waits for `100 Continue`."""
        return self._holds_back

    @property
    def is_paused(self) -> bool:
        """Whether reading from the socket is paused until some buffered bytes are read."""
        return self._is_paused

    @property
    def is_awaited(self) -> bool:
        """Whether more bytes are expected from the client and the server is not holding them back."""
        return not (self.is_ended or self._is_paused or self._holds_back)

    @property
    def is_ended(self) -> bool:
        """Whether the last byte has arrived or the body has failed: no more bytes are expected."""
        return self.is_received or self._error is not None

    @property
    def is_complete(self) -> bool:
        """Whether every byte has arrived and `data` holds the body; a compressed body must be read instead."""
        return self.is_received and self._inflater is None and self.received <= self.limit

    @property
    def data(self) -> bytes:
        """The whole body once it is complete and was not read in chunks."""
        pieces = self._pieces
        if len(pieces) > 1:
            pieces.append(b"".join(pieces))
            while len(pieces) > 1:
                pieces.popleft()
        return pieces[0] if pieces else b""

    @property
    def missing(self) -> int:
        """Bytes that are still to come; for a chunked body a number above every limit."""
        if self.is_ended:
            return 0
        return self._left if self._chunks is None else 1 << 60

    # The side of the connection

    def feed(self, data: bytes) -> bytes:
        """Process *data* from the connection; return the bytes after the end of this body."""
        if self.is_ended:  # the body has failed: the start of the next request is unknown
            return b""
        self._holds_back = False
        rest = self._feed_chunks(data) if self._chunks is not None else self._feed_length(data)
        if self._is_read_whole and self.received > self.limit:
            self.fail(_too_large(self.limit))
        elif self._buffered > HIGH_WATER and self.is_awaited and not self._is_read_whole:
            self._is_paused = True
            self._source.pause_body()
        if self._waiter is not None:  # PERF: no call if the body is complete before it is read (benchmarks, form)
            self._wake()
        return rest

    def fill(self, data: bytes) -> None:
        """Process *data*, the whole body, received with its head."""
        self._holds_back = False
        self._left = 0
        self._pieces.append(data)
        self._buffered = self.received = len(data)
        self.is_received = True

    def _feed_length(self, data: bytes) -> bytes:
        left = self._left
        piece, rest = (data, b"") if len(data) <= left else (data[:left], data[left:])
        self._left = left - len(piece)
        self._keep(piece)
        self.is_received = not self._left
        return rest

    def _feed_chunks(self, data: bytes) -> bytes:
        assert self._chunks is not None
        try:
            self._keep(self._chunks.feed(data))
        except ChunkError as exc:
            self.fail(BodyError(400, f"The chunked body is broken: {exc}."))
            return b""
        rest = self._chunks.rest
        self.is_received = rest is not None
        return rest or b""

    def _keep(self, piece: bytes) -> None:
        self.received += len(piece)
        if self._is_discarded or not piece:
            return
        if self._pieces and len(self._pieces[-1]) + len(piece) <= _SMALL:
            self._pieces[-1] += piece
        else:
            self._pieces.append(piece)
        self._buffered += len(piece)

    def fail(self, error: Exception) -> None:
        """End the body with *error*, which every read raises from now on."""
        if self._error is None and not (self.is_received and isinstance(error, ConnectionError)):
            self._error = error
            self.is_received = False
            self._pieces.clear()
            self._buffered = 0
        self._resume()
        self._wake()

    def discard(self) -> None:
        """Drop buffered bytes and those that still arrive: this body is not read any more."""
        self._is_discarded = True
        self._pieces.clear()
        self._buffered = 0
        self._resume()

    @property
    def has_failed(self) -> bool:
        """Whether the body ended in an error, so that the bytes after it cannot be parsed as a request."""
        return self._error is not None

    def take_raw(self) -> bytes:
        """Return the unread bytes and discard the rest, for a stream that takes over the connection."""
        data = b"".join(self._pieces)
        self.discard()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._source.resume_body()

    # The side of the application

    async def read_all(self) -> bytes:
        """Return the whole body; raises as `http.base.Body.read_all`."""
        if self._inflater is not None:
            return await self._read_unpacked()
        self._is_read_whole = True
        self._check_size(max(self.length, self.received))
        try:
            while not self.is_ended:
                await self._wait()
        finally:  # after a cancelled read, buffering is limited by HIGH_WATER again
            self._is_read_whole = False
        if self._error is not None:
            raise self._error
        self._check_size(self.received)
        whole = self.data
        self.discard()
        return whole

    async def _read_unpacked(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := await self.read_chunk():
                parts.append(part)
        except asyncio.CancelledError:  # keep the parts for the next reader
            self._unpacked = chain(parts, self._unpacked or ())
            raise
        return b"".join(parts)

    async def read_chunk(self) -> bytes:
        """Return the next part of the body; raises as `http.base.Body.read_chunk`."""
        while True:
            if self._worked >= TURN_BYTES:
                self._worked = 0
                await asyncio.sleep(0)
            self._check_size(max(self.length, self.received))
            part = self._take()
            if part:
                return part
            if self._pieces or self._unpacked is not None:
                continue
            if self._error is not None:
                raise self._error
            if self.is_ended:
                self._end_inflating()
                return b""
            await self._wait()

    def _take(self) -> bytes:
        """Remove and return the next part; b"" if there is none, or if a step decompressed to nothing."""
        if self._unpacked is not None:
            part = next(self._unpacked, None)
            if part is not None:
                return part
            self._unpacked = None
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        if len(piece) > self._chunk_size:
            self._pieces.appendleft(piece[self._chunk_size :])
            piece = piece[: self._chunk_size]
        self._buffered -= len(piece)
        if self._buffered < HIGH_WATER // 2:
            self._resume()
        if self._inflater is None:
            return piece
        self._worked += len(piece)
        self._unpacked = self._inflate(piece)
        return b""

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        assert self._inflater is not None
        try:
            for part in self._inflater.inflate(piece):
                self._handed_on += len(part)
                self._worked += len(part)
                self._check_size(self._handed_on)
                yield part
        except InflateError as exc:
            self._give_up(BodyError(400, str(exc)))

    def _end_inflating(self) -> None:
        if self._inflater is not None:
            try:
                self._inflater.end()
            except InflateError as exc:
                self._give_up(BodyError(400, str(exc)))

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            self._give_up(_too_large(self.limit))

    def _give_up(self, error: BodyError) -> None:
        self.fail(error)
        raise error

    async def _wait(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("The body is already being read by another task.")
        if self._holds_back:
            self._holds_back = False
            self._source.send_continue()
        self._resume()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


def _too_large(limit: int) -> BodyError:
    return BodyError(413, f"The body is larger than {limit} bytes.")
