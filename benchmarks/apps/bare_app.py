"""The floor: an asyncio protocol that parses with httptools and answers fixed bytes, in a task or without one."""

import asyncio
from typing import Any, ClassVar

import httptools
import uvloop

from benchmarks.apps.common import PLAIN, Variant

ANSWER = (
    f"HTTP/1.1 200 OK\r\nServer: bare\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    f"Content-Length: {len(PLAIN)}\r\n\r\n{PLAIN}"
).encode()


class Bare(asyncio.Protocol):
    """Answers every request with the same bytes."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header = (name, value)

    def on_message_complete(self) -> None:
        self.transport.write(ANSWER)


class BareWithTask(Bare):
    """The same, with a task for each request."""

    tasks: ClassVar[set[asyncio.Task[None]]] = set()

    def on_message_complete(self) -> None:
        task = asyncio.get_running_loop().create_task(self.answer())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self) -> None:
        self.transport.write(ANSWER)


def serve(_: Variant, port: int, kind: str) -> None:
    uvloop.run(main(BareWithTask if kind == "task" else Bare, port))


async def main(protocol: type[Bare], port: int) -> None:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()
