"""The site that is soaked: a little of everything, and a page that tells what the process holds.

Its process is started by `SoakedServer` of the tests; begin with `Site`.
"""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler, WebSocketHandler

__all__ = ["PARTS", "PART_BYTES", "Site"]

PARTS = 40  # of a streamed answer
PART_BYTES = 16_384


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


class Echo(WebSocketHandler):
    """Sends back what it gets; raises at the word `crash`."""

    async def on_message(self, message: str | bytes) -> None:
        if message == "crash":
            raise LookupError("broken on purpose")
        await self.write_message(message)


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
            ("/echo", Echo),
        ]
        super().__init__([*rules, *(handlers or ())], **settings)
