"""The contracts between an HTTP server and an application.

    HTTP server (ours, Tornado's, ASGI)                  application
        makes a Request and an Exchange   ──────►   serve_request(request)
        feeds the Body                    ◄──────   awaits it, or reads it in chunks
        sends, keeps alive, closes        ◄──────   exchange.respond / write_headers, write, finish

The server starts `serve_request` as one task, owned by the connection, in the request's own copy of the
context, as soon as the header has been parsed; the body may still be arriving. The next request of the connection
starts when the exchange is finished and the body consumed; the task may continue and is still owned.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from tornado.httputil import HTTPHeaders, ResponseStartLine

__all__ = ["SERVER_NAME", "Body", "BodyError", "ClientGone", "Exchange", "Successor"]

SERVER_NAME = "torngas_aio"
"""The `Server` header of a response that sets none; it names no version."""


class BodyError(Exception):
    """A request's body cannot be read to its end; the connection closes after the response.

    Attributes:
        status: Of the response: 400 malformed, 408 too slow, 413 too large, 415 in an unsupported coding.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ClientGone(ConnectionError):
    """The client closed the connection before its request, or the response, was complete."""


class Body(Protocol):
    """The incoming body of one request. Nothing beyond a small buffer is read from the socket
    until a read method is awaited; `100 Continue` is sent then, if the client expects it."""

    @property
    def is_complete(self) -> bool:
        """Whether every byte has arrived, so that `data` is the whole body."""
        ...

    @property
    def data(self) -> bytes:
        """The whole body once it is complete and was not read in chunks; b"" for a request without one."""
        ...

    async def read_all(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyError: It is malformed, too slow or larger than `max_body_size`.
            ClientGone: The client closed the connection before the end of the body.
        """
        ...

    async def read_chunk(self) -> bytes:
        """Return the next part of the body as it arrives; b"" at the end. Raises as `read_all`."""
        ...


class Exchange(Protocol):
    """One request and its response on a connection: a `tornado.httputil.HTTPConnection` with a fast `respond`.

    After `finish` any other call is an error and does not affect later exchanges. Futures resolve when the
    transport's buffer is below its high-water mark again, and fail with
    `tornado.iostream.StreamClosedError` when the client has gone.
    """

    status: int
    """The response's status once it has begun; before that 0."""

    @property
    def body(self) -> Body:
        """The request's body."""
        ...

    def respond(
        self,
        status: int,
        reason: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        is_head: bool,
    ) -> bool:
        """Send one complete response and finish the exchange, in one write to the transport.

        `Date` (from the tick's cache) and `Server` are added unless given; `Content-Length` is added
        from *body* unless given or forbidden by the status (1xx, 204, 304). For *is_head* the header
        describes *body*, which is not sent. Names and values must be free of CR, LF and NUL:
        handlers check them when they are set.

        Returns:
            Whether `drained` would return at once; False is always correct, but costs an await.
        """
        ...

    def write_headers(
        self, start_line: ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Awaitable[None]: ...

    def write(self, chunk: bytes) -> Awaitable[None]: ...

    @property
    def can_send_files(self) -> bool:
        """Whether there is a `send_file(descriptor, start, count)`, which may follow `write_headers`."""
        ...

    def finish(self) -> None: ...

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
        """Set the *callback* for a client that leaves before the exchange is finished; called once."""

    def abort(self) -> None:
        """Close the connection at once, so that the client sees an incomplete response as truncated."""

    def set_max_body_size(self, max_body_size: int, /) -> None:
        """Set the limit of this request's body to *max_body_size* bytes."""

    def detach(self) -> Any:
        """Leave HTTP: return an IOStream over the same transport, unread bytes included."""

    def detach_to(self, successor: "Successor") -> None:
        """Leave HTTP: hand the transport and unread bytes to *successor*; raises as `detach`."""

    @property
    def is_finished(self) -> bool: ...

    async def drained(self) -> None:
        """Return when the transport's buffer is below its high-water mark.

        Raises:
            tornado.iostream.StreamClosedError: The client has gone.
        """


class Successor(asyncio.Protocol):
    """A protocol that takes a connection over from HTTP."""

    __slots__ = ("__weakref__",)

    def cut(self) -> None:
        """Close the connection at once, dropping unsent data."""
        raise NotImplementedError
