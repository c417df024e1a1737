"""HTTP servers, which accept connections and pass requests to the application.

    torngas_aio   our own server, based on httptools
    tornado       Tornado's, with the same proxy rules and the same graceful shutdown

Both start with `add_sockets` and end with `stop_gracefully`.
"""

import asyncio
import contextlib
import importlib.util
import inspect
import logging
import socket
from collections.abc import Iterable
from typing import Any, Protocol, cast

from tornado.httpserver import HTTPServer as TornadoHTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.ioloop import IOLoop

from torngas_aio._cleanup import CLOSE_SECONDS
from torngas_aio._compat.tornado import close_after_response, connection_callback, scheme_of
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.http.accepting import LAST_SECONDS, Acceptor
from torngas_aio.http.application import DirectApplication
from torngas_aio.http.proxies import Peer, TrustedProxies
from torngas_aio.http.tls import server_context
from torngas_aio.http.tornado_adapter import TornadoAdapter
from torngas_aio.utils.hosts import FORWARDED_HEADERS

logger = logging.getLogger("torngas_aio.server")

__all__ = ["BACKENDS", "ServerBackend", "TornadoServer", "backend_kind", "make_backend"]

BACKENDS = ("torngas_aio", "tornado")
_SETTLING_TURNS = 10  # loop iterations that turn bytes received before the stop into requests


class ServerBackend(Protocol):
    """The interface of an HTTP server that `serving` uses."""

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on *sockets*, in the running loop."""

    def remove_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Stop accepting on *sockets*, which were added before, and close them; open connections stay."""

    def start_draining(self) -> None:
        """Keep serving, but close each connection after its next response."""

    async def stop_gracefully(self, seconds: float) -> bool:
        """Stop accepting connections, answer received requests, close all connections.

        Args:
            seconds: Timeout, after which requests in flight are aborted.

        Returns:
            Whether all requests ended in time.
        """
        ...


def make_backend(
    application: HTTPServerConnectionDelegate,
    kind: str = "",
    *,
    xheaders: bool = False,
    trusted_proxies: Iterable[str] = (),
    trusted_headers: Iterable[str] | None = None,
    **arguments: Any,
) -> ServerBackend:
    """Return an HTTP server for *application*.

    Args:
        kind: One of `BACKENDS`; "": our own if httptools is installed, else Tornado's.
        xheaders: Use the forwarded headers of *trusted_proxies*.
        trusted_headers: The forwarded headers that these proxies set; None: X-Forwarded-For and X-Forwarded-Proto.
        arguments: Arguments of the server: `no_keep_alive`, `max_body_size`, `ssl_options`, timeouts and more.

    Raises:
        ArgumentError: The server does not accept an argument.
        ConfigError: The kind is unknown, or its library is missing.
    """
    kind = backend_kind(kind)
    if kind == "torngas_aio":
        server = _our_server()
    elif kind == "tornado":
        server = TornadoServer
    else:
        raise ConfigError(f"--http_server={kind}: no such server. Known are {', '.join(BACKENDS)}.", code="TGA801")
    known = inspect.signature(TornadoHTTPServer.initialize if kind == "tornado" else server).parameters
    wrong = sorted(set(arguments) - set(known))
    if wrong:
        raise ArgumentError(f"The {kind} server takes no argument {', '.join(map(repr, wrong))}.")
    if kind == "tornado" and arguments.get("ssl_options") is not None:  # our own server does this itself
        arguments["ssl_options"] = server_context(arguments["ssl_options"])
    arguments["trusted_downstream"] = list(trusted_proxies)
    arguments["trusted_headers"] = None if trusted_headers is None else list(trusted_headers)
    backend: ServerBackend = server(application, xheaders=xheaders, **arguments)
    return backend


def backend_kind(kind: str = "") -> str:
    """Return *kind*, or the default if it is empty."""
    return kind or ("torngas_aio" if importlib.util.find_spec("httptools") else "tornado")


def _our_server() -> Any:
    if importlib.util.find_spec("httptools") is None:
        raise ConfigError(
            "--http_server=torngas_aio needs httptools. Install it, or give --http_server=tornado.", code="TGA801"
        )
    from torngas_aio.http.server import HTTPServer

    return HTTPServer


