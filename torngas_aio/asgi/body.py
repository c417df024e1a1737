"""A request's body over ASGI: a message is received when somebody reads, never before.

Begin with `IncomingBody.read_chunk`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from torngas_aio.http.contract import BodyError, ClientGone

__all__ = ["MAX_BODY_BYTES", "IncomingBody"]

MAX_BODY_BYTES = 100 * 1024 * 1024
"""The largest body that is taken unless told otherwise; our own server's limit too."""


class IncomingBody:
    """A `torngas_aio.http.contract.Body`.

    Args:
        scope: Tells whether there is a body at all.
        receive: Gives the server's next message.
        leave: Called when that says that the client has gone.
        limit: The largest body in bytes; more raises `BodyError` 413.

    Attributes:
        ended: Set when no further message of the body will be received.
        is_refused: Whether the body was larger than the limit.
    """

    def __init__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        leave: Callable[[], None],
        limit: int,
    ) -> None:
        self.data = b""
        self.limit = limit
        self.ended = asyncio.Event()
        self.is_refused = False
        self._receive = receive
        self._leave = leave
        self._size = 0
        self._is_cut = False
        if not _has_body(scope):
            self.ended.set()

    @property
    def is_complete(self) -> bool:
        """Whether every byte has arrived."""
        return self.ended.is_set() and not self._is_cut

    async def read_all(self) -> bytes:
        """Return the whole body; raises as `read_chunk`."""
        chunks = []
        while chunk := await self.read_chunk():
            chunks.append(chunk)
        self.data = b"".join(chunks)
        return self.data

    async def read_chunk(self) -> bytes:
        """Return the next part, as it arrives; b"" at the end.

        Raises:
            BodyError: The body is larger than the limit.
            ClientGone: The client left before its end.
        """
        while not self.ended.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.cut()
                self._leave()
                break
            if not message.get("more_body", False):
                self.ended.set()
            chunk: bytes = message.get("body", b"")
            self._size += len(chunk)
            if self._size > self.limit:
                self.is_refused = True
                raise BodyError(413, f"The body is larger than {self.limit} bytes.")
            if chunk:
                return chunk
        if self._is_cut:
            raise ClientGone("The client closed the connection.")
        return b""

    def cut(self) -> None:
        """Note that the rest of the body will never come."""
        if not self.ended.is_set():
            self._is_cut = True
            self.ended.set()


def _has_body(scope: Mapping[str, Any]) -> bool:
    """Return whether a body may follow; HTTP/2 and later tell only with the first message."""
    if scope["type"] == "websocket":
        return False
    if not str(scope.get("http_version", "1.1")).startswith("1"):
        return True
    fields = {bytes(name).lower(): bytes(value).strip() for name, value in scope["headers"]}
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0"
