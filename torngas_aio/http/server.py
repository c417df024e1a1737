"""The server: options, listening sockets, and an orderly end.

    HTTPServer(application, **options)
        listen / bind + start / add_sockets / listen_unix ──► one asyncio server a socket ──► HTTPProtocol
        stop                      no new connections
        stop_gracefully(seconds)  and what was received is answered, then every connection closes
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
"""Connections that the system holds until they are accepted."""

_TLS_CLOSE_SECONDS = 5.0


class HTTPServer:
    """An HTTP/1.1 server for an `Application`, any delegate of Tornado's, or a function that takes a request.

    Args:
        request_callback: What has `serve_request` takes the direct adapter, everything else Tornado's.
        no_keep_alive: Close each connection after one request.
        xheaders: Believe forwarded addresses and schemes, from *trusted_downstream* only.
        ssl_options: An `SSLContext`, or the keywords for one, as in Tornado; serve TLS.
        protocol: The scheme that requests get: "https" behind a proxy that takes TLS off.
        decompress_request: Unpack bodies with `Content-Encoding: gzip`.
        chunk_size: The largest piece in which a body is handed on; 64 KiB.
        max_header_size: 64 KiB, request line included; 431 beyond.
        idle_connection_timeout: Between requests; 60 s.
        body_timeout: A whole body; none by default, see *body_rate_timeout*.
        max_body_size: 10 MiB, or `max_buffer_size` where only that is given; 413 beyond.
        trusted_downstream: Addresses and networks of proxies, "unix" for unix sockets; this machine.
        trusted_headers: The forwarded headers that these set; X-Forwarded-For and X-Forwarded-Proto.
        max_header_count: 100; 431 beyond.
        max_line_size: 16 KiB for the request line; 414 beyond.
        header_timeout: A whole header, or the first byte on a new connection; 10 s, then 408.
        body_rate_timeout: Bodies must bring 240 bytes a second over this span; 10 s, then 408.
        write_timeout: Clients must take as much of their answers; 10 s, then they are cut off.
        max_keep_alive_requests: Requests on one connection; as many as come.
        context_for: Gives the context for a request; by default the application's own `context_for` where it
            has one, else a copy of the context in which the sockets were added.

    A deadline of 0 is none.

    Raises:
        TypeError: *request_callback* cannot be served.
        ValueError: A trusted proxy is no address.
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
        """What the connections share; made on the loop on which the first socket was added.

        Raises:
            RuntimeError: There is none yet.
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
        """Listen on *port*, 0 for any that is free; return the sockets.

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
        """Take *port*; `start` begins to listen."""
        self._pending += bind_sockets(port, address, family, backlog or self.backlog, flags, reuse_port)

    def start(self, num_processes: int | None = 1, max_restarts: int | None = None) -> None:
        """Serve what was bound, in this process, or in *num_processes* forked ones (None or 0: one a core).

        With more than one process this must come before anything has started the event loop.
        `supervisor.Supervisor` does more for worker processes.
        """
        if num_processes != 1:
            fork_processes(num_processes, max_restarts)
        sockets, self._pending = self._pending, []
        self.add_sockets(sockets)

    def listen_unix(self, path: str, mode: int = 0o600) -> socket.socket:
        """Listen on a unix socket at *path*; that of a dead server is replaced.

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
        """Accept no more on *sockets*, which were added, and close them; open connections go on."""
        removed = set(sockets)
        for listener in [each for each in self._listeners if each.socket in removed]:
            self._listeners.remove(listener)
            listener.close()

    async def started(self) -> None:
        """Return when every socket that was added accepts connections."""
        for listener in self._listeners:
            await listener.started()

    # Stopping

    def stop(self) -> None:
        """Accept no more connections; those that are open go on."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()
        for sock in self._pending:
            sock.close()
        self._pending = []

    def start_draining(self) -> None:
        """Go on as before, but close each connection after its next answer, which says so."""
        if self._server_state is not None:
            self._server_state.is_stopping = True

    async def stop_gracefully(self, seconds: float = 30.0) -> bool:
        """Accept no more connections, answer what was received, and close.

        Connections that wait to be accepted are, idle ones close, answers under way say `Connection: close`.
        What is not done after *seconds* is cancelled. Connections that left HTTP (WebSockets) are their
        handlers' to close; past *seconds* they are cut.

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
                "%d requests and %d connections did not end within %.1f s; they are cut off.",
                len(server_state.running), len(server_state.connections), seconds,
            )  # fmt: skip
        finally:
            await self._cut(server_state)
        return in_time

    async def close_all_connections(self) -> None:
        """Close every connection at once, and wait until that is done; WebSockets stay, as in Tornado."""
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
        """End whatever is left."""
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
    """One listening socket and what accepts its connections: the loop's own server, or an `Acceptor`.

    The loop's server can only be made by a coroutine, and Tornado's `listen` is none: a task, owned here,
    makes it in the loop's next turn. Until then the system holds the connections.
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
            # From Python 3.13 on the file would go with the first worker that ends. Listeners remove what they bound.
            options = {**options, "cleanup_socket": False}
        self._server = await make(self._accept, sock=self.socket, backlog=self._backlog, **options)

    def _accept(self) -> HTTPProtocol:
        protocol = HTTPProtocol(self._server_state)
        self._server_state.arriving.add(protocol)
        return protocol

    def _take(self, accepted: socket.socket, address: object) -> None:
        """Connect one that the system held for us."""
        protocol = self._accept()  # at once: a stop waits for those that arrive
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
        """Stop listening; connections that the system already holds for us are accepted before."""
        await self._starting
        if isinstance(self._server, Acceptor):
            self._server.accept_rest()
            self.close()
            return
        try:
            spare = Acceptor(self._server_state.loop, self.socket.dup(), self._take)
        except OSError:  # without a file descriptor nothing could be accepted; what is in flight must not be lost too
            self.close()
            return
        self.close()
        # RACE: no await between these two lines, or what arrives meanwhile is reset
        spare.accept_rest()
        spare.close()


async def _close_idle(server_state: ServerState, last_seconds: float) -> None:
    """Close connections on which nothing is going on, once what they have sent has been read.

    A request may be on its way on any of them: they stay open for *last_seconds*, in which it is answered with
    `Connection: close`.
    """
    for _ in range(8):  # turns of the loop, in which it accepts and reads what had arrived before the stop
        await asyncio.sleep(0)
    if server_state.arriving or any(connection.is_idle for connection in server_state.connections):
        await asyncio.sleep(last_seconds)
    for connection in list(server_state.connections):
        if connection.is_idle:
            connection.close()


def _loop() -> asyncio.AbstractEventLoop:
    """The running loop; before it runs, the one that will: Tornado's applications listen before they start."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        from tornado.ioloop import IOLoop

        return IOLoop.current().asyncio_loop  # type: ignore[attr-defined, no-any-return]


def _maker(loop: asyncio.AbstractEventLoop, bound: socket.socket) -> Callable[..., Awaitable[asyncio.Server]]:
    return loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
