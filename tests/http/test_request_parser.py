"""A head is read alike whether it was seen before or not, and as h11 reads it."""

import random
from collections.abc import Iterator
from typing import Any

import h11
import pytest

from torngas_aio.http.headers import HeaderView, pairs_of
from torngas_aio.http.limits import Limits
from torngas_aio.http.request_parser import CHUNKED, HeadParser, PlainHead, Refusal

LINES = [
    b"GET / HTTP/1.1",
    b"POST /a/b?c=d&e=%20 HTTP/1.1",
    b"HEAD /x HTTP/1.0",
    b"OPTIONS * HTTP/1.1",
    b"FOO /y HTTP/1.1",
]
FIELDS = [
    b"Host: example.org",
    b"Host: 127.0.0.1:8000",
    b"Content-Length: 5",
    b"content-length: 0",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive, x",
    b"Content-Encoding: gzip",
    b"Cookie: a=b; c=d",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0)",
    b"X-Empty:",
    b"Accept: */* \t",
]
BITS = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\xff",
    b"#",
    b",",
    b"Host: b\r\n",
    b"5",
    b"\r\n\r\n",
    b"\n ",
]


def heads(seed: int, count: int) -> Iterator[bytes]:
    """Heads, most of them good but for one byte or two."""
    rng = random.Random(seed)
    for _ in range(count):
        fields = [b"Host: h"] * rng.choice([0, 1, 1, 1]) + rng.sample(FIELDS, rng.randrange(5))
        head = b"\r\n".join([rng.choice(LINES), *fields, b"", b""])
        for _ in range(rng.choice([0, 1, 1, 2])):
            at = rng.randrange(len(head))
            head = head[:at] + rng.choice(BITS) + head[at + rng.choice([0, 1]) :]
        yield head


def verdict(parser: HeadParser, raw: bytes) -> Any:
    """What *parser* makes of *raw*: its head as plain values, or the status of the refusal; None where no head ends."""
    try:
        if parser.scan(raw, 0, 0) != len(raw):
            return None
        head = parser.recognize(raw) or parser.parse(raw)
    except Refusal as refusal:
        return refusal.status
    return head.method, head.target, head.version, head.length, head.keeps_alive, head.expects_continue, head.is_gzipped


def read_by_h11(raw: bytes) -> Any:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    return request


def compare(raw: bytes, warm: HeadParser) -> bool:
    """Check what is made of *raw*; return whether it is a head."""
    found = verdict(HeadParser(Limits()), raw)
    assert verdict(warm, raw) == found
    assert verdict(warm, raw) == found  # now, it may have been seen before
    if not isinstance(found, tuple):
        return False
    request = read_by_h11(raw)
    assert (request.method.decode(), request.http_version.decode()) == (found[0], found[2][5:])
    if request.target.startswith((b"/", b"*")):
        assert request.target.decode() == found[1]
    fields = [(name, value) for name, value in request.headers if name != b"transfer-encoding"]
    assert fields == [pair for pair in pairs_of(raw) if pair[0] != b"transfer-encoding"]
    named = dict(request.headers)
    length = CHUNKED if b"transfer-encoding" in named else int(named.get(b"content-length", b"0"))
    assert found[3] == length
    return True


def check(seed: int, count: int) -> None:
    warm = HeadParser(Limits())
    good = sum(compare(raw, warm) for raw in heads(seed, count))
    assert count / 10 < good < count


def test_thousands_of_heads_are_read_as_by_h11() -> None:
    check(1, 3000)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(6))
def test_many_more_heads(seed: int) -> None:
    check(seed, 50_000)


def test_a_usual_head_is_plain_the_first_time_its_fields_come() -> None:
    parser = HeadParser(Limits())
    first, second = (f"GET /{n}?a={n} HTTP/1.1\r\nHost: h\r\nCookie: a={n}\r\n\r\n".encode() for n in (1, 2))
    parser.parse(first)
    assert type(parser.parse(second)) is PlainHead
    assert parser.recognize(second) is not None


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "Connection: close\r\n",
        "Connection: Close , x\r\n",
        "Connection: keep-alive\r\n",
        "Connection: x\r\nConnection: close\r\n",
        "Connection: keep-alive, close\r\n",
    ],
)
def test_a_head_whose_fields_were_seen_before_says_the_same(fields: str) -> None:
    parser = HeadParser(Limits())
    first, second = (f"GET /{n} HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode() for n in (1, 2))
    said = verdict(parser, first)
    known = parser.recognize(second)
    assert known is not None
    assert known.keeps_alive is ("close" not in fields.lower())
    assert verdict(parser, second) == (said[0], "/2", *said[2:])
    # HTTP/1.0 ends the connection by itself: what was learnt of 1.1 does not count there, nor the other way round
    old = first.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert parser.recognize(old) is None
    assert verdict(parser, old)[2] == "HTTP/1.0"
    assert parser.recognize(second) is not None


@pytest.mark.parametrize(
    ("fields", "media_type", "coding"),
    [
        ("", "", ""),
        ("content-TYPE:Text/Plain; a=b \t\r\n", "Text/Plain; a=b", ""),
        ("Content-Type: a/b\r\nContent-Encoding: gzip\r\nContent-Type: c/d\r\n", "a/b,c/d", "gzip"),
        ("X-Content-Type: a/b\r\nContent-Types: a/b\r\n", "", ""),
        ("Content-Type: multipart/form-data; boundary=b\r\n", "multipart/form-data; boundary=b", ""),
    ],
)
def test_a_head_with_a_body_tells_its_type_and_coding(fields: str, media_type: str, coding: str) -> None:
    parser = HeadParser(Limits())
    raw = f"POST / HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: 2\r\n\r\n".encode()
    told = {"Content-Type": media_type, "Content-Encoding": coding}
    for _ in range(2):  # the second time from what was remembered
        assert parser.parse(raw).about_body == told
        assert {name: HeaderView(raw).get(name, "") for name in told} == told