class TornadoServer(TornadoHTTPServer):
    """Tornado's server, extended to know which connections have a request in flight."""

    def initialize(
        self,
        *args: Any,
        xheaders: bool = False,
        trusted_downstream: Any = None,
        trusted_headers: Any = None,
        **kwargs: Any,
    ) -> None:
        """Accept Tornado's arguments and *trusted_headers*; *trusted_downstream* may also hold networks and `unix`."""
        super().initialize(*args, **kwargs)
        self._busy: dict[object, Any] = {}  # connection: its request in flight
        self._tasks: set[asyncio.Task[None]] = set()  # of our own application; Tornado's owns the tasks it starts
        self._changed = asyncio.Event()
        self._acceptors: list[Acceptor] = []
        self._proxies: TrustedProxies | None = None
        if xheaders:
            self._proxies = TrustedProxies(trusted_downstream or (), trusted_headers)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        # Tornado calls this before it reads the next head: the connection is idle from here on.
        self._mark_idle(server_conn)
        application = self.request_callback
        delegate: HTTPMessageDelegate
        if hasattr(application, "serve_request"):
            context_for = getattr(application, "context_for", None)
            delegate = TornadoAdapter(
                cast(DirectApplication, application), server_conn, request_conn, self._tasks, context_for
            )
        else:
            delegate = super().start_request(server_conn, request_conn)
        return _WatchedRequest(self, delegate, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        self._mark_idle(server_conn)
        super().on_close(server_conn)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        loop: asyncio.AbstractEventLoop = cast(Any, IOLoop.current()).asyncio_loop
        for each in sockets:
            acceptor = Acceptor(loop, each, connection_callback(self))
            self._acceptors.append(acceptor)
            acceptor.start()

    def remove_sockets(self, sockets: Iterable[socket.socket]) -> None:
        removed = set(sockets)
        for acceptor in [each for each in self._acceptors if each.socket in removed]:
            self._acceptors.remove(acceptor)
            acceptor.close()

    def stop(self) -> None:
        super().stop()
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.close()

    def start_draining(self) -> None:
        self.conn_params.no_keep_alive = True  # shared by all connections
        for request in self._busy.values():
            close_after_response(request)  # overrides the decision made when its head was read

    async def stop_gracefully(self, seconds: float) -> bool:
        for acceptor in self._acceptors:
            acceptor.accept_rest()
        self.stop()
        self.start_draining()
        in_time = False
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._close_idle(min(LAST_SECONDS, seconds / 2))
                    await self._wait_until_idle()
                in_time = True
        finally:
            await self._abort_requests()
        return in_time

    async def _close_idle(self, last_seconds: float) -> None:
        """Close the connections that receive no data within *last_seconds*: a request may be in transit."""
        for _ in range(_SETTLING_TURNS):
            await asyncio.sleep(0)
        if any(connection not in self._busy for connection in self._connections):
            await asyncio.sleep(last_seconds)
        await _close_all(connection for connection in self._connections if connection not in self._busy)

    def mark_busy(self, server_conn: object, request_conn: HTTPConnection) -> None:
        """Mark *server_conn* as busy with the request of *request_conn*."""
        self._busy[server_conn] = request_conn

    def identify(self, connection: HTTPConnection, headers: HTTPHeaders) -> None:
        """Set the client's address and scheme in the context of *connection*."""
        context = cast(Any, connection).context
        if self._proxies is None:
            context.remote_ip = context.remote_ip.partition("%")[0]  # without the IPv6 zone
            return
        peer = Peer.of_socket(context.address, context.address_family, scheme_of(context))
        said = (
            (name.lower().encode(), value.encode("latin-1", "replace"))
            for name in FORWARDED_HEADERS
            for value in headers.get_list(name)
        )
        client = self._proxies.client_of_fields(peer, said)
        context.remote_ip, context.protocol = client.remote_ip, client.protocol

    def _mark_idle(self, server_conn: object) -> None:
        self._busy.pop(server_conn, None)
        self._changed.set()

    async def _wait_until_idle(self) -> None:
        while self._busy:
            self._changed.clear()
            await self._changed.wait()
        while self._tasks:  # after the response, or a disconnect, endcall hooks and methods still run
            await asyncio.wait(self._tasks)

    async def _abort_requests(self) -> None:
        if self._busy or self._tasks:
            logger.warning("%d requests were cut off.", max(len(self._busy), len(self._tasks)))
        for task in self._tasks:
            task.cancel()
        await _close_all(self._connections)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)


async def _close_all(connections: Iterable[Any]) -> None:
    closing = [asyncio.ensure_future(connection.close()) for connection in list(connections)]
    if closing:
        await asyncio.wait(closing, timeout=CLOSE_SECONDS)


class _WatchedRequest(HTTPMessageDelegate):
    """A delegate that notifies its server when the request head has arrived, and forwards everything."""

    def __init__(
        self, server: TornadoServer, delegate: HTTPMessageDelegate, server_conn: object, connection: HTTPConnection
    ) -> None:
        self._server = server
        self._delegate = delegate
        self._server_conn = server_conn
        self._connection = connection
        self.data_received = delegate.data_received  # type: ignore[method-assign]  # one call fewer per chunk
        self.finish = delegate.finish  # type: ignore[method-assign]
        self.on_connection_close = delegate.on_connection_close  # type: ignore[method-assign]

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        self._server.mark_busy(self._server_conn, self._connection)
        self._server.identify(self._connection, headers)
        return self._delegate.headers_received(start_line, headers)
