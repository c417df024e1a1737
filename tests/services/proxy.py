"""A TCP proxy in the test's event loop that cuts, stalls and delays connections on demand, even within a response.

    async with Proxy(host, port) as proxy:
        proxy.cut_after(10)      the connection is reset before the 11th byte of the responses
        proxy.stall()            responses are held back until `flow()`
        proxy.slow(0.01, 1)      one byte of the responses every 10 ms

Begin with `Proxy`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from tests.services.process import HOST

__all__ = ["Proxy", "answering"]

CHUNK = 64 * 1024


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Yield the address, `host:port`, of a server that sends *answer* for every read."""

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(answer_all, HOST, 0) as server:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"


class Proxy:
    """A proxy from a loopback port to *host* and *port*.

    Attributes:
        sent: Bytes sent to the server, over all connections.
        received: Bytes of responses passed on to clients.
        connections: Number of connections accepted.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self.sent = 0
        self.received = 0
        self.connections = 0
        self._target = (host, port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._allowed: int | None = None
        self._pause = 0.0
        self._piece = CHUNK
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.flow()
        self.cut()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port of the proxy."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def address(self) -> str:
        """Host and port, in the format of `LOCATION`."""
        return f"{HOST}:{self.port}"

    def move_to(self, port: int, host: str = HOST) -> None:
        """Forward new connections to another server; open connections stay as they are."""
        self._target = (host, port)

    def cut(self) -> None:
        """Reset every open connection; new ones are served."""
        for writer in list(self._writers):
            writer.transport.abort()

    def cut_after(self, size: int) -> None:
        """Forward *size* more bytes of responses, then reset the connection; later connections are not limited."""
        self._allowed = size

    def stall(self) -> None:
        """Hold responses back; requests still reach the server."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward responses again, those held back first."""
        self._flowing.set()
        self._pause, self._piece = 0.0, CHUNK

    def slow(self, pause: float, piece: int) -> None:
        """Forward responses in pieces of *piece* bytes, *pause* seconds apart."""
        self._pause, self._piece = pause, piece

    async def wait_for_sent(self, size: int) -> None:
        """Wait until *size* bytes in total have been sent to the server."""
        while self.sent < size:
            self._heard.clear()
            await self._heard.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, server_writer))
                group.create_task(self._back(server_reader, writer))
        except* OSError:
            pass  # one side has closed: close the other one
        finally:
            for each in (writer, server_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
            self.sent += len(data)
            self._heard.set()
        raise ConnectionResetError("the client closed")

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            while data:
                piece, data = data[: self._piece], data[self._piece :]
                await self._pass_on(piece, writer)
        raise ConnectionResetError("the server closed")

    async def _pass_on(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        if self._pause:
            await asyncio.sleep(self._pause)
        await self._flowing.wait()
        if self._allowed is not None:
            piece, self._allowed = piece[: self._allowed], self._allowed - len(piece)
        writer.write(piece)
        await writer.drain()
        self.received += len(piece)
        if self._allowed is not None and self._allowed < 0:
            self._allowed = None
            await asyncio.sleep(0)
            raise ConnectionResetError("cut")
