"""A request's body over ASGI: a message is received only when the body is read.

After the response has begun, up to 64 KiB are received ahead, to notice a disconnected client: `receive_ahead`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from torngas_aio.http.base import BodyError, ClientGone
from torngas_aio.http.limits import NEVER, Limits
from torngas_aio.utils.numbers import parse_whole

__all__ = ["IncomingBody"]

_Message = MutableMapping[str, Any]
_MOST_AHEAD = 64 * 1024
_BODILESS = frozenset({"GET", "HEAD"})


class IncomingBody:
    """A `torngas_aio.http.base.Body`.

    Args:
        scope: Determines whether there is a body.
        receive: Returns the server's next message.
        leave: Called when a message reports that the client has gone.
        limits: `max_body_size`, `min_rate`, `body_timeout` and `body_rate_timeout` are used.

    Attributes:
        deadline: When the whole body must have arrived, by the loop's clock.
        ended: Set when no further message of the body will be received.
        limit: The largest body in bytes; more raises `BodyError` 413.
    """

    def __init__(
        self,
        scope: Mapping[str, object],
        receive: Callable[[], Awaitable[_Message]],
        leave: Callable[[], None],
        limits: Limits,
    ) -> None:
        self.deadline = NEVER
        self.limit = limits.max_body_size
        self.ended = asyncio.Event()
        self._limits = limits
        self._receive = receive
        self._leave = leave
        self._error: BodyError | None = None
        self._whole = b""
        self._size = 0
        self._is_cut = False
        self._receiving: asyncio.Future[_Message] | None = None
        self._ahead: deque[_Message] = deque()  # received before they are read
        self._waited = 0.0  # seconds spent waiting for the client since `_seen` bytes had arrived
        self._seen = 0
        self._length = _length_of(scope)
        if self._length == 0:
            self.ended.set()
        elif limits.body_timeout:
            self.set_timeout(limits.body_timeout)

    def set_timeout(self, seconds: float) -> None:
        """Set the deadline of the whole body to *seconds* from now."""
        self.deadline = asyncio.get_running_loop().time() + seconds

    @property
    def data(self) -> bytes:
        """The bytes that `read_all` has read."""
        return self._whole

    @property
    def is_refused(self) -> bool:
        """Whether the body was too large or too slow; every later read raises that error."""
        return self._error is not None

    @property
    def is_complete(self) -> bool:
        """Whether every byte has arrived."""
        return self.ended.is_set() and not self._is_cut and not self._ahead

    async def read_all(self) -> bytes:
        """Return the whole body; raises as `read_chunk`. A cancelled read keeps its parts for the next reader."""
        parts: list[bytes] = []
        try:
            while chunk := await self.read_chunk():
                parts.append(chunk)
        except asyncio.CancelledError:
            self._size -= sum(map(len, parts))
            self._ahead.extendleft({"body": part, "more_body": True, "type": "http.request"} for part in parts[::-1])
            raise
        self._whole += b"".join(parts)
        return self._whole

    async def read_chunk(self) -> bytes:
        """Return the next part, as it arrives; b"" at the end.

        Raises:
            BodyError: The body is larger than the limit, or too slow.
            ClientGone: The client left before its end.
        """
        if self._error is not None:
            raise self._error
        self._check_size(max(self._length or 0, self._size))
        while self._ahead or not self.ended.is_set():
            message = await self._next()
            if message["type"] == "http.disconnect":
                self.cut()
                self._leave()
                break
            if not message.get("more_body", False):
                self.ended.set()
            chunk: bytes = message.get("body", b"")
            self._size += len(chunk)
            self._check_size(self._size)
            if chunk:
                return chunk
        if self._is_cut:
            raise ClientGone("The client closed the connection.")
        return b""

    async def _next(self) -> _Message:
        """Return the next message; only time spent waiting for the client counts for the limits."""
        loop = asyncio.get_running_loop()
        rate_seconds = self._limits.body_rate_timeout or NEVER
        while not self._ahead:
            if self._receiving is None:
                self._receiving = asyncio.ensure_future(self._receive())
            receiving = self._receiving
            began = loop.time()
            seconds = min(rate_seconds - self._waited, self.deadline - began)
            done, _ = await asyncio.wait({receiving}, timeout=None if seconds == NEVER else max(seconds, 0))
            now = loop.time()
            self._waited += now - began
            if not done:
                self._check_rate(now)
            elif self._receiving is receiving:
                self._receiving = None
                return receiving.result()
        return self._ahead.popleft()

    async def receive_ahead(self) -> None:
        """Receive up to 64 KiB that are not read yet, or until the body or the connection ends."""
        size = 0
        while not self.ended.is_set() and size <= _MOST_AHEAD:
            if self._receiving is None:
                self._receiving = asyncio.ensure_future(self._receive())
            receiving = self._receiving
            await asyncio.wait({receiving})
            if self._receiving is not receiving:  # a reader has received it
                continue
            if receiving.exception() is not None:  # raised by the next read
                return
            self._receiving = None
            message = receiving.result()
            if message["type"] == "http.disconnect":
                self.cut()
                self._leave()
                return
            size += len(message.get("body", b""))
            self._ahead.append(message)
            if not message.get("more_body", False):
                self.ended.set()

    def _check_rate(self, now: float) -> None:
        limits = self._limits
        if now >= self.deadline or self._size - self._seen < limits.min_rate * limits.body_rate_timeout:
            self._refuse(408, "The body did not arrive in time.")
        self._waited, self._seen = 0.0, self._size

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            self._refuse(413, f"The body is larger than {self.limit} bytes.")

    def _refuse(self, status: int, reason: str) -> None:
        self._error = BodyError(status, reason)
        raise self._error

    def cut(self) -> None:
        """Note that the rest of the body will not arrive."""
        if not self.ended.is_set():
            self._is_cut = True
            self.ended.set()

    async def aclose(self) -> None:
        """Cancel a pending receive."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.wait([self._receiving])


def _length_of(scope: Mapping[str, Any]) -> int | None:
    """Return the length of the body, None if it is only known from its messages.

    HTTP/2 needs no length, and some servers omit it; but a GET over HTTP/1 without one has no body.
    """
    if scope["type"] == "websocket":
        return 0
    fields = {bytes(name).lower(): bytes(value).strip() for name, value in scope["headers"]}
    length = fields.get(b"content-length", b"")
    if b"transfer-encoding" in fields:
        return None
    if length:
        return parse_whole(length)
    is_old = str(scope.get("http_version", "1.1")).startswith("1")
    return 0 if is_old and scope.get("method") in _BODILESS else None
