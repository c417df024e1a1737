"""Every server with every kind of application, as one parametrized fixture."""

import asyncio
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tornado.httpserver
import trustme
import uvicorn
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketHandler

from tests.contracts.front_doors.site import Bases, rules
from tests.http.wire import Client
from tests.polling import until
from torngas_aio import application as ours
from torngas_aio import handler as our_handlers
from torngas_aio.asgi import get_asgi_application
from torngas_aio.http.server import HTTPServer

BASES = {
    "tornado": Bases(RequestHandler, WebSocketHandler, StaticFileHandler),
    "torngas_aio": Bases(our_handlers.WebHandler, our_handlers.WebSocketHandler, our_handlers.StaticFileHandler),
}
SERVERS: dict[str, Any] = {"ours": HTTPServer, "tornado's": tornado.httpserver.HTTPServer}
APPLICATIONS: dict[str, Any] = {"tornado": TornadoApplication, "torngas_aio": ours.Application}


@dataclass
class Site:
    """A running application, and the notes of its handlers."""

    application: Any
    address: Any
    notes: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    async def client(self) -> Client:
        return await Client.connect(self.address, self.tls)

    async def noted(self, note: str) -> None:
        """Wait until a handler has added *note*."""
        await until(lambda: note in self.notes)


StartSite = Callable[..., Awaitable[Site]]

ASGI = "an ASGI server"
LACKS = {
    "unix": "the ASGI server opens its own sockets",
    "tls": "the ASGI server terminates TLS with its own context",
    "detach": "an ASGI server cannot detach a connection",
    "raw bytes": "the ASGI server parses and rejects heads and frames",
    "keep-alive": "the ASGI server decides how long a connection is kept",
    "unpacking": "ASGI servers do not decompress bodies",
}
"""Feature that ASGI servers lack: the reason, for skipped tests."""
PAIRS = [*itertools.product(SERVERS, BASES), (ASGI, "torngas_aio")]


class HTTPServerOf:
    """Our HTTP server, or Tornado's."""

    def __init__(self, server: Any, application: Any, options: dict[str, Any]) -> None:
        self._server = server(application, **options)
        self._application = application

    async def start(self, sockets: list[socket.socket]) -> None:
        self._server.add_sockets(sockets)

    async def stop(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()
        if hasattr(self._application, "shutdown"):
            await self._application.shutdown()


class Uvicorn:
    """An ASGI server in the test's event loop."""

    def __init__(self, application: Any, options: dict[str, Any]) -> None:
        config = uvicorn.Config(
            get_asgi_application(application, **options), http="h11", ws="websockets-sansio", lifespan="on",
            log_config=None, log_level="critical", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        # Not `serve`: it would install signal handlers.
        self._task = task = asyncio.create_task(self._server._serve(sockets))
        await until(lambda: self._server.started or task.done())
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        self._server.should_exit = True
        assert self._task is not None
        await self._task


@pytest.fixture(params=[*PAIRS], ids=" + ".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A server and the kind of its application."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
async def start_site(pair: tuple[str, str], tmp_path: Path) -> AsyncIterator[StartSite]:
    """Start a server: `await start_site(**options)`, with `unix=True` or `tls=True` for other sockets.

    A test names a feature that some servers lack, as `wants="raw bytes"`; it is skipped on these.
    """
    front, kind = pair
    opened: list[Any] = []

    async def start(*, unix: bool = False, tls: bool = False, wants: str = "", **options: Any) -> Site:
        wanted = {"unix": unix, "tls": tls, wants: bool(wants)}
        if front == ASGI and (lacking := [LACKS[name] for name, is_wanted in wanted.items() if is_wanted]):
            pytest.skip(lacking[0])
        notes: list[str] = []
        application = APPLICATIONS[kind](rules(BASES[kind], notes, tmp_path))
        contexts = _tls_contexts() if tls else (None, None)
        if front == ASGI:
            server: Any = Uvicorn(application, options)
        else:
            server = HTTPServerOf(SERVERS[front], application, {"ssl_options": contexts[0], **options})
        sockets = [bind_unix_socket(str(tmp_path / "socket"))] if unix else bind_sockets(0, "127.0.0.1")
        await server.start(sockets)
        opened.append(server)
        return Site(application, sockets[0].getsockname(), notes, contexts[1])

    (tmp_path / "file.txt").write_bytes(b"0123456789" * 20_000)
    yield start
    for server in opened:
        await server.stop()


def _tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
