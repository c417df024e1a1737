"""Event streams and sockets that join channels, over real sockets, on every server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.netutil import bind_sockets
from websockets.asyncio.client import connect

from tests.contracts.front_doors.conftest import SERVERS, HTTPServerOf, Uvicorn
from torngas_aio.application import Application
from torngas_aio.channels import channels
from torngas_aio.exception import ArgumentError
from torngas_aio.handler import Event, EventStreamHandler, WebSocketHandler, joining
from torngas_aio.settings_manager import settings

MEMORY = "torngas_aio.channels.memory.MemoryChannels"
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


class Stream:
    """A client of one event stream: its header, and its events as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.head = ""

    async def line(self) -> str:
        async with asyncio.timeout(10):
            raw = await self._reader.readline()
        assert raw, "the stream has ended"
        return raw.decode().rstrip("\r\n")

    async def event(self) -> dict[str, str]:
        """The next event; framing of chunks and comments are passed over; {} at the end."""
        found: dict[str, str] = {}
        while True:
            async with asyncio.timeout(10):
                raw = await self._reader.readline()
            text = raw.decode().rstrip("\r\n")
            if not raw:
                return found
            name, colon, value = text.partition(": ")
            if colon and name:
                found[name] = found[name] + "\n" + value if name in found else value
            elif raw == b"\n" and found:
                return found


@asynccontextmanager
async def stream(port: int, path: str, **headers: str) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())
    found = Stream(reader, writer)
    while line := await found.line():
        found.head += f"{line.lower()}\n"
    try:
        yield found
    finally:
        writer.close()


async def test_events_arrive_as_the_standard_writes_them(start: Start) -> None:
    _, port = await start()
    async with stream(port, "/three") as client:
        assert " 200 " in client.head
        assert "content-type: text/event-stream; charset=utf-8" in client.head
        assert "cache-control: no-store" in client.head
        assert "x-accel-buffering: no" in client.head
        assert await client.event() == {"retry": "3000"}
        for number in range(3):
            data = json.dumps({"n": number}, separators=(",", ":"))
            assert await client.event() == {"event": "count", "id": str(number), "data": data}


async def test_channels_become_events_and_a_returning_client_misses_nothing(start: Start) -> None:
    with settings.override(CHANNELS={"default": {"BACKEND": MEMORY, "OPTIONS": {"HISTORY": 10}}}):
        _, port = await start()
        async with stream(port, "/news") as client:
            await client.event()
            await publish_when_heard("news", 1)
            seen = await client.event()
            assert seen["data"] == "1"
        await channels.publish("news", 2)
        async with stream(port, "/news", Last_Event_ID=seen["id"]) as client:
            await client.event()
            assert (await client.event())["data"] == "2"


async def publish_when_heard(name: str, data: Any) -> None:
    async with asyncio.timeout(10):
        while not channels["default"]._by_name.get(name):
            await asyncio.sleep(0.005)
    await channels.publish(name, data)


async def test_an_idle_stream_is_kept_alive_and_closed_when_the_client_leaves(start: Start) -> None:
    _, port = await start()
    async with stream(port, "/beating") as client:
        await client.event()
        beats = 0
        while beats < 3:
            beats += (await client.line()).startswith(":")
    async with asyncio.timeout(10):
        while notes != ["closed"]:
            await asyncio.sleep(0.005)


async def test_a_stop_ends_the_stream_and_says_when_to_come_back(start: Start) -> None:
    application, port = await start()
    async with stream(port, "/news") as client:
        await client.event()
        async with asyncio.timeout(10):
            while not channels["default"]._by_name.get("news"):
                await asyncio.sleep(0.005)
        application.is_stopping.set()
        assert await client.event() == {"retry": "3000"}


async def test_an_error_ends_the_stream(start: Start) -> None:
    _, port = await start()
    async with stream(port, "/failing") as client:
        await client.event()
        assert (await client.event())["data"] == "one"
        async with asyncio.timeout(10):
            while not client._reader.at_eof():
                await client._reader.read(100)


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "", "\n", "a\u2028b\x0bc", "data: x"])
def test_text_of_several_lines_stays_one_event(text: str) -> None:
    lines = Event(text).encode().decode().split("\n")
    assert lines[-2:] == ["", ""]
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "\n".join(line.removeprefix("data: ") for line in lines[:-2]) == expected


@pytest.mark.parametrize("fields", [{"id": "a\nb"}, {"event": "a\rdata: x"}, {"id": "\0"}])
def test_a_field_cannot_begin_another(fields: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match="line ends"):
        Event("x", **fields).encode()  # type: ignore[arg-type]  # names of str fields


async def test_joined_sockets_get_every_message_once(start: Start) -> None:
    _, port = await start()
    url = f"ws://127.0.0.1:{port}/room?room=news"
    async with connect(url, proxy=None) as first, connect(url, proxy=None) as second, asyncio.timeout(10):
        assert [await first.recv(), await second.recv()] == ["joined", "joined"]
        await first.send("hello")
        assert [await first.recv(), await second.recv()] == ['{"said":"hello"}'] * 2
        await second.send("leave")
        assert await second.recv() == "left"
        await first.send("again")
        assert await first.recv() == '{"said":"again"}'
        await second.send("third")
        assert await first.recv() == '{"said":"third"}'
    async with asyncio.timeout(10):
        while joining._joined_by_loop.get(asyncio.get_running_loop()):
            await asyncio.sleep(0.005)
    assert channels["default"]._by_name == {}


async def test_a_room_that_may_not_be_joined_closes_the_socket(start: Start) -> None:
    _, port = await start()
    async with connect(f"ws://127.0.0.1:{port}/room?room=secret", proxy=None) as client, asyncio.timeout(10):
        await client.wait_closed()
        assert client.close_code == 1011
