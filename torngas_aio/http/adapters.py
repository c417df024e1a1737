"""The two ways of passing a request to an application.

DirectAdapter     application.serve_request(request)                     torngas_aio's own handlers
DelegateAdapter   start_request ─► headers_received ─► data_received... ─► finish
               plain tornado.web.Application, routers, streamed bodies, request functions
"""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

from torngas_aio.http.application import DirectApplication
from torngas_aio.http.base import BodyError, ClientGone
from torngas_aio.http.exchange import HTTPExchange
from torngas_aio.http.request import Request
from torngas_aio.http.server_state import Adapter, Connection, logger
from torngas_aio.utils.text import escape_controls

__all__ = ["DelegateAdapter", "DirectAdapter", "adapter_for"]


def adapter_for(application: Any) -> Adapter:
    """Return the adapter for *application*: the direct one if it has `serve_request`.

    Raises:
        TypeError: It is neither an application, nor a delegate, nor callable.
    """
    if callable(getattr(application, "serve_request", None)):
        return DirectAdapter(application)
    if isinstance(application, HTTPServerConnectionDelegate):
        return DelegateAdapter(application)
    if callable(application):
        return DelegateAdapter(_FunctionDelegate(application))
    raise TypeError(
        f"{application!r} cannot be served: give an Application, an HTTPServerConnectionDelegate, "
        "or a function that takes a request."
    )


class DirectAdapter:
    """The adapter that passes a request to the application as soon as its head has been parsed."""

    __slots__ = ("serve",)

    def __init__(self, application: DirectApplication) -> None:
        self.serve: Any = application.serve_request

    def connection_closed(self, connection: Connection) -> None:
        """Do nothing: the application sees requests only."""


class DelegateAdapter:
    """The adapter that drives Tornado's delegate interface, in the same order as Tornado's own server."""

    __slots__ = ("_delegate",)

    def __init__(self, delegate: HTTPServerConnectionDelegate) -> None:
        self._delegate = delegate

    async def serve(self, request: Request) -> None:
        """Pass one request to a delegate, which may respond later and from any callback."""
        exchange: HTTPExchange = request.connection  # type: ignore[assignment]  # ours, on our server
        assert request.server_connection is not None
        delegate = self._delegate.start_request(request.server_connection, exchange)
        try:
            if await self._deliver(delegate, request, exchange):
                delegate.finish()
        except BodyError as exc:
            logger.info("A body from %s cannot be read: %s", exchange.context, escape_controls(str(exc)))
            exchange.refuse(exc.status, str(exc))
            delegate.on_connection_close()
        except HTTPInputError as exc:
            logger.info("A request from %s cannot be understood: %s", exchange.context, escape_controls(str(exc)))
            exchange.refuse(400, str(exc))
            delegate.on_connection_close()
        except ClientGone:
            delegate.on_connection_close()
        except BaseException:  # `request_task` responds or closes the connection
            delegate.on_connection_close()
            raise

    async def _deliver(self, delegate: HTTPMessageDelegate, request: Request, exchange: HTTPExchange) -> bool:
        """Pass on head and body; return whether `delegate.finish` is still to be called."""
        start_line = RequestStartLine(request.method or "", request.uri or "", request.version)
        await _await_if_any(delegate.headers_received(start_line, request.headers))
        if exchange.is_detached:
            return False
        # A response that is complete before the body has arrived: the rest of the body is not needed.
        while not exchange.is_finished:
            chunk = await exchange.body.read_chunk()
            if not chunk:
                break
            await _await_if_any(delegate.data_received(chunk))
        if exchange.is_finished and not exchange.is_detached:
            delegate.on_connection_close()
        return not exchange.is_finished

    def connection_closed(self, connection: Connection) -> None:
        """Notify the delegate that the connection has ended."""
        self._delegate.on_close(connection)


async def _await_if_any(waiting: Awaitable[None] | None) -> None:
    if waiting is not None:
        await waiting


class _FunctionDelegate(HTTPServerConnectionDelegate):
    """A delegate that calls a function with each request, body included."""

    def __init__(self, function: Callable[[HTTPServerRequest], object]) -> None:
        self._function = function

    def start_request(self, server_conn: object, request_conn: object) -> HTTPMessageDelegate:
        return _FunctionMessage(self._function, server_conn, request_conn)


class _FunctionMessage(HTTPMessageDelegate):
    def __init__(
        self, function: Callable[[HTTPServerRequest], object], server_conn: object, request_conn: object
    ) -> None:
        self._function = function
        self._connections = request_conn, server_conn
        self._request: Request | None = None
        self._body = bytearray()

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, RequestStartLine)
        self._request = Request(start_line, headers, *self._connections)

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk

    def finish(self) -> None:
        assert self._request is not None
        self._request.body = bytes(self._body)
        self._request._parse_body()
        self._function(self._request)

    def on_connection_close(self) -> None:
        self._body.clear()
