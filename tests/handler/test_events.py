"""Event streams and sockets that join channels, over real sockets, on every server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.handler.conftest import OpenClient, Start, notes
from tests.polling import until
from torngas_aio.channels import channels
from torngas_aio.exception import ArgumentError, Http404
from torngas_aio.handler import Event, EventStreamHandler
from torngas_aio.handler.events import HEADER_SECONDS
from torngas_aio.settings_manager import settings

MEMORY = "torngas_aio.channels.memory.MemoryChannels"


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
    await until(lambda: channels["default"]._by_name.get(name))
    await channels.publish(name, data)


async def test_an_idle_stream_is_kept_alive_and_closed_when_the_client_leaves(start: Start) -> None:
    _, port = await start()
    async with stream(port, "/beating") as client:
        await client.event()
        beats = 0
        while beats < 3:
            beats += (await client.line()).startswith(":")
    await until(lambda: notes == ["closed"])


async def test_a_stop_ends_the_stream_and_says_when_to_come_back(start: Start) -> None:
    application, port = await start()
    async with stream(port, "/news") as client:
        await client.event()
        await until(lambda: channels["default"]._by_name.get("news"))
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


class Refused(EventStreamHandler):
    async def events(self) -> AsyncIterator[Event]:
        await asyncio.sleep(0)
        raise Http404("no such room")
        yield Event()


class Odd(EventStreamHandler):
    def events(self) -> Any:
        return {"/list": [1], "/dict": one_of({"a": 1}), "/text": one_of("text"), "/object": one_of(Event(object()))}[
            self.request.path
        ]


async def one_of(value: Any) -> AsyncIterator[Any]:
    yield value


class Nothing(EventStreamHandler):
    pass


class Unclean(EventStreamHandler):
    async def events(self) -> AsyncIterator[Event]:
        try:
            yield Event(1)
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("in finally")


async def test_an_error_before_the_first_event_is_the_answer(open_client: OpenClient) -> None:
    client = await open_client([("/room", Refused)])
    response = await client.get("/room")
    assert response.status_code == 404
    assert "event-stream" not in response.headers["Content-Type"]


async def test_the_header_of_a_quiet_stream_does_not_wait_for_an_event(start: Start) -> None:
    _, port = await start()
    begin = time.monotonic()
    async with stream(port, "/news") as client:
        assert await client.event() == {"retry": "3000"}
        assert channels["default"]._by_name.get("news")
    assert time.monotonic() - begin < HEADER_SECONDS


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/list", "Odd.events returned [1], which is no async generator"),
        ("/dict", "Odd.events yielded {'a': 1}. Yield `Event(...)`"),
        ("/text", "Odd.events yielded 'text'. Yield `Event(...)`"),
        ("/nothing", "Nothing has no events"),
    ],
)
async def test_what_is_no_event_is_an_error_that_says_so(open_client: OpenClient, path: str, text: str) -> None:
    client = await open_client([("/nothing", Nothing), ("/.*", Odd)])
    assert (await client.get(path)).status_code == 500
    assert text in str(client.errors[0])


async def test_an_error_while_the_events_are_closed_is_reported(open_client: OpenClient) -> None:
    client = await open_client([("/", Unclean)])
    async with client.stream("GET", "/") as response:
        lines = response.aiter_lines()
        while await anext(lines) != "data: 1":
            pass
    await until(lambda: [str(each) for each in client.errors] == ["in finally"])


def test_a_class_that_cannot_work_is_refused_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match=r"One.channel_names = 'news': must be a list or tuple"):
        type("One", (EventStreamHandler,), {"channel_names": "news"})
    with pytest.raises(TypeError, match=r"One.heartbeat_seconds = '15'.* One.retry_seconds = -1"):
        type("One", (EventStreamHandler,), {"heartbeat_seconds": "15", "retry_seconds": -1})

    async def returns(self: Any) -> list[Event]:
        return []

    def yields(self: Any) -> Iterator[Event]:
        yield Event()

    for events in (returns, yields):
        with pytest.raises(TypeError, match=r"One.events is no async generator"):
            type("One", (EventStreamHandler,), {"events": events})


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
