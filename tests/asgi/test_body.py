"""The body of a request: received ahead, in time, bounded, and of a client that has gone."""

import asyncio
from typing import Any

import pytest

from tests.asgi.client import GONE, LENGTH, Site, body, whole
from tests.asgi.server import Server, http_scope
from tests.polling import until
from torngas_aio.asgi.body import IncomingBody
from torngas_aio.http.limits import Limits


async def test_a_client_that_goes_before_its_body_is_told_of_once(site: Site) -> None:
    scope = http_scope("/upload", "POST", headers=LENGTH)
    assert await Server(site.application, scope, [GONE, GONE]).ended() == []
    assert site.notes == ["left"]


async def test_a_client_that_goes_midway_through_its_body_is_told_of_once(site: Site) -> None:
    scope = http_scope("/upload", "POST", headers=LENGTH)
    assert await Server(site.application, scope, [body(b"half", True), GONE]).ended() == []
    assert site.notes == ["half", "left"]


@pytest.mark.parametrize(
    "messages", [[GONE], [body(b"half", True), GONE], [body(b"a", True), body(b"b"), GONE], [body(b"0123456789"), GONE]]
)
@pytest.mark.parametrize("headers", [LENGTH, LENGTH[:1]], ids=["length", "none"])
async def test_a_client_that_goes_while_it_is_answered_and_its_body_is_not_read(
    site: Site, headers: Any, messages: list[Any]
) -> None:
    scope = http_scope("/answers", "POST", headers=headers, query_string=b"waits=1")
    async with asyncio.timeout(5):
        await Server(site.application, scope, messages).ended()
    assert site.notes.count("left") == 1


async def test_what_was_received_ahead_is_read_in_order(site: Site) -> None:
    server = Server(site.application, http_scope("/answers", "POST"), [body(b"a", True), body(b"b", True), body(b"c")])
    await server.ended()
    assert site.notes == ["a", "b", "c", "posted"]


async def test_little_is_received_ahead() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(10):
        messages.put_nowait(body(b"x" * 40_000, True))
    messages.put_nowait(body(b"end"))
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits())
    await incoming.receive_ahead()
    assert messages.qsize() == 9
    assert len(await incoming.read_all()) == 400_003


async def test_a_reader_and_the_one_ahead_share_what_comes() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits())
    reading, ahead = asyncio.ensure_future(incoming.read_all()), asyncio.ensure_future(incoming.receive_ahead())
    for text in (b"a", b"b", b"c"):
        messages.put_nowait(body(text, text != b"c"))
        await until(messages.empty)
    assert await reading == b"abc"
    await ahead


async def test_the_end_of_the_body_may_be_said_again_and_again(site: Site) -> None:
    server = Server(site.application, http_scope("/waits"), [body(), body(), body()])
    server.give(GONE)
    await server.ended()
    assert site.notes == ["left"]


async def test_a_body_over_http_2_has_no_length_beforehand(site: Site) -> None:
    scope = http_scope("/echo", "POST", http_version="2")
    assert whole(await Server(site.application, scope, [body(b"a", True), body(b"b")]).ended()) == b"ab"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3"])
async def test_a_body_that_the_head_does_not_announce_is_read(site: Site, version: str, method: str) -> None:
    scope = http_scope("/echo", method, http_version=version)
    assert whole(await Server(site.application, scope, [body(b"a", True), body(b"b")]).ended()) == b"ab"
    assert whole(await Server(site.application, scope, [body()]).ended()) == b""


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"body_rate_timeout": 0.05}, [b"x"]),
        ({"body_rate_timeout": 0.05}, []),
        ({"body_timeout": 0.05}, [b"x" * 100_000]),
    ],
)
async def test_a_body_that_comes_too_slowly_is_answered_408(site: Site, options: Any, parts: list[bytes]) -> None:
    scope = http_scope("/echo", "POST")
    server = Server(site.application, scope, [body(part, True) for part in parts], **options)
    sent = await server.ended()
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_body_at_a_good_pace_has_all_the_time() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    limits = Limits(body_rate_timeout=0.02, min_rate=10)
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, limits)
    reading = asyncio.ensure_future(incoming.read_all())
    for _ in range(10):
        messages.put_nowait(body(b"x", True))
        await asyncio.sleep(0.01)
    messages.put_nowait(body())
    assert await reading == b"x" * 10


async def test_the_time_that_the_handler_takes_is_not_the_clients() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits(body_rate_timeout=0.02))
    messages.put_nowait(body(b"x", True))
    assert await incoming.read_chunk() == b"x"
    await asyncio.sleep(0.05)
    messages.put_nowait(body(b"y"))
    assert await incoming.read_chunk() == b"y"


@pytest.mark.parametrize("again", ["read_all", "read_chunk"])
@pytest.mark.parametrize("how", ["read_all", "read_chunk"])
async def test_a_reader_that_was_cancelled_loses_nothing(how: str, again: str) -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits())
    if how == "read_all":
        messages.put_nowait(body(b"a", True))
    reading = asyncio.ensure_future(getattr(incoming, how)())
    for _ in range(5):  # until it waits for the next message
        await asyncio.sleep(0)
    reading.cancel()
    messages.put_nowait(body(b"b"))  # taken by the receive that is under way
    await asyncio.wait([reading])
    expected = b"ab" if how == "read_all" else b"b"
    if again == "read_chunk":
        assert [await incoming.read_chunk() for _ in range(3)] == [*(bytes([each]) for each in expected), b"", b""][:3]
    else:
        assert await incoming.read_all() == expected
    assert incoming.is_complete
    await incoming.aclose()


async def test_what_a_cancelled_reader_gives_back_is_counted_once() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits(max_body_size=3))
    for text in (b"a", b"b"):
        messages.put_nowait(body(text, True))
        reading = asyncio.ensure_future(incoming.read_all())
        await until(messages.empty)
        reading.cancel()
        await asyncio.wait([reading])
    messages.put_nowait(body(b"c"))
    assert await incoming.read_all() == b"abc"


async def test_an_empty_length_is_no_body(site: Site) -> None:
    scope = http_scope("/echo", "POST", headers=[(b"content-length", b"0"), (b"host", b"test")])
    assert whole(await Server(site.application, scope).ended()) == b""


@pytest.mark.parametrize(("version", "closes"), [("1.1", True), ("2", False)])
async def test_a_body_that_is_too_large_is_refused(site: Site, version: str, closes: bool) -> None:
    scope = http_scope("/echo", "POST", headers=LENGTH, http_version=version)
    sent = await Server(site.application, scope, [body(b"x" * 10)], max_body_size=9).ended()
    assert sent[0]["status"] == 413
    assert ((b"connection", b"close") in sent[0]["headers"]) is closes
