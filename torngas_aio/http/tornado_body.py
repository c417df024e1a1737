"""A request's body from Tornado's server: buffering, size limit, and waiting readers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from tornado.httputil import HTTPHeaders

from torngas_aio.http.base import BodyError
from torngas_aio.http.limits import MAX_BODY_BYTES, MAX_DRAINED
from torngas_aio.utils.numbers import parse_whole

__all__ = ["TornadoBody"]


class TornadoBody:
    """The request's body, between Tornado's reader and the application.

    Attributes:
        limit: The largest size that is passed on, in bytes.
        wanted: Done when Tornado may read the body.
    """

    def __init__(self) -> None:
        self.limit = MAX_BODY_BYTES
        self._length: int | None = None
        self._size = 0
        self._expects_continue = False
        self._after_end: Callable[[], None] | None = None
        self._chunks: deque[bytes] = deque()
        self._has_ended = False
        self._error: Exception | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._is_discarded = False
        self._is_streaming = False
        self.wanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self, headers: HTTPHeaders) -> None:
        """Read the body's length and expectation from the request's head."""
        if "Transfer-Encoding" not in headers:
            self._length = parse_whole(headers.get("Content-Length", ""))
        self._expects_continue = "Expect" in headers

    @property
    def is_unread(self) -> bool:
        """Whether a body is to come that has not been read from the socket."""
        return not (self._has_ended or self.wanted.done())

    @property
    def may_drain(self) -> bool:
        """Whether the body can be read and dropped to keep the connection: it is unread, small and being sent."""
        is_small = self._length is not None and self._length <= MAX_DRAINED
        return self.is_unread and is_small and not self._expects_continue

    def drain(self, after: Callable[[], None]) -> None:
        """Drop the body and call *after* at its end."""
        self._after_end = after
        self.discard()

    def check_size(self, size: int) -> None:
        """Raise BodyError if *size* is above the limit."""
        if size > self.limit:
            raise BodyError(413, f"The body is larger than {self.limit} bytes.")

    def discard(self, *_: object) -> None:
        """Drop buffered chunks and those that still arrive: this body is not read any more."""
        self._is_discarded = True
        self._chunks.clear()
        self._allow_reading()
        self._release_chunk()

    def _allow_reading(self) -> None:
        if not self.wanted.done():
            self.wanted.set_result(None)

    @property
    def is_complete(self) -> bool:
        return self._has_ended

    @property
    def data(self) -> bytes:
        return b"".join(self._chunks)

    def feed(self, chunk: bytes) -> Awaitable[None] | None:
        if self._is_discarded or self._error is not None:
            return None
        self._size += len(chunk)
        try:
            self.check_size(self._size)
        except BodyError as exc:
            self.feed_error(exc)
            return None
        self._chunks.append(bytes(chunk))
        self._wake()
        if not self._is_streaming:
            return None  # bounded by the limit
        self._taken = asyncio.get_running_loop().create_future()
        return self._taken

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def feed_end(self) -> None:
        self._has_ended = self._error is None
        self._wake()
        if self._after_end is not None:
            self._after_end()

    def feed_error(self, error: Exception) -> None:
        if not self._has_ended:
            self._error = self._error or error
            self._chunks.clear()
        self._wake()
        self._release_chunk()

    async def read_all(self) -> bytes:
        self._check()
        self._is_streaming = False  # release a chunk that waits for a reader, so that the rest can follow
        self._allow_reading()
        self._release_chunk()
        while not self._has_ended:
            await self._wait()
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    async def read_chunk(self) -> bytes:
        self._check()
        self._is_streaming = True
        self._allow_reading()
        while not self._chunks:
            if self._has_ended:
                return b""
            self._release_chunk()
            await self._wait()
        return self._chunks.popleft()

    def _check(self) -> None:
        """Raise the body's error, or BodyError if it is too large, before `100 Continue` is sent."""
        if self._error is not None:
            raise self._error
        if not self._has_ended:
            try:
                self.check_size(self._length or 0)
            except BodyError as exc:
                self.feed_error(exc)
                raise

    async def _wait(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            raise RuntimeError("The body is already being read by another task.")
        self._arrived = asyncio.get_running_loop().create_future()
        await self._arrived
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _release_chunk(self) -> None:
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)
