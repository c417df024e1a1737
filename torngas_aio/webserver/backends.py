"""The HTTP server that takes connections and hands their requests to the application.

    torngas_aio   our own server, on httptools
    tornado       Tornado's, with the same rules on proxies and the same graceful end

Both listen with `add_sockets` and end with `stop_gracefully`.
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
_SETTLING_TURNS = 10  # turns of the loop in which bytes that had arrived before the stop become requests


class ServerBackend(Protocol):
    """What `serving` needs of an HTTP server."""

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on *sockets*, in the running loop."""

    def remove_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept no more on *sockets*, which were added, and close them; open connections go on."""

    def start_draining(self) -> None:
        """Go on as before, but close each connection after its next answer."""

    async def stop_gracefully(self, seconds: float) -> bool:
        """Accept no more connections, answer what was received, close every connection.

        Args:
            seconds: What has not been answered by then is cut off.

        Returns:
            Whether everything ended in time.
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
        kind: One of `BACKENDS`; empty for our own where httptools is installed, else Tornado's.
        xheaders: Believe the forwarded headers of *trusted_proxies*.
        trusted_headers: The forwarded headers that they set; None: X-Forwarded-For and X-Forwarded-Proto.
        arguments: The server's own: `no_keep_alive`, `max_body_size`, `ssl_options`, timeouts and more.

    Raises:
        ArgumentError: The server knows no such argument.
        ConfigError: There is no such kind, or its library is missing.
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
    if kind == "tornado" and arguments.get("ssl_options") is not None:  # our own server looks itself
        arguments["ssl_options"] = server_context(arguments["ssl_options"])
    arguments["trusted_downstream"] = list(trusted_proxies)
    arguments["trusted_headers"] = None if trusted_headers is None else list(trusted_headers)
    backend: ServerBackend = server(application, xheaders=xheaders, **arguments)
    return backend


def backend_kind(kind: str = "") -> str:
    """Return *kind*, or which server is used where none is asked for."""
    return kind or ("torngas_aio" if importlib.util.find_spec("httptools") else "tornado")


def _our_server() -> Any:
    if importlib.util.find_spec("httptools") is None:
        raise ConfigError(
            "--http_server=torngas_aio needs httptools. Install it, or give --http_server=tornado.", code="TGA801"
        )
    from torngas_aio.http.server import HTTPServer

    return HTTPServer


class TornadoServer(TornadoHTTPServer):
    """Tornado's server, that knows which connections have a request in flight."""

    def initialize(
        self,
        *args: Any,
        xheaders: bool = False,
        trusted_downstream: Any = None,
        trusted_headers: Any = None,
        **kwargs: Any,
    ) -> None:
        """Take Tornado's arguments and *trusted_headers*; *trusted_downstream* holds networks too, and `unix`."""
        super().initialize(*args, **kwargs)
        self._busy: dict[object, Any] = {}  # connection: its request, begun and not answered to the end
        self._tasks: set[asyncio.Task[None]] = set()  # of our own application; Tornado's owns what it starts
        self._changed = asyncio.Event()
        self._acceptors: list[Acceptor] = []
        self._proxies: TrustedProxies | None = None
        if xheaders:
            self._proxies = TrustedProxies(trusted_downstream or (), trusted_headers)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        # Tornado calls this before it reads the next head, so the connection is idle from here on.
        self._became_idle(server_conn)
        application = self.request_callback
        delegate: HTTPMessageDelegate
        if hasattr(application, "serve_request"):
            context_for = getattr(application, "context_for", None)
            delegate = TornadoAdapter(
                cast(DirectApplication, application), server_conn, request_conn, self._tasks, context_for
            )
        else:
            delegate = super().start_request(server_conn, request_conn)
        return _Watched(self, delegate, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        self._became_idle(server_conn)
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
        self.conn_params.no_keep_alive = True  # shared by all connections: their next answer is the last
        for request in self._busy.values():
            close_after_response(request)  # decided when its head was read; the answer says `close` now

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
                    await self._quiet()
                in_time = True
        finally:
            await self._cut_off()
        return in_time

    async def _close_idle(self, last_seconds: float) -> None:
        """Close the connections on which nothing comes in within *last_seconds*: a request may be on its way."""
        for _ in range(_SETTLING_TURNS):
            await asyncio.sleep(0)
        if any(connection not in self._busy for connection in self._connections):
            await asyncio.sleep(last_seconds)
        await _close_all(connection for connection in self._connections if connection not in self._busy)

    def became_busy(self, server_conn: object, request_conn: HTTPConnection) -> None:
        """Note that the request of *request_conn* has begun on *server_conn*."""
        self._busy[server_conn] = request_conn

    def identify(self, connection: HTTPConnection, headers: HTTPHeaders) -> None:
        """Let the connection's context tell address and scheme of the request's client."""
        context = cast(Any, connection).context
        if self._proxies is None:
            context.remote_ip = context.remote_ip.partition("%")[0]  # an address has no zone
            return
        peer = Peer.of_socket(context.address, context.address_family, scheme_of(context))
        said = (
            (name.lower().encode(), value.encode("latin-1", "replace"))
            for name in FORWARDED_HEADERS
            for value in headers.get_list(name)
        )
        client = self._proxies.client_of_fields(peer, said)
        context.remote_ip, context.protocol = client.remote_ip, client.protocol

    def _became_idle(self, server_conn: object) -> None:
        self._busy.pop(server_conn, None)
        self._changed.set()

    async def _quiet(self) -> None:
        while self._busy:
            self._changed.clear()
            await self._changed.wait()
        while self._tasks:  # the client has its answer, or has left: endcall hooks and methods run on
            await asyncio.wait(self._tasks)

    async def _cut_off(self) -> None:
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


class _Watched(HTTPMessageDelegate):
    """Hands a request on; tells its server when the head is in."""

    def __init__(
        self, server: TornadoServer, delegate: HTTPMessageDelegate, server_conn: object, connection: HTTPConnection
    ) -> None:
        self._server = server
        self._delegate = delegate
        self._server_conn = server_conn
        self._connection = connection
        self.data_received = delegate.data_received  # type: ignore[method-assign]  # one call less a chunk
        self.finish = delegate.finish  # type: ignore[method-assign]
        self.on_connection_close = delegate.on_connection_close  # type: ignore[method-assign]

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        self._server.became_busy(self._server_conn, self._connection)
        self._server.identify(self._connection, headers)
        return self._delegate.headers_received(start_line, headers)
