"""A small application, sockets and certificates for the server's tests."""

import asyncio
import contextlib
import importlib.util
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tornado import web

from torngas_aio.webserver.listeners import bind

HTTP_SERVERS = ["tornado"]
if importlib.util.find_spec("torngas_aio.http.server"):
    HTTP_SERVERS.append("torngas_aio")


class Recorder(web.Application):
    """A plain Tornado application that notes what happens to it, and answers `/slow` when it is told to."""

    def __init__(self) -> None:
        super().__init__([
            (r"/", Hello),
            (r"/slow", Slow),
            (r"/who", Who),
        ])  # fmt: skip
        self.events: list[str] = []
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def startup(self) -> None:
        self.events.append("startup")

    async def shutdown(self) -> None:
        self.events.append("shutdown")


class Hello(web.RequestHandler):
    def get(self) -> None:
        self.write("hello")


class Slow(web.RequestHandler):
    application: Any

    async def get(self) -> None:
        self.application.arrived.set()
        await self.application.may_answer.wait()
        self.application.events.append("answered")
        self.write("slow hello")


class Who(web.RequestHandler):
    def get(self) -> None:
        self.write(f"{self.request.remote_ip} {self.request.protocol}")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def listener() -> Iterator[list[socket.socket]]:
    """Sockets on a free loopback port; closed at the end, whoever closed them before."""
    sockets = bind(0, "127.0.0.1")
    yield sockets
    for each in sockets:
        each.close()


@pytest.fixture(params=HTTP_SERVERS)
def http_server(request: pytest.FixtureRequest) -> str:
    """The name of each front door in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Paths of a certificate for localhost and 127.0.0.1, and of its key."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    directory = tmp_path_factory.mktemp("tls")
    chain, key = directory / "chain.pem", directory / "key.pem"
    for part in issued.cert_chain_pems:
        part.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    return chain, key


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that believes the test's authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Client:
    """One connection, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, sockets: list[socket.socket], **kwargs: Any) -> "Client":
        return cls(*await asyncio.open_connection(*sockets[0].getsockname()[:2], **kwargs))

    @classmethod
    async def connect_unix(cls, path: Path) -> "Client":
        return cls(*await asyncio.open_unix_connection(path))

    async def ask(self, path: str = "/", *headers: str) -> str:
        """Send a request and return the whole answer."""
        self.send(path, *headers)
        return await self.answer()

    def send(self, path: str = "/", *headers: str) -> None:
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers])
        self.writer.write(f"{head}\r\n\r\n".encode())

    async def answer(self) -> str:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        (length,) = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
        return head + (await self.reader.readexactly(int(length))).decode()

    async def is_closed(self) -> bool:
        """Wait for the other side to close; whether nothing came before."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    async def aclose(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()
