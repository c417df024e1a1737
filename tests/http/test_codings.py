"""The chunked coding: fast for small chunks, bounded in what its framing may cost."""

import asyncio
import contextvars
import random
from typing import Any

import pytest

from tests.http.conftest import Start
from tests.http.test_fuzz import Transport
from tests.http.test_protocol import chunked
from tests.http.wire import Direct
from torngas_aio.http.adapters import adapter_for
from torngas_aio.http.codings import ChunkDecoder, ChunkError
from torngas_aio.http.limits import Limits
from torngas_aio.http.protocol import HTTPProtocol
from torngas_aio.http.request import Request
from torngas_aio.http.server_state import ServerState

PART = 16 * 1024


def framed(*pieces: bytes, size: bytes = b"%x") -> bytes:
    return b"".join(b"%b\r\n%b\r\n" % (size % len(piece), piece) for piece in pieces)


def decoded(data: bytes, step: int) -> bytes:
    decoder = ChunkDecoder()
    return b"".join(decoder.feed(data[at : at + step]) for at in range(0, len(data), step))


@pytest.mark.parametrize("form", [b"%x", b"%X", b"%04x", b"%x;name=value", b'%x;a="b;c"'])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, 1 << 20])
def test_chunks_of_every_size_come_out_as_they_went_in(form: bytes, step: int) -> None:
    sizes = random.Random(7)
    pieces = [sizes.randbytes(sizes.choice([1, 2, 9, 15, 16, 171, 255, 256, 300])) for _ in range(60)]
    assert decoded(framed(*pieces, size=form) + b"0\r\n\r\n", step) == b"".join(pieces)


@pytest.mark.parametrize(
    "tail", [b"1\r\nxy\r\n", b"1\rx\r\n", b"g\r\nx\r\n", b"2\r\nx\r\n\r\n", b"1\nx\r\n", b"-1\r\nx\r\n"]
)
def test_a_fault_after_small_chunks_is_one(tail: bytes) -> None:
    with pytest.raises(ChunkError):
        ChunkDecoder().feed(framed(b"a", b"b") + tail)


@pytest.mark.parametrize("size", [1, 2, 5, 16, 40])
def test_a_body_that_is_mostly_framing_is_refused(size: int) -> None:
    data = framed(*[b"x" * size] * (6 * 1024 * 1024 // (size + 5)))
    with pytest.raises(ChunkError, match="too small"):
        decoded(data, PART)


@pytest.mark.parametrize("large", [8000, 16_000])
def test_large_chunks_between_small_ones_do_not_hide_them(large: int) -> None:
    data = (framed(*[b"x"] * 2600) + framed(b"y" * large)) * 400
    with pytest.raises(ChunkError, match="too small"):
        decoded(data, PART)


@pytest.mark.parametrize("size", [1, 3, 40])
def test_small_chunks_that_come_as_they_are_made_are_accepted(size: int) -> None:
    decoder = ChunkDecoder()
    for _ in range(60_000):
        assert len(decoder.feed(framed(b"x" * size, b"y" * size))) == 2 * size


def test_a_large_body_in_lines_is_accepted() -> None:
    line = b"x" * 120
    assert len(decoded(framed(*[line] * 40_000), 1 << 18)) == 120 * 40_000


async def test_of_a_chunked_body_little_is_decoded_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []
    feed = ChunkDecoder.feed

    def watched(self: ChunkDecoder, data: bytes) -> bytes:
        fed.append(len(data))
        return feed(self, data)

    monkeypatch.setattr(ChunkDecoder, "feed", watched)
    bodies: list[bytes] = []

    async def read(request: Request, exchange: Any) -> None:
        bodies.append(await exchange.body.read_all())
        exchange.respond(200, "OK", (), b"", False)

    loop = asyncio.get_running_loop()
    server_state = ServerState(loop, adapter_for(Direct(read)), Limits(), contextvars.copy_context())
    protocol = HTTPProtocol(server_state)
    protocol.connection_made(Transport())  # type: ignore[arg-type]
    protocol.data_received(chunked(b"x" * 90, *[b"y"] * 10_000, b"z" * 200_000) + chunked(*[b"w"] * 9000))
    turns = 0
    while server_state.running or not bodies:
        assert sum(fed) <= 2 * PART * (turns + 1)
        turns += 1
        await asyncio.sleep(0)
    assert max(fed) <= PART
    assert bodies == [b"x" * 90 + b"y" * 10_000 + b"z" * 200_000, b"w" * 9000]
    protocol.connection_lost(None)
    server_state.close()


@pytest.mark.parametrize("is_read", [True, False])
async def test_others_are_served_while_small_chunks_arrive(start: Start, is_read: bool) -> None:
    async def serve(request: Request, exchange: Any) -> None:
        if is_read and request.method == "POST":
            while await exchange.body.read_chunk():
                pass
        exchange.respond(200, "OK", (), b"done", False)

    served = await start(Direct(serve))
    async with await served.client() as attacker:
        attacker.send(chunked(*[b"x"] * 20_000) + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await served.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"done"
        assert (await attacker.answer()).status == 200
        if is_read:
            assert (await attacker.answer()).body == b"done"
