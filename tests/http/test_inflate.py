"""Unpacking: bounded steps, bounded members, and others get a turn meanwhile."""

import asyncio
import gzip
import random
from typing import Any

import pytest

from tests.http.conftest import Start
from tests.http.test_protocol import post
from tests.http.wire import Direct
from torngas_aio.http.base import BodyError
from torngas_aio.http.codings import MAX_MEMBERS, InflateError, Inflater
from torngas_aio.http.request import Request

NOISE = random.Random(3).randbytes(200_000)
EMPTY = gzip.compress(b"", mtime=0)


def unpacked(data: bytes, step: int = 1 << 20) -> bytes:
    inflater = Inflater(1000)
    parts = [part for at in range(0, len(data), step) for part in inflater.inflate(data[at : at + step])]
    inflater.end()
    assert max(map(len, parts), default=0) <= 1000
    return b"".join(parts)


@pytest.mark.parametrize("step", [1, 5, 1000, 16_384, 1 << 20])
@pytest.mark.parametrize("text", [b"", b"x", b"x" * 1000, b"x" * 123_457, NOISE[:30_000]], ids=len)
def test_every_split_unpacks_alike(text: bytes, step: int) -> None:
    assert unpacked(gzip.compress(text), step) == text


def test_several_members_are_one_body() -> None:
    assert unpacked(gzip.compress(NOISE) * 2 + EMPTY * (MAX_MEMBERS - 2)) == NOISE * 2


@pytest.mark.parametrize("step", [7, 1 << 20])
@pytest.mark.parametrize("member", [EMPTY, gzip.compress(b"x", mtime=0), gzip.compress(NOISE[:5000])], ids=len)
def test_too_many_members_are_refused(member: bytes, step: int) -> None:
    with pytest.raises(InflateError, match="more than 16 members"):
        unpacked(member * (MAX_MEMBERS + 1), step)


@pytest.mark.parametrize("data", [EMPTY[:-1], gzip.compress(NOISE)[:-9], EMPTY + b"\x1f", EMPTY + b"\0", b"no gzip"])
def test_what_is_not_whole_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(InflateError):
        unpacked(data)


@pytest.mark.parametrize("is_read_whole", [True, False])
@pytest.mark.parametrize(
    ("size", "limit", "status"), [(8_000_000, 10_000_000, 200), (50_000_000, 8_000_000, 413)], ids=["large", "bomb"]
)
async def test_others_have_a_turn_while_a_body_is_unpacked(
    start: Start, is_read_whole: bool, size: int, limit: int, status: int
) -> None:
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read(request: Request, exchange: Any) -> None:
        ticker = asyncio.create_task(tick())
        try:
            if is_read_whole:
                await exchange.body.read_all()
            else:
                while await exchange.body.read_chunk():
                    pass
            exchange.respond(200, "OK", (), b"", False)
        except BodyError as exc:
            exchange.refuse(exc.status, str(exc))
        finally:
            ticker.cancel()

    served = await start(Direct(read), decompress_request=True, max_body_size=limit)
    answer = await served.ask(post(gzip.compress(b"x" * size), "/", "Content-Encoding: gzip"))
    assert answer.status == status
    assert turns >= min(size, limit) // (320 * 1024)
