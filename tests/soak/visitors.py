"""Visitors of the soaked site: good ones, those who leave, and those who send nonsense. Begin with `visit`."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.http.test_protocol import post
from tests.http.test_refusals import MALFORMED
from tests.http.wire import Client, get
from tests.soak.site import EVENTS, NEWS, PART_BYTES, PARTS

__all__ = ["LARGE_BYTES", "VISITORS", "Visitor", "visit"]

LARGE_BYTES = 3_000_000  # of /static/large.bin

UPGRADE = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
TAKEOVER = ("", "; server_no_context_takeover")
FORM = "Content-Type: application/x-www-form-urlencoded"


class Visitor:
    """One who comes again and again: has dice and perhaps the cookie of a session."""

    def __init__(self, number: int) -> None:
        self.dice = random.Random(number)
        self.cookie = ""
        self.visits = 0


async def browses(client: Client, visitor: Visitor) -> None:
    """Pages, the session, a file and what does not exist, over one connection."""
    if visitor.dice.random() < 0.3:
        visitor.cookie, visitor.visits = "", 0
    lines = [f"Cookie: {visitor.cookie}"] if visitor.cookie else []
    counted = await client.ask(post(b"note=" + b"n" * 2000, "/", FORM, *lines))
    visitor.cookie = counted.headers.get("set-cookie", visitor.cookie).partition(";")[0]
    assert counted.status == 200
    visitor.visits = int(counted.body)
    page = await client.ask(get("/", f"Cookie: {visitor.cookie}"))
    assert (page.status, page.body.decode()) == (200, f"<p>{visitor.visits} visits</p>")
    file = await client.ask(get("/static/file.bin"))
    assert (file.status, len(file.body)) == (200, 100_000)
    asked = (
        get("/static/file.bin", f"If-None-Match: {file.headers['etag']}"),
        get("/static/file.bin", "Range: bytes=0-9"),
        get("/absent"),
    )
    assert [(await client.ask(data)).status for data in asked] == [304, 206, 404]


async def streams(client: Client, visitor: Visitor) -> None:
    answer = await client.ask(get("/parts"))
    assert len(answer.body) == PARTS * PART_BYTES


async def leaves_a_stream(client: Client, visitor: Visitor) -> None:
    client.send(get("/parts"))
    await client.reader.read(visitor.dice.randrange(1, 100_000))


async def follows_events(client: Client, visitor: Visitor) -> None:
    """To the end, or for a while."""
    client.send(get("/events"))
    if visitor.dice.random() < 0.3:
        await client.reader.read(visitor.dice.randrange(1, 500))
    else:
        assert (await client.answer()).body.count(b"\n\n") == EVENTS


async def downloads(client: Client, visitor: Visitor) -> None:
    """A large file: all of it, a part, or until it leaves."""
    start = visitor.dice.randrange(LARGE_BYTES)
    lines, size = visitor.dice.choice((([], LARGE_BYTES), ([f"Range: bytes={start}-"], LARGE_BYTES - start)))
    client.send(get("/static/large.bin", *lines))
    if visitor.dice.random() < 0.4:
        await client.reader.read(visitor.dice.randrange(1, 1_000_000))
    else:
        assert len((await client.answer()).body) == size


async def uploads(client: Client, visitor: Visitor) -> None:
    size = visitor.dice.randrange(300_000)
    assert (await client.ask(post(b"x" * size, "/upload"))).body == str(size).encode()


async def leaves_an_upload(client: Client, visitor: Visitor) -> None:
    client.send(post(b"x" * 300_000, "/upload")[: visitor.dice.randrange(300_000)])


async def leaves_before_the_answer(client: Client, visitor: Visitor) -> None:
    client.send(get(visitor.dice.choice(("/", "/parts", "/static/file.bin", "/crash"))) * 5)


async def waits_in_vain(client: Client, visitor: Visitor) -> None:
    """Mostly leaves; else waits for the 503."""
    client.send(get("/never"))
    if visitor.dice.random() < 0.1:
        assert (await client.answer()).status == 503


async def meets_an_error(client: Client, visitor: Visitor) -> None:
    assert (await client.ask(get("/crash"))).status == 500


async def sends_nonsense(client: Client, visitor: Visitor) -> None:
    client.send(visitor.dice.choice([data for _, data in MALFORMED.values()]))
    await client.reader.read(10)


async def opens_a_socket(client: Client, visitor: Visitor) -> None:
    """Talks; then closes, leaves without a word, breaks the protocol or makes the handler raise."""
    assert (await client.ask(get("/echo", *UPGRADE))).status == 101
    for _ in range(5):
        client.send(frame(b"hello"))
        assert await client.reader.readexactly(7) == b"\x81\x05hello"
    end = visitor.dice.choice((frame(b"\x03\xe8", 0x88), b"", b"\xff" * 20, frame(b"crash")))
    client.send(end)
    if end:
        await client.rest()


async def hears_news(client: Client, visitor: Visitor) -> None:
    """Waits for a message that is broadcast to all, compressed or not; then closes or leaves."""
    is_packed = visitor.dice.random() < 0.5
    offer = [f"Sec-WebSocket-Extensions: permessage-deflate{visitor.dice.choice(TAKEOVER)}"] if is_packed else []
    answer = await client.ask(get("/news", *UPGRADE, *offer))
    assert (answer.status, "sec-websocket-extensions" in answer.headers) == (101, is_packed)
    for _ in range(3):
        client.send(frame(b"tell"))
        first, size = await client.reader.readexactly(2)
        payload = await client.reader.readexactly(size)
        assert first == (0xC1 if is_packed else 0x81)
        assert is_packed or payload == NEWS.encode()
    if visitor.dice.random() < 0.5:
        client.send(frame(b"\x03\xe8", 0x88))
        await client.rest()


async def is_flooded(client: Client, visitor: Visitor) -> None:
    """Reads a little of what is sent without end, and leaves."""
    assert (await client.ask(get("/flood", *UPGRADE))).status == 101
    client.send(frame(b"begin"))
    await client.reader.read(visitor.dice.randrange(1, 200_000))


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A short WebSocket frame of a client, masked with zeros."""
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


VISITORS: dict[Callable[[Client, Visitor], Awaitable[None]], int] = {
    browses: 8,
    streams: 2,
    leaves_a_stream: 2,
    uploads: 3,
    leaves_an_upload: 2,
    leaves_before_the_answer: 2,
    waits_in_vain: 1,
    meets_an_error: 1,
    sends_nonsense: 4,
    opens_a_socket: 3,
    follows_events: 2,
    downloads: 2,
    hears_news: 3,
    is_flooded: 1,
}
"""What visitors do, and how often of 36 times."""


async def visit(address: tuple[str, int], visitor: Visitor) -> str:
    """Make one connection and do one of VISITORS with it; return which."""
    (act,) = visitor.dice.choices(list(VISITORS), list(VISITORS.values()))
    try:
        async with asyncio.timeout(120), await Client.connect(address) as client:
            await act(client, visitor)
    except ConnectionResetError:
        if act is not sends_nonsense:  # which may be refused and closed before all of it was read
            raise
    return act.__name__
