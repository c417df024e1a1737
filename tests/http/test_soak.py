"""Mixed traffic, disconnects and malformed input for a while: nothing is left behind."""

import asyncio
import contextlib
import gc
import logging
import random
import tracemalloc

import pytest

from tests.http.conftest import Start
from tests.http.test_protocol import chunked, post
from tests.http.test_refusals import MALFORMED, obey
from tests.http.wire import Direct, Served, get
from tests.polling import until
from torngas_aio.http.base import ClientGone
from torngas_aio.http.request import Request


class Forgetful(Direct):
    """Keeps no requests, and minds no client that leaves."""

    async def serve_request(self, request: Request) -> None:
        with contextlib.suppress(ClientGone):
            await self.serve(request, request.connection)


async def visit(served: Served, dice: random.Random) -> None:
    """One client: good, impolite or hostile."""
    kind = dice.randrange(5)
    async with await served.client() as client:
        if kind == 0:
            for _ in range(5):
                assert (await client.ask(get())).status == 200
        elif kind == 1:
            client.send(post(b"x" * 50_000) + chunked(b"y" * 1000) + get())
            for _ in range(3):
                assert (await client.answer()).status == 200
        elif kind == 2:
            client.send(dice.choice([data for _, data in MALFORMED.values()]))
            await client.reader.read(10)
        elif kind == 3:
            client.send(post(b"x" * 50_000)[:-10])  # and leaves
        else:
            client.send(get() * 20)  # and leaves without reading


async def traffic(served: Served, rounds: int, dice: random.Random) -> int:
    """Send visitors in groups; return the bytes that Python holds after the last."""
    for _ in range(rounds):
        await asyncio.gather(*(visit(served, dice) for _ in range(10)))
    await until(lambda: not (served.server.server_state.connections or served.server.server_state.running))
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def soak(start: Start, rounds: int) -> None:
    served = await start(Forgetful(obey), header_timeout=1, body_rate_timeout=1, idle_connection_timeout=1)
    dice = random.Random(1)
    logging.getLogger("torngas_aio.http").setLevel(logging.ERROR)  # captured lines would count as left behind
    tasks = asyncio.all_tasks()
    tracemalloc.start()
    try:
        before = await traffic(served, 10, dice)
        after = await traffic(served, rounds, dice)
    finally:
        tracemalloc.stop()
    assert after - before < 500_000
    assert asyncio.all_tasks() == tasks


async def test_nothing_is_left_behind(start: Start) -> None:
    await soak(start, 15)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_nothing_is_left_behind_by_long_traffic(start: Start) -> None:
    await soak(start, 3000)
