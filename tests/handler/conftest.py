"""A client for handlers: give `open_client` their routes."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tornado.netutil import bind_sockets

from tests.contracts.front_doors.conftest import SERVERS, HTTPServerOf, Uvicorn
from torngas_aio.application import Application
from torngas_aio.channels import channels
from torngas_aio.handler import Event, EventStreamHandler, WebHandler, WebSocketHandler
from torngas_aio.testing import TestClient

OpenClient = Callable[..., Awaitable[TestClient]]


@pytest.fixture(params=["tornado", "torngas_aio"])
def door(request: pytest.FixtureRequest) -> str:
    """The HTTP server under test."""
    return str(request.param)


@pytest.fixture
async def open_client(door: str) -> AsyncIterator[OpenClient]:
    """A function of routes, middlewares and settings that gives a client of their application."""
    async with AsyncExitStack() as stack:

        async def open_one(routes: list[Any], middlewares: tuple[Any, ...] = (), **settings: Any) -> TestClient:
            application = Application(routes, middlewares=middlewares, **settings)
            return await stack.enter_async_context(TestClient(application, http_server=door))

        yield open_one


notes: list[str] = []


class Three(EventStreamHandler):
    async def events(self) -> AsyncIterator[Event]:
        for number in range(3):
            yield Event({"n": number}, id=str(number), event="count")


class News(EventStreamHandler):
    channel_names = ("news",)


class Beating(EventStreamHandler):
    heartbeat_seconds = 0.02

    async def events(self) -> AsyncIterator[Event]:
        try:
            await asyncio.Event().wait()
            yield Event()
        finally:
            notes.append("closed")


class Failing(EventStreamHandler):
    async def events(self) -> AsyncIterator[Event]:
        yield Event("one")
        raise KeyError("two")


class Room(WebSocketHandler):
    async def open(self) -> None:
        await self.join(self.get_query_argument("room"))
        await self.write_message("joined")

    async def can_join(self, name: str) -> bool:
        return name != "secret"

    async def on_message(self, message: str | bytes) -> None:
        if message == "leave":
            await self.leave("news")
            await self.write_message("left")
        else:
            await channels.publish("news", {"said": message})


ROUTES = [(r"/three", Three), (r"/news", News), (r"/beating", Beating), (r"/failing", Failing), (r"/room", Room)]


Start = Callable[[], Awaitable[tuple[Application, int]]]


@pytest.fixture(params=["torngas_aio", "tornado", "asgi"])
async def start(request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    opened: list[Any] = []
    notes.clear()

    async def started() -> tuple[Application, int]:
        application = Application(ROUTES)
        names = {"torngas_aio": "ours", "tornado": "tornado's"}
        kind = request.param
        server = Uvicorn(application, {}) if kind == "asgi" else HTTPServerOf(SERVERS[names[kind]], application, {})
        sockets = bind_sockets(0, "127.0.0.1")
        await server.start(sockets)
        opened.append(server)
        return application, int(sockets[0].getsockname()[1])

    yield started
    for server in opened:
        await server.stop()


SMALL = b"0123456789" * 500


BIG = os.urandom(3_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "a.txt").write_bytes(SMALL)
    (served / "big.bin").write_bytes(BIG)
    for path in served.iterdir():
        settle(path)
    return served


def settle(path: Path, seconds: int = 0) -> None:
    os.utime(path, (1_700_000_000 + seconds,) * 2)


@pytest.fixture
def packed(folder: Path) -> Path:
    for suffix, content in ((".gz", gzip.compress(SMALL)), (".br", b"br of it"), (".zst", b"zstd of it")):
        (folder / f"a.txt{suffix}").write_bytes(content)
        settle(folder / f"a.txt{suffix}")
    return folder


class Answers(WebHandler):
    """Runs what the test put here under the path's name."""

    deeds: ClassVar[dict[str, Any]] = {}

    async def get(self, name: str) -> None:
        await self.deeds[name](self)


@pytest.fixture
def deeds() -> dict[str, Any]:
    Answers.deeds = {}
    return Answers.deeds
