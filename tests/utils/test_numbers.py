"""Numbers from outside: ASCII digits, bounded in number, everywhere."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.cache.memcached.connection import MemcachedLink
from torngas_aio.cache.redis.cluster import _target
from torngas_aio.cache.serializers import JsonSerializer
from torngas_aio.cache.store import counted
from torngas_aio.db.dbalchemy.pagination import _number
from torngas_aio.errorpage.render import preferred
from torngas_aio.http.request import Request
from torngas_aio.i18n import _ranked
from torngas_aio.testing import TestClient
from torngas_aio.utils.hosts import parse_host
from torngas_aio.utils.numbers import parse_integer, parse_quality, parse_whole

NO_NUMBERS = [
    "", " ", "1_0", "+1", "--1", "1 0", " 1", "1 ", "1\n", "\t1", "0x1", "1e1", "1.0", "1,0",
    "\u0661", "\uff11", "1\u0661", "\u00b2", "\u2167",
    "1\0", "nan", "inf", "9" * 5000, "0" * 19,
]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS, ids=ascii)
def test_what_int_would_take_is_no_number(text: str) -> None:
    assert parse_whole(text) is None
    assert parse_whole(text.encode()) is None
    assert parse_integer(text) is None
    assert parse_integer(f"-{text}".encode()) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_digits_are_a_number(text: str, number: int) -> None:
    assert parse_whole(text) == parse_whole(text.encode()) == parse_integer(text) == number
    assert parse_integer(f"-{text}") == parse_integer(f"-{text}".encode()) == -number


@pytest.mark.parametrize("text", ["0", "0.", "0.5", "0.123", "1", "1.", "1.000"])
def test_weights(text: str) -> None:
    assert parse_quality(text) == float(text)


@pytest.mark.parametrize(
    "text",
    [
        *NO_NUMBERS[:8],
        "0.1234",
        "1.001",
        "2",
        "-0.5",
        "+0.5",
        ".5",
        "0_0.5",
        "1e-1",
        "nan",
        "inf",
        "\u0660.\u0665",
        "0.\u0665",
    ],
)
def test_what_float_would_take_is_no_weight(text: str) -> None:
    assert parse_quality(text) is None
    if text.strip() == text:
        assert preferred(f"text/plain;q={text}, text/html;q=0.1", ("text/html", "text/plain")) == "text/html"
    if "," not in text:
        assert _ranked(f"fr;q={text}x, de;q=0.1") == ["de"]


@pytest.mark.parametrize("text", [text for text in NO_NUMBERS if text.strip(" \t") == text], ids=ascii)
def test_a_port_is_a_number(text: str) -> None:
    assert parse_host(f"example.com:{text}") is None
    host = f"example.com:{text}".encode()
    request = Request(("GET", "/", "HTTP/1.1"), [(b"host", host)], None)
    assert request.host_name == host.decode("latin-1").lower()


@pytest.mark.parametrize("text", NO_NUMBERS, ids=ascii)
def test_a_page_is_a_number(text: str) -> None:
    assert _number(text) == _number(text.encode()) == 1


def test_pages_that_are_numbers() -> None:
    given = ["3", b"3", 3, True, "0", 0, -5, None, float("inf"), float("nan"), 10**30]
    assert [_number(each) for each in given] == [3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 10**30]


@pytest.mark.parametrize("text", [text for text in NO_NUMBERS if text != "0" * 19], ids=ascii)
def test_a_stored_counter_is_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="not an integer"):
        counted(text.encode(), 1)


def test_a_padded_counter_is_read() -> None:
    assert JsonSerializer().loads(b"9 ") == 9
    assert JsonSerializer().loads(b"-9223372036854775808") == -(2**63)
    assert JsonSerializer().loads(b"1.5") == 1.5


@pytest.mark.parametrize(
    "text", [*filter(str.strip, NO_NUMBERS[:3]), "0x1", "1e1", "\u0661", "\u00b2", "9" * 5000], ids=ascii
)
async def test_memcached_answers_with_numbers(text: str) -> None:
    for answer in (b"VALUE key 0 %b\r\nx\r\nEND\r\n", b"VALUE key 0 -%b\r\nx\r\nEND\r\n"):
        with pytest.raises(ConnectionError, match="instead of a number"):
            await _link(answer % text.encode()).get(b"key")
    for answer in (b"VA %b c1 t1\r\nx\r\n", b"VA 1 c%b t1\r\nx\r\n", b"VA 1 c1 t%b\r\nx\r\n"):
        with pytest.raises(ConnectionError, match="instead of a number"):
            await _link(answer % text.encode()).meta_get(b"key")


async def test_memcached_answers_that_are_right() -> None:
    assert await _link(b"VALUE key 0 1\r\nx\r\nEND\r\n").get(b"key") == b"x"
    assert await _link(b"END\r\n").get(b"key") is None
    assert await _link(b"VALUE b 0 1\r\nx\r\nVALUE a 5 0\r\n\r\nEND\r\n").multi_get(b"a", b"b", b"c") == (
        b"",
        b"x",
        None,
    )
    assert await _link(b"VALUE a 0 1 18446744073709551615\r\nx\r\nEND\r\n").gets(b"a") == (b"x", 2**64 - 1)


@pytest.mark.parametrize("text", [text for text in NO_NUMBERS if " " not in text], ids=ascii)
def test_a_redirection_names_a_port(text: str) -> None:
    link: Any = None
    assert _target("MOVED 3999 127.0.0.1:6381", link, {}) == ("127.0.0.1", 6381)
    assert _target("MOVED 3999 [::1]:6381", link, {}) == ("::1", 6381)
    assert _target(f"MOVED 3999 127.0.0.1:{text}", link, {}) is None


@pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
async def test_a_range_has_numbers(http_server: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"0123456789" * 10)
    async with TestClient(Application(static_path=str(tmp_path)), http_server=http_server) as client:

        async def status_of(header: str) -> int:
            return (await client.get("/static/a.txt", headers=[(b"Range", header.encode())])).status_code

        for text in NO_NUMBERS:
            if text and text.isprintable() and not text.endswith(" "):
                for header in (f"bytes={text}-20", f"bytes=2-{text}", f"bytes=-{text}", f"bytes={text}"):
                    assert (header, await status_of(header)) == (header, 200)
        for header in ("bytes=", "bytes=-", "bytes=1", "bytes", "octets=1-2", "bytes=1_0-2_0", "bytes=--1"):
            assert (header, await status_of(header)) == (header, 200)
        for header in ("bytes=2-5", "bytes=-5", "bytes=10-", "bytes=0-98"):
            assert (header, await status_of(header)) == (header, 206)
        assert await status_of("bytes=-0") == await status_of("bytes=100-") == 416


def _link(answer: bytes) -> MemcachedLink:
    reader = asyncio.StreamReader()
    reader.feed_data(answer)
    reader.feed_eof()
    return MemcachedLink(reader, _Writer())  # type: ignore[arg-type]


class _Writer:
    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...
