"""The application under test, built on the given base classes."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from tests.polling import until

__all__ = ["Bases", "rules"]


@dataclass(frozen=True)
class Bases:
    """Base classes of the handlers."""

    handler: Any
    web_socket: Any
    static: Any


def rules(bases: Bases, notes: list[str], folder: Path) -> list[tuple[Any, ...]]:  # noqa: C901  many small classes
    """Return the routing rules; handlers append events to *notes*."""

    class Plain(bases.handler):  # type: ignore[misc,name-defined]
        def get(self, name: str = "world") -> None:
            self.set_header("X-Name", name)
            self.write(f"Hello, {name}!")

        head = get

    class Echo(bases.handler):  # type: ignore[misc,name-defined]
        def post(self) -> None:
            self.write(self.request.body)

        put = post

    class Form(bases.handler):  # type: ignore[misc,name-defined]
        def post(self) -> None:
            self.write({"a": self.get_arguments("a"), "b": self.get_body_argument("b", "none")})

    class Parts(bases.handler):  # type: ignore[misc,name-defined]
        async def get(self) -> None:
            for part in ("one", "two", "three"):
                self.write(part)
                await self.flush()
                await asyncio.sleep(0)

    class Status(bases.handler):  # type: ignore[misc,name-defined]
        def get(self, status: str) -> None:
            self.set_status(int(status))

    class Lengths(bases.handler):  # type: ignore[misc,name-defined]
        async def get(self, promised: str, given: str) -> None:
            self.set_header("Content-Length", promised)
            self.write(b"x" * int(given))
            await self.flush()

    class Large(bases.handler):  # type: ignore[misc,name-defined]
        async def get(self) -> None:
            try:
                for _ in range(400):
                    self.write(b"x" * 65_536)
                    await self.flush()
            except StreamClosedError:
                notes.append("stream closed")

    class Waits(bases.handler):  # type: ignore[misc,name-defined]
        def on_connection_close(self) -> None:
            super().on_connection_close()
            notes.append("client left")

        async def get(self) -> None:
            notes.append("waiting")
            await until(lambda: "client left" in notes)
            notes.append("went on")

    class Breaks(bases.handler):  # type: ignore[misc,name-defined]
        def get(self) -> None:
            raise LookupError("broken")

    @stream_request_body
    class Upload(bases.handler):  # type: ignore[misc,name-defined]
        size = 0

        def prepare(self) -> None:
            self.request.connection.set_max_body_size(1 << 30)

        async def data_received(self, chunk: bytes) -> None:
            self.size += len(chunk)
            await asyncio.sleep(0)

        def post(self) -> None:
            self.write(str(self.size))

        def on_connection_close(self) -> None:
            super().on_connection_close()
            notes.append("client left")

    class Detached(bases.handler):  # type: ignore[misc,name-defined]
        async def get(self) -> None:
            stream = self.detach()
            await stream.write(b"yours:")
            line = await stream.read_until(b"\n")
            await stream.write(line.upper())
            stream.close()

    class Socket(bases.web_socket):  # type: ignore[misc,name-defined]
        def check_origin(self, origin: str) -> bool:
            return True

        def open(self) -> None:
            self.set_nodelay(True)
            notes.append("open")

        async def on_message(self, message: str | bytes) -> None:
            if message == "close":
                self.close(4000, "as asked")
                return
            await self.write_message(message, binary=isinstance(message, bytes))

        def on_close(self) -> None:
            notes.append(f"closed {self.close_code}")

    class Peer(bases.handler):  # type: ignore[misc,name-defined]
        def get(self) -> None:
            self.write({"ip": self.request.remote_ip, "scheme": self.request.protocol, "host": self.request.host})

    return [
        (r"/", Plain),
        (r"/hello/(\w+)", Plain),
        (r"/echo", Echo),
        (r"/form", Form),
        (r"/parts", Parts),
        (r"/status/(\d+)", Status),
        (r"/lengths/(\d+)/(\d+)", Lengths),
        (r"/large", Large),
        (r"/waits", Waits),
        (r"/breaks", Breaks),
        (r"/upload", Upload),
        (r"/detach", Detached),
        (r"/socket", Socket),
        (r"/peer", Peer),
        (r"/files/(.*)", bases.static, {"path": str(folder)}),
    ]
