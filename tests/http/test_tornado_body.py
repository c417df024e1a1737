"""A request's body between Tornado's reader and the application: when it is read, how large, and who waits."""

import asyncio
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from torngas_aio.http.base import BodyError, ClientGone
from torngas_aio.http.limits import MAX_DRAINED
from torngas_aio.http.tornado_body import TornadoBody


def made(**fields: str) -> TornadoBody:
    """Return a body of which a request's head with *fields* has told."""
    body = TornadoBody()
    body.expect(HTTPHeaders({name.replace("_", "-"): value for name, value in fields.items()}))
    return body


async def begun(reading: Any) -> "asyncio.Task[Any]":
    """Return the task of *reading*, which waits."""
    task: asyncio.Task[Any] = asyncio.ensure_future(reading)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_tornado_reads_it_when_it_is_wanted() -> None:
    body = made(Content_Length="6")
    assert body.is_unread
    assert not body.wanted.done()
    reading = await begun(body.read_all())
    assert body.wanted.done()
    assert not body.is_unread
    assert body.feed(b"abc") is None
    assert not body.is_complete
    body.feed(bytearray(b"def"))
    body.feed_end()
    assert await reading == b"abcdef"
    assert body.is_complete
    assert await body.read_all() == b""


async def test_a_body_that_is_here_is_given_without_reading() -> None:
    body = made(Content_Length="3")
    body.feed(b"abc")
    body.feed_end()
    assert (body.is_complete, body.data) == (True, b"abc")
    assert await body.read_chunk() == b"abc"
    assert await body.read_chunk() == b""


async def test_a_reader_of_chunks_holds_tornado_back_until_it_takes_the_next() -> None:
    body = made(Transfer_Encoding="chunked")
    reading = await begun(body.read_chunk())
    held = body.feed(b"one")
    assert held is not None
    assert await reading == b"one"
    assert not held.done()  # type: ignore[attr-defined]  # a future
    reading = await begun(body.read_chunk())
    await held
    body.feed_end()
    assert await reading == b""


async def test_who_asks_for_the_rest_is_not_held_back_by_a_chunk() -> None:
    body = made(Transfer_Encoding="chunked")
    reading = await begun(body.read_chunk())
    body.feed(b"one")
    assert await reading == b"one"
    reading = await begun(body.read_chunk())
    reading.cancel()
    held = body.feed(b"two")
    assert held is not None
    rest = await begun(body.read_all())
    await held
    assert body.feed(b"three") is None
    body.feed_end()
    assert await rest == b"twothree"


@pytest.mark.parametrize("how", ["read_all", "read_chunk"])
async def test_an_announced_length_above_the_limit_is_refused_before_it_is_sent(how: str) -> None:
    body = made(Content_Length="11")
    body.limit = 10
    with pytest.raises(BodyError, match="larger than 10 bytes") as caught:
        await getattr(body, how)()
    assert caught.value.status == 413
    body.limit = 20
    for again in ("read_all", "read_chunk"):
        with pytest.raises(BodyError) as caught:
            await getattr(body, again)()
        assert caught.value.status == 413
    assert not body.wanted.done(), "the client is not told to go on"
    assert body.has_failed


@pytest.mark.parametrize("how", ["read_all", "read_chunk"])
async def test_a_body_that_turns_out_too_large_fails_its_reader(how: str) -> None:
    body = made(Transfer_Encoding="chunked", Content_Length="1")  # the length does not count
    body.limit = 10
    reading = await begun(getattr(body, how)())
    if how == "read_all":
        body.feed(b"x" * 10)
        body.feed(b"x")
    else:
        body.feed(b"x" * 11)
    with pytest.raises(BodyError, match="larger than 10 bytes"):
        await reading
    assert body.feed(b"more") is None
    body.feed_error(ClientGone("gone"))
    for again in ("read_all", "read_chunk"):
        with pytest.raises(BodyError, match="larger than 10 bytes"):
            await getattr(body, again)()
    assert body.data == b""
    body.feed_end()
    assert not body.is_complete


async def test_a_client_that_goes_fails_whoever_waits() -> None:
    body = made(Content_Length="10")
    reading = await begun(body.read_all())
    body.feed(b"abc")
    body.feed_error(ClientGone("gone"))
    with pytest.raises(ClientGone):
        await reading
    with pytest.raises(ClientGone):
        await body.read_all()


@pytest.mark.parametrize("how", ["read_all", "read_chunk"])
async def test_a_second_reader_beside_the_first_is_an_error(how: str) -> None:
    body = made(Content_Length="3")
    first = await begun(body.read_all())
    with pytest.raises(RuntimeError, match="already being read"):
        await getattr(body, how)()
    body.feed(b"abc")
    body.feed_end()
    assert await first == b"abc"


async def test_a_client_that_goes_after_the_end_does_no_harm() -> None:
    body = made(Content_Length="3")
    body.feed(b"abc")
    body.feed_end()
    body.feed_error(ClientGone("gone"))
    assert not body.has_failed
    assert await body.read_all() == b"abc"


async def test_a_discarded_body_is_read_and_dropped() -> None:
    body = made(Content_Length="6")
    body.feed(b"abc")
    body.discard()
    assert body.wanted.done()
    assert body.feed(b"def") is None
    assert body.data == b""


@pytest.mark.parametrize(
    ("fields", "may"),
    [
        ({"Content_Length": "0"}, True),
        ({"Content_Length": str(MAX_DRAINED)}, True),
        ({"Content_Length": str(MAX_DRAINED + 1)}, False),
        ({"Content_Length": "10", "Expect": "100-continue"}, False),
        ({"Content_Length": "10", "Transfer_Encoding": "chunked"}, False),
        ({"Content_Length": "+10"}, False),
        ({}, False),
    ],
)
async def test_only_a_small_body_on_its_way_is_drained(fields: dict[str, str], may: bool) -> None:
    assert made(**fields).may_drain == may


async def test_the_end_of_a_drained_body_is_told() -> None:
    body, told = made(Content_Length="3"), []
    body.drain(lambda: told.append("end"))
    assert not body.may_drain
    body.feed(b"abc")
    assert not told
    body.feed_end()
    assert told == ["end"]
