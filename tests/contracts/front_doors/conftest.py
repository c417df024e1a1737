"""Each front door in front of each kind of application; the fixture carries the difference."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tornado.httpserver
import trustme
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketHandler

from tests.contracts.front_doors.site import Bases, rules
from tests.http.wire import Client
from torngas_aio import application as ours
from torngas_aio import handler as our_handlers
from torngas_aio.http.server import HTTPServer

BASES = {
    "tornado": Bases(RequestHandler, WebSocketHandler, StaticFileHandler),
    "torngas_aio": Bases(our_handlers.WebHandler, our_handlers.WebSocketHandler, our_handlers.StaticFileHandler),
}
APPLICATIONS: dict[str, Any] = {"tornado": TornadoApplication, "torngas_aio": ours.Application}


@dataclass
class House:
    """An application behind a front door, and what its handlers have noted."""

    application: Any
    address: Any
    notes: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    async def client(self) -> Client:
        return await Client.connect(self.address, self.tls)

    async def noted(self, note: str) -> None:
        """Return once a handler has noted *note*."""
        while note not in self.notes:
            await asyncio.sleep(0.005)


OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture(params=["ours", "tornado's"])
def door(request: pytest.FixtureRequest) -> Any:
    """The class of the server."""
    return {"ours": HTTPServer, "tornado's": tornado.httpserver.HTTPServer}[request.param]


@pytest.fixture(params=BASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the application and of its handlers."""
    name: str = request.param
    return name


@pytest.fixture
async def open_house(door: Any, kind: str, tmp_path: Path) -> AsyncIterator[OpenHouse]:
    """Start a server: `await open_house(**options)`, with `unix=True` or `tls=True` for other sockets."""
    opened: list[tuple[Any, Any]] = []

    async def start(*, unix: bool = False, tls: bool = False, **options: Any) -> House:
        notes: list[str] = []
        application = APPLICATIONS[kind](rules(BASES[kind], notes, tmp_path))
        contexts = _tls_contexts() if tls else (None, None)
        server = door(application, ssl_options=contexts[0], **options)
        opened.append((server, application))
        sockets = [bind_unix_socket(str(tmp_path / "socket"))] if unix else bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        return House(application, sockets[0].getsockname(), notes, contexts[1])

    (tmp_path / "file.txt").write_bytes(b"0123456789" * 20_000)
    yield start
    for server, application in opened:
        server.stop()
        await server.close_all_connections()
        if hasattr(application, "shutdown"):
            await application.shutdown()


def _tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
