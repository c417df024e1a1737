"""Bytes to and from a server, with nothing in between that could be too clever."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from torngas_aio.http.request import Request
from torngas_aio.http.server import HTTPServer

__all__ = ["Answer", "Client", "Direct", "Served", "get"]


def get(path: str = "/", *lines: str, version: str = "1.1") -> bytes:
    """A GET request as bytes."""
    return "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/{version}", "Host: test", *lines, "")).encode("latin-1")


@dataclass
class Answer:
    """One response, taken apart."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes = b""


class Client:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: Any, tls: ssl.SSLContext | None = None) -> Self:
        if isinstance(address, str):
            return cls(*await asyncio.open_unix_connection(address))
        name = "localhost" if tls else None
        return cls(*await asyncio.open_connection(*address[:2], ssl=tls, server_hostname=name, limit=1 << 24))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        self.send(data)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one response, framed as HTTP says."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = f"{headers[name.lower()]}\n{value}" if name.lower() in headers else value
        code = int(status)
        if method == "HEAD" or code in (204, 304) or code < 200:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = await self.reader.read()
        return Answer(code, reason, headers, body, raw)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        data = b""
        try:
            while piece := await self.reader.read(1 << 16):
                data += piece
        except ConnectionError:
            pass
        return data


Serve = Callable[[Request, Any], Awaitable[None]]


class Direct:
    """An application on the direct adapter: a coroutine function that gets a request and its exchange."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.requests: list[Request] = []

    async def serve_request(self, request: Request) -> None:
        self.requests.append(request)
        await self.serve(request, request.connection)


@dataclass
class Served:
    """A running server and where it is."""

    server: HTTPServer
    address: Any

    async def client(self, tls: ssl.SSLContext | None = None) -> Client:
        return await Client.connect(self.address, tls)

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        async with await self.client() as client:
            return await client.ask(data, method)

    async def all(self, *pieces: bytes) -> bytes:
        """Send *pieces*, one after the other, and return everything until the server closes."""
        async with await self.client() as client:
            for piece in pieces:
                client.send(piece)
                await client.writer.drain()
            return await client.rest()
