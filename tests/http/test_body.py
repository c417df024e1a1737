"""Bodies on their way in: their time, and their limits."""

import asyncio
import gzip
import random
from typing import Any

import pytest

from tests.http.conftest import Start
from tests.http.test_deadlines import QUICK, SHORT, trickle
from tests.http.test_protocol import chunked, post
from tests.http.test_refusals import POST, check_refusal, obey
from tests.http.wire import Direct
from tests.polling import until
from torngas_aio.http.body import IncomingBody
from torngas_aio.http.exchange import HTTPExchange
from torngas_aio.http.request import Request


@pytest.mark.parametrize("kind", ["length", "chunks"])
async def test_a_body_that_trickles_is_408(start: Start, kind: str) -> None:
    served = await start(Direct(obey), **QUICK)
    body = post(b"x" * 5000) if kind == "length" else chunked(*[b"x"] * 1000)
    head, _, rest = body.partition(b"\r\n\r\n")
    async with await served.client() as client:
        client.send(head + b"\r\n\r\n")
        trickling = asyncio.create_task(trickle(client, rest))
        check_refusal(await client.rest(), 408)
        await trickling


async def test_a_body_that_stops_is_408(start: Start) -> None:
    served = await start(Direct(obey), **QUICK)
    check_refusal(await served.all(post(b"x" * 5000)[:-1]), 408)


async def test_a_body_has_its_own_time_when_it_is_given_one(start: Start) -> None:
    served = await start(Direct(obey), body_timeout=SHORT, body_rate_timeout=10)
    async with await served.client() as client:
        client.send(post(b"")[:-5] + b"100000\r\n\r\n")
        sending = asyncio.create_task(trickle(client, b"x" * 100_000, step=500))  # fast enough, but too large for it
        check_refusal(await client.rest(), 408)
        await sending


async def test_a_handler_may_give_its_body_less_time(start: Start) -> None:
    async def serve(request: Request, exchange: Any) -> None:
        exchange.set_body_timeout(SHORT)
        await obey(request, exchange)

    served = await start(Direct(serve), body_rate_timeout=10)
    check_refusal(await served.all(post(b"x" * 10)[:-1]), 408)


async def test_a_steady_body_may_take_longer_than_any_window(start: Start) -> None:
    served = await start(Direct(obey), **QUICK)
    async with await served.client() as client:
        whole = post(b"x" * 4000)
        await trickle(client, whole, step=200, pause=0.03)  # three windows, at well over 240 bytes a second
        assert len((await client.answer()).body) == 4000


class Paused:
    """A connection that has no more of a body just now."""

    def pause_body(self) -> None: ...
    def resume_body(self) -> None: ...
    def send_continue(self) -> None: ...


@pytest.mark.parametrize("again", ["read_all", "read_chunk"])
@pytest.mark.parametrize("is_packed", [False, True])
async def test_a_reader_that_was_cancelled_loses_nothing(is_packed: bool, again: str) -> None:
    data = random.Random(7).randbytes(50_000)  # so that a part of it unpacks to something
    sent = gzip.compress(data) if is_packed else data
    incoming = IncomingBody(Paused(), len(sent), 100_000, 4096)
    if is_packed:
        incoming.unpack()
    for start in range(0, 30_000, 10_000):
        incoming.feed(sent[start : start + 10_000])
        reading = asyncio.ensure_future(incoming.read_all())
        await until(lambda: incoming._waiter is not None)
        reading.cancel()
        await asyncio.wait([reading])
    incoming.feed(sent[30_000:])
    if again == "read_all":
        assert await incoming.read_all() == data
    else:
        parts = []
        while part := await incoming.read_chunk():
            parts.append(part)
        assert b"".join(parts) == data


@pytest.mark.parametrize("framing", ["length", "chunks", "length to come"])
async def test_a_body_beyond_the_limit_is_413(start: Start, framing: str) -> None:
    served = await start(Direct(obey), max_body_size=1000)
    data = {
        "length": POST + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001,
        "chunks": chunked(b"x" * 500, b"x" * 501),
        "length to come": POST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
    }[framing]
    check_refusal(await served.all(data), 413)
    assert (await served.ask(chunked(b"x" * 500, b"x" * 500))).status == 200


async def test_a_handler_may_raise_the_limit_of_its_body(start: Start) -> None:
    async def serve(request: Request, exchange: HTTPExchange) -> None:
        exchange.set_max_body_size(2000)
        await obey(request, exchange)

    served = await start(Direct(serve), max_body_size=1000)
    assert (await served.ask(chunked(b"x" * 2000))).status == 200
    check_refusal(await served.all(chunked(b"x" * 2001)), 413)
