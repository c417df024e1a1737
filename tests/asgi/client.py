"""An ASGI server's side of the site, without sockets."""

import asyncio
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler

GONE = {"type": "http.disconnect"}


LENGTH = [(b"host", b"test"), (b"content-length", b"10")]


class Site:
    """An application, and what its handlers have noted."""

    def __init__(self) -> None:  # noqa: C901  many small classes
        self.notes: list[str] = []
        self.went_on = asyncio.Event()
        notes, went_on = self.notes, self.went_on

        class Echo(WebHandler):
            def post(self) -> None:
                self.write(self.request.body)

            put = patch = post

            def get(self) -> None:
                self.write({"ip": self.request.remote_ip, "path": self.request.path})

        @stream_request_body
        class Upload(WebHandler):
            def data_received(self, chunk: bytes) -> None:
                notes.append(chunk.decode())

            def on_connection_close(self) -> None:
                super().on_connection_close()
                notes.append("left")

            def post(self) -> None:
                notes.append("posted")

        class Large(WebHandler):
            async def get(self) -> None:
                try:
                    for _ in range(100):
                        self.write(b"x" * 40_000)
                        await self.flush()
                        notes.append("flushed")
                except StreamClosedError:
                    notes.append("closed")

        @stream_request_body
        class Answers(Upload):
            async def prepare(self) -> None:
                self.write("begun")
                await self.flush()
                if self.get_argument("waits", None):
                    await went_on.wait()

            def on_connection_close(self) -> None:
                super().on_connection_close()
                went_on.set()

        class Waits(WebHandler):
            def on_connection_close(self) -> None:
                super().on_connection_close()
                notes.append("left")
                went_on.set()

            async def get(self) -> None:
                await went_on.wait()

        class Breaks(WebHandler):
            async def get(self) -> None:
                self.write("begun")
                await self.flush()
                raise LookupError("broken")

        class Lengths(WebHandler):
            async def get(self, promised: str, given: str) -> None:
                self.set_header("Content-Length", promised)
                self.write(b"x" * int(given))
                await self.flush()

        class Hints(WebHandler):
            async def get(self) -> None:
                self.set_status(103)
                await self.flush()

        self.application = Application(
            [
                (r"/echo", Echo), (r"/upload", Upload), (r"/large", Large), (r"/waits", Waits), (r"/breaks", Breaks),
                (r"/lengths/(\w+)/(\d+)", Lengths), (r"/hints", Hints), (r"/answers", Answers),
            ]
        )  # fmt: skip


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def whole(sent: list[Any]) -> bytes:
    assert sent[0]["type"] == "http.response.start"
    assert not sent[-1].get("more_body")
    return b"".join(message["body"] for message in sent[1:])
