"""permessage-deflate: which offers are accepted, and what messages become."""

import random
import zlib
from typing import Any

import pytest

from torngas_aio.http.deflate import Deflate, ProtocolError, compressed_parts, negotiate_deflate

OFFERS: dict[str, str | None] = {
    "permessage-deflate": "permessage-deflate",
    "permessage-deflate; client_max_window_bits": "permessage-deflate",
    "permessage-deflate; client_max_window_bits=8": "permessage-deflate",
    'permessage-deflate; server_max_window_bits="10"': "permessage-deflate; server_max_window_bits=10",
    "permessage-deflate;server_no_context_takeover;client_no_context_takeover": (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    ),
    "permessage-deflate; server_max_window_bits=8": None,
    "permessage-deflate; server_max_window_bits=99": None,
    "permessage-deflate; server_max_window_bits": None,
    "permessage-deflate; server_max_window_bits=1_0": None,
    "permessage-deflate; server_max_window_bits=+9": None,
    "permessage-deflate; server_max_window_bits=٩": None,
    "permessage-deflate; client_max_window_bits=16": None,
    "permessage-deflate; server_no_context_takeover=1": None,
    "permessage-deflate; unknown=1": None,
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover": None,
    "x-webkit-deflate-frame": None,
    "": None,
    "permessage-deflate; =": None,
    "permessage-deflate; a b": None,
    ";;;,,,": None,
    'permessage-deflate; server_max_window_bits="10': None,
    # The first offer that can be met is taken.
    "permessage-deflate; server_max_window_bits=8, permessage-deflate": "permessage-deflate",
    'other; a="x,y", permessage-deflate; server_max_window_bits=12': "permessage-deflate; server_max_window_bits=12",
    "permessage-deflate; unknown, permessage-deflate; server_no_context_takeover": (
        "permessage-deflate; server_no_context_takeover"
    ),
}


@pytest.mark.parametrize("offer", OFFERS)
def test_offers(offer: str) -> None:
    found = negotiate_deflate(offer, {})
    assert (found and found[1]) == OFFERS[offer]


def test_nothing_is_accepted_where_compression_is_not_wanted() -> None:
    assert negotiate_deflate("permessage-deflate", None) is None


def inflater(bits: int = 15) -> Any:
    return zlib.decompressobj(-bits)


def test_context_is_kept_or_not() -> None:
    kept = Deflate(6, 8, 15, resets_sent=False, resets_received=False)
    reset = Deflate(6, 8, 15, resets_sent=True, resets_received=True)
    text = bytes(range(256))
    assert len(kept.compress(text)) > 250 > len(kept.compress(text))
    assert reset.compress(text) == reset.compress(text)
    engine = inflater()
    again = Deflate(6, 8, 9, resets_sent=False, resets_received=False)
    for message in (b"one" * 500, b"two" * 500, b""):
        assert engine.decompress(again.compress(message) + b"\0\0\xff\xff") == message


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 100_000])
@pytest.mark.parametrize("settings", [(6, 8, 15), (9, 1, 9), (0, 8, 15)])
def test_a_message_that_was_compressed_for_many_stands_between_those_of_one(
    size: int, settings: tuple[int, int, int]
) -> None:
    sender = Deflate(*settings, resets_sent=False, resets_received=False)
    client = Deflate(*settings, resets_sent=False, resets_received=False)
    shared = random.Random(size).randbytes(size // 2) * 2 + b"x" * (size % 2)
    for _ in range(2):
        for message in (b"mine" * 20, shared[:5000]):
            assert client.inflate(sender.compress(message), 200_000) == message
        parts = list(compressed_parts(shared, settings))
        assert len(parts) == max(1, -(-size // (32 * 1024)))
        assert client.inflate(b"".join(parts), 200_000) == shared
        sender.restart()
        assert client.inflate(sender.compress(shared), 200_000) == shared


def test_what_one_side_compresses_the_other_inflates() -> None:
    for resets in (False, True):
        one = Deflate(6, 8, 15, resets_sent=resets, resets_received=resets)
        two = Deflate(6, 8, 15, resets_sent=resets, resets_received=resets)
        for message in (b"", b"a", b"hello" * 10_000):
            assert two.inflate(one.compress(message), 100_000) == message


def test_a_final_block_ends_one_message_only() -> None:
    deflate = Deflate(6, 8, 15, resets_sent=False, resets_received=False)
    engine = zlib.compressobj(6, zlib.DEFLATED, -15)
    final = engine.compress(b"final") + engine.flush()
    assert deflate.inflate(final + b"\0", 100) == b"final"
    assert deflate.inflate(Deflate(6, 8, 15, resets_sent=True, resets_received=True).compress(b"next"), 100) == b"next"


def test_a_bomb_is_refused_at_the_limit() -> None:
    deflate = Deflate(6, 8, 15, resets_sent=False, resets_received=False)
    bomb = Deflate(9, 8, 15, resets_sent=True, resets_received=True).compress(bytes(50_000_000))
    with pytest.raises(ProtocolError) as refused:
        deflate.inflate(bomb, 1_000_000)
    assert refused.value.code == 1009
    exact = Deflate(9, 8, 15, resets_sent=True, resets_received=True).compress(bytes(1000))
    assert len(Deflate(6, 8, 15, resets_sent=True, resets_received=True).inflate(exact, 1000)) == 1000


def test_what_is_not_deflated_is_refused() -> None:
    with pytest.raises(ProtocolError) as refused:
        Deflate(6, 8, 15, resets_sent=False, resets_received=False).inflate(b"\xff\xff\xff", 100)
    assert refused.value.code == 1007
