"""The server: options, listening sockets, and graceful stop.

    HTTPServer(application, **options)
        listen / bind + start / add_sockets / listen_unix ──► one asyncio server per socket ──► HTTPProtocol
        stop                      no new connections
        stop_gracefully(seconds)  and requests already received are served, then every connection closes
        close_all_connections     at once

It has the names and options of `tornado.httpserver.HTTPServer`, and more deadlines.
"""

import asyncio
import contextvars
import inspect
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.netutil import bind_sockets
from tornado.process import fork_processes

from torngas_aio.http.accepting import LAST_SECONDS, Acceptor
from torngas_aio.http.adapters import adapter_for
from torngas_aio.http.limits import Limits
from torngas_aio.http.protocol import HTTPProtocol
from torngas_aio.http.proxies import DEFAULT_TRUSTED, TrustedProxies
from torngas_aio.http.server_state import ContextFor, ServerState, logger
from torngas_aio.http.tls import server_context
from torngas_aio.http.unix_sockets import UnixListener

__all__ = ["BACKLOG", "HTTPServer"]

BACKLOG = 1024
"""Connections that the kernel queues until they are accepted."""

_TLS_CLOSE_SECONDS = 5.0


class HTTPServer:
    """An HTTP/1.1 server for an `Application`, a delegate of Tornado's, or a function that accepts a request.

    Args:
        request_callback: Called through the direct adapter if it has `serve_request`, otherwise through Tornado's
            delegate interface.
        no_keep_alive: Close each connection after one request.
        xheaders: Use forwarded addresses and schemes, from *trusted_downstream* only.
        ssl_options: An `SSLContext`, or the keywords for one, as in Tornado; serve TLS.
        protocol: The scheme of requests: "https" behind a proxy that terminates TLS.
        decompress_request: Decompress bodies with `Content-Encoding: gzip`.
        chunk_size: The largest piece of a body passed to the application; 64 KiB.
        max_header_size: 64 KiB, request line included; 431 beyond.
        idle_connection_timeout: Between requests; 60 s.
        body_timeout: A whole body; none by default, see *body_rate_timeout*.
        max_body_size: 10 MiB, or `max_buffer_size` if only that is given; 413 beyond.
        trusted_downstream: Addresses and networks of proxies, "unix" for unix sockets; this machine.
        trusted_headers: The forwarded headers that these set; X-Forwarded-For and X-Forwarded-Proto.
        max_header_count: 100; 431 beyond.
        max_line_size: 16 KiB for the request line; 414 beyond.
        header_timeout: A whole header, or the first byte on a new connection; 10 s, then 408.
        body_rate_timeout: The period over which a body must average 240 bytes per second; 10 s, then 408.
        write_timeout: The same for a client's reading of responses; 10 s, then it is disconnected.
        max_keep_alive_requests: Requests on one connection; no limit.
        context_for: Returns the context for a request; by default the application's own `context_for` if it
            has one, else a copy of the context in which the sockets were added.

    A deadline of 0 disables it.

    Raises:
        TypeError: *request_callback* cannot be served.
        ValueError: A trusted proxy is not an address.
        ConfigError: *ssl_options* without a certificate, or one that cannot be used.
    """

    def __init__(  # noqa: PLR0917  Tornado's signature
        self,
        request_callback: object,
        no_keep_alive: bool = False,
        xheaders: bool = False,
        ssl_options: dict[str, object] | ssl.SSLContext | None = None,
        protocol: str | None = None,
        decompress_request: bool = False,
        chunk_size: int | None = None,
        max_header_size: int | None = None,
        idle_connection_timeout: float | None = None,
        body_timeout: float | None = None,
        max_body_size: int | None = None,
        max_buffer_size: int | None = None,
        trusted_downstream: Iterable[str] | None = None,
        *,
        trusted_headers: Iterable[str] | None = None,
        max_header_count: int | None = None,
        max_line_size: int | None = None,
        header_timeout: float | None = None,
        body_rate_timeout: float | None = None,
        write_timeout: float | None = None,
        max_keep_alive_requests: int | None = None,
        backlog: int = BACKLOG,
        context_for: ContextFor | None = None,
    ) -> None:
        given = {
            "no_keep_alive": no_keep_alive,
            "decompress_request": decompress_request,
            "chunk_size": chunk_size,
            "max_header_size": max_header_size,
            "max_header_count": max_header_count,
            "max_line_size": max_line_size,
            "max_body_size": max_buffer_size if max_body_size is None else max_body_size,
            "max_keep_alive_requests": max_keep_alive_requests,
            "header_timeout": header_timeout,
            "idle_connection_timeout": idle_connection_timeout,
            "body_timeout": body_timeout,
            "body_rate_timeout": body_rate_timeout,
            "write_timeout": write_timeout,
        }
        self.limits = Limits(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        self.request_callback = request_callback
        self.xheaders = xheaders
        self.protocol = protocol
        self.backlog = backlog
        self._adapter = adapter_for(request_callback)
        self._proxies = None
        if xheaders:
            trusted = DEFAULT_TRUSTED if trusted_downstream is None else trusted_downstream
            self._proxies = TrustedProxies(trusted, trusted_headers)
        self._tls = None if ssl_options is None else server_context(ssl_options)
        self._context_for = context_for
        self._server_state: ServerState | None = None
        self._pending: list[socket.socket] = []
        self._listeners: list[_Listener] = []

    @property
    def server_state(self) -> ServerState:
        """The state shared by the connections, on the loop on which the first socket was added.

        Raises:
            RuntimeError: No socket has been added yet.
        """
        if self._server_state is None:
            raise RuntimeError("The server has no sockets yet: call listen(), or bind() and start().")
        return self._server_state

    # Listening

    def listen(  # noqa: PLR0917  Tornado's signature
        self,
        port: int,
        address: str | None = None,
        family: socket.AddressFamily = socket.AF_UNSPEC,
        backlog: int | None = None,
        flags: int | None = None,
        reuse_port: bool = False,
    ) -> list[socket.socket]:
        """Listen on *port*, 0 for any free one; return the sockets.

        Raises:
            OSError: The port is taken.
        """
        sockets = bind_sockets(port, address, family, backlog or self.backlog, flags, reuse_port)
        self.add_sockets(sockets)
        return sockets

    def bind(  # noqa: PLR0917  Tornado's signature
        self,
        port: int,
        address: str | None = None,
        family: socket.AddressFamily = socket.AF_UNSPEC,
        backlog: int | None = None,
        flags: int | None = None,
        reuse_port: bool = False,
    ) -> None:
        """Bind *port*; `start` begins to listen."""
        self._pending += bind_sockets(port, address, family, backlog or self.backlog, flags, reuse_port)

    def start(self, num_processes: int | None = 1, max_restarts: int | None = None) -> None:
        """Serve the bound sockets, in this process or in *num_processes* forked ones (None or 0: one per core).

        With more than one process this must be called before the event loop starts.
        `supervisor.Supervisor` manages worker processes more fully.
        """
        if num_processes != 1:
            fork_processes(num_processes, max_restarts)
        sockets, self._pending = self._pending, []
        self.add_sockets(sockets)

    def listen_unix(self, path: str, mode: int = 0o600) -> socket.socket:
        """Listen on a unix socket at *path*; the socket file of a dead server is replaced.

        Raises:
            ConfigError: A live server listens there, or the path cannot be used.
        """
        sock = UnixListener(path, backlog=self.backlog, mode=mode).socket
        self.add_socket(sock)
        return sock

    def add_socket(self, sock: socket.socket) -> None:
        """Serve *sock*, which is bound and listening."""
        self.add_sockets([sock])

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Serve *sockets*, which are bound and listening; each request gets a copy of this call's context."""
        loop = _loop()
        if self._server_state is None:
            self._server_state = ServerState(
                loop,
                self._adapter,
                self.limits,
                contextvars.copy_context(),
                context_for=self._context_for or getattr(self.request_callback, "context_for", None),
                proxies=self._proxies,
                scheme=self.protocol,
            )
        for sock in sockets:
            self._listeners.append(_Listener(self._server_state, sock, self._tls, self.backlog))

    def remove_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Stop accepting on *sockets* and close them; open connections continue."""
        removed = set(sockets)
        for listener in [each for each in self._listeners if each.socket in removed]:
            self._listeners.remove(listener)
            listener.close()

    async def started(self) -> None:
        """Return when every added socket accepts connections."""
        for listener in self._listeners:
            await listener.started()

    # Stopping

    def stop(self) -> None:
        """Stop accepting connections; open ones continue."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()
        for sock in self._pending:
            sock.close()
        self._pending = []

    def start_draining(self) -> None:
        """Continue to serve, but close each connection after its next response (`Connection: close`)."""
        if self._server_state is not None:
            self._server_state.is_stopping = True

    async def stop_gracefully(self, seconds: float = 30.0) -> bool:
        """Stop accepting connections, serve the requests already received, and close.

        Connections in the kernel's queue are still accepted, idle ones are closed, and responses in progress send
        `Connection: close`. Requests that last longer than *seconds* are cancelled. Connections that left HTTP
        (WebSockets) are closed by their handlers, or aborted after *seconds*.

        Returns:
            Whether everything ended in time.
        """
        server_state = self._server_state
        if server_state is None:
            self.stop()
            return True
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            await listener.close_softly()
        server_state.is_stopping = True
        deadline = server_state.loop.time() + seconds
        in_time = True
        try:
            async with asyncio.timeout_at(deadline):
                await _close_idle(server_state, min(LAST_SECONDS, seconds / 2))
                await server_state.rest()
        except TimeoutError:
            in_time = False
            logger.warning(
                "%d requests and %d connections did not end within %.1f s; they are aborted.",
                len(server_state.running), len(server_state.connections), seconds,
            )  # fmt: skip
        finally:
            await self._cut(server_state)
        return in_time

    async def close_all_connections(self) -> None:
        """Close every connection at once, and wait until that is done; WebSockets stay open, as in Tornado."""
        server_state = self._server_state
        if server_state is None:
            return
        while server_state.connections:
            for connection in list(server_state.connections):
                connection.cut()
            await asyncio.sleep(0)
        for listener in self._listeners:
            await listener.started()

    async def _cut(self, server_state: ServerState) -> None:
        """Cancel remaining requests and abort remaining connections."""
        tasks = list(server_state.running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_TLS_CLOSE_SECONDS)
        server_state.running.clear()
        for successor in list(server_state.successors):
            successor.cut()
        await self.close_all_connections()
        server_state.close()


class _Listener:
    """One listening socket and its acceptor: the loop's own server, or an `Acceptor`.

    Only a coroutine can create the loop's server, but Tornado's `listen` is a plain function: a task, owned here,
    creates it in the loop's next turn. Until then the kernel queues connections.
    """

    def __init__(
        self, server_state: ServerState, sock: socket.socket, tls: ssl.SSLContext | None, backlog: int
    ) -> None:
        self._server_state = server_state
        self.socket = sock
        self._options: dict[str, Any] = {}
        if tls is not None:
            self._options = {
                "ssl": tls,
                "ssl_handshake_timeout": server_state.limits.header_timeout or None,
                "ssl_shutdown_timeout": _TLS_CLOSE_SECONDS,
            }
        self._backlog = backlog
        self._server: asyncio.Server | Acceptor | None = None
        self._connecting: set[asyncio.Task[object]] = set()
        self._starting = server_state.loop.create_task(self._start())

    async def _start(self) -> None:
        loop = self._server_state.loop
        if isinstance(loop, asyncio.SelectorEventLoop):
            self._server = Acceptor(loop, self.socket, self._take)
            self._server.start()
            return
        make = _maker(loop, self.socket)
        options = self._options
        if "cleanup_socket" in inspect.signature(make).parameters:
            # From Python 3.13 on the first worker to end would remove the file; a listener removes its own file.
            options = {**options, "cleanup_socket": False}
        self._server = await make(self._accept, sock=self.socket, backlog=self._backlog, **options)

    def _accept(self) -> HTTPProtocol:
        protocol = HTTPProtocol(self._server_state)
        self._server_state.arriving.add(protocol)
        return protocol

    def _take(self, accepted: socket.socket, address: object) -> None:
        """Set up a protocol for an accepted connection."""
        protocol = self._accept()  # immediately: a stop waits for arriving connections
        connecting = self._server_state.loop.create_task(self._connect(protocol, accepted))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, protocol: HTTPProtocol, accepted: socket.socket) -> None:
        try:
            await self._server_state.loop.connect_accepted_socket(lambda: protocol, accepted, **self._options)
        except OSError as exc:
            self._server_state.arriving.discard(protocol)
            logger.debug("A client left during its handshake: %s", exc)

    async def started(self) -> None:
        """Return when the socket accepts connections."""
        await self._starting

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        elif not self._starting.done():
            self._starting.cancel()
        self.socket.close()

    async def close_softly(self) -> None:
        """Stop listening, after accepting the connections in the kernel's queue."""
        await self._starting
        if isinstance(self._server, Acceptor):
            self._server.accept_rest()
            self.close()
            return
        try:
            spare = Acceptor(self._server_state.loop, self.socket.dup(), self._take)
        except OSError:  # no file descriptor left: nothing could be accepted; keep the requests in flight
            self.close()
            return
        self.close()
        # RACE: no await between these two lines, or connections that arrive meanwhile are reset
        spare.accept_rest()
        spare.close()


async def _close_idle(server_state: ServerState, last_seconds: float) -> None:
    """Close idle connections, once the data that they have sent has been read.

    A request may be in flight on any of them: they stay open for *last_seconds*, in which a request is served with
    `Connection: close`.
    """
    for _ in range(8):  # turns of the loop, to accept and read what arrived before the stop
        await asyncio.sleep(0)
    if server_state.arriving or any(connection.is_idle for connection in server_state.connections):
        await asyncio.sleep(last_seconds)
    for connection in list(server_state.connections):
        if connection.is_idle:
            connection.close()


def _loop() -> asyncio.AbstractEventLoop:
    """Return the running loop, or the current one before it runs: Tornado's applications listen before it starts."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        from tornado.ioloop import IOLoop

        return IOLoop.current().asyncio_loop  # type: ignore[attr-defined, no-any-return]


def _maker(loop: asyncio.AbstractEventLoop, bound: socket.socket) -> Callable[..., Awaitable[asyncio.Server]]:
    return loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
