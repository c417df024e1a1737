"""The site that is soaked: a little of everything, and a page that tells what the process holds.

Its process is started by `SoakedServer` of the tests; begin with `Site`.
"""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any, ClassVar, cast

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body
from tornado.websocket import WebSocketClosedError

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler, WebSocketHandler

__all__ = ["EVENTS", "NEWS", "PARTS", "PART_BYTES", "Site"]

PARTS = 40  # of a streamed answer
PART_BYTES = 16_384
EVENTS = 100  # of a stream of small ones
NEWS = "news"


class Stats(WebHandler):
    """Resident bytes, open descriptors, tasks and threads; Linux only."""

    async def get(self) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.write({
            "rss": pages * os.sysconf("SC_PAGE_SIZE"),
            "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208  names are enough
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
        })  # fmt: skip


class Page(WebHandler):
    """Counts its visits in the session and renders a template."""

    async def get(self) -> None:
        await self.render("page.html", visits=self.session.get("visits", 0))

    async def post(self) -> None:
        self.session["visits"] = self.session.get("visits", 0) + 1
        self.session["note"] = self.get_body_argument("note")
        self.write(str(self.session["visits"]))


class Parts(WebHandler):
    """A streamed answer, 640 KiB."""

    async def get(self) -> None:
        try:
            for _ in range(PARTS):
                self.write(b"x" * PART_BYTES)
                await self.flush()
        except StreamClosedError:
            return


@stream_request_body
class Upload(WebHandler):
    """Counts what arrives, chunk by chunk."""

    size = 0

    async def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)
        await asyncio.sleep(0)

    async def post(self) -> None:
        self.write(str(self.size))


class Crash(WebHandler):
    """Raises, with a session changed before."""

    async def get(self) -> None:
        self.session["crashed"] = True
        raise LookupError("broken on purpose")


class Never(WebHandler):
    """Never answers: its deadline or the client's leaving ends it."""

    request_timeout = 3

    async def get(self) -> None:
        await asyncio.get_running_loop().create_future()


class Events(WebHandler):
    """Server-sent events, each flushed."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        try:
            for number in range(EVENTS):
                self.write(f"data: {number:04}\n\n")
                await self.flush()
        except StreamClosedError:
            return


class Echo(WebSocketHandler):
    """Sends back what it gets, compressed for those who offer it; raises at the word `crash`."""

    def get_compression_options(self) -> dict[str, Any]:
        return {}

    async def on_message(self, message: str | bytes) -> None:
        if message == "crash":
            raise LookupError("broken on purpose")
        await self.write_message(message)


class News(Echo):
    """Gets what is broadcast, and has it broadcast by a message of its own."""

    readers: ClassVar[set[WebSocketHandler]] = set()

    def open(self, *_: str, **__: str) -> None:
        self.readers.add(self)

    async def on_message(self, message: str | bytes) -> None:
        await cast("Application", self.application).broadcast(self.readers, NEWS)

    def on_close(self) -> None:
        self.readers.discard(self)


class Flood(WebSocketHandler):
    """Writes more than its client reads, until it has gone."""

    async def on_message(self, message: str | bytes) -> None:
        try:
            while True:
                await self.write_message(b"f" * 65_536, binary=True)
        except WebSocketClosedError:
            return


class Site(Application):
    """The application; everything else is in the settings."""

    def __init__(self, handlers: Any = None, **settings: Any) -> None:
        rules = [
            ("/", Page),
            ("/stats", Stats),
            ("/parts", Parts),
            ("/upload", Upload),
            ("/crash", Crash),
            ("/never", Never),
            ("/events", Events),
            ("/echo", Echo),
            ("/news", News),
            ("/flood", Flood),
        ]
        super().__init__([*rules, *(handlers or ())], **settings)
