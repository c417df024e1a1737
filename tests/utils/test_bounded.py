"""Caches that clients fill: bounded in bytes, and junk does not lock real entries out."""

import random
import string
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from torngas_aio.http import headers, response
from torngas_aio.http.limits import Limits
from torngas_aio.http.proxies import TrustedProxies
from torngas_aio.http.request_parser import HeadParser
from torngas_aio.middleware.security import AllowedHostsMiddleware
from torngas_aio.utils.bounded import BoundedCache

MOST_BYTES = 3 * 1024 * 1024

_random = random.Random(5)


def junk(length: int) -> str:
    return "".join(_random.choices(string.ascii_lowercase, k=length))


class Cases:
    """What a request puts into each cache: `keep(text)`, with a text that a client chose."""

    def __init__(self) -> None:
        self.parser = HeadParser(Limits())
        self.proxies = TrustedProxies()
        self.hosts = AllowedHostsMiddleware(hosts=["*"])

    def titles(self, text: str) -> None:
        headers.headers_of([(text.encode(), b"x")])

    def fields(self, text: str) -> None:
        self.parser.parse(f"GET / HTTP/1.1\r\nHost: a\r\nX: {text}\r\n\r\n".encode())

    def names(self, text: str) -> None:
        self.parser.parse(f"GET / HTTP/1.1\r\nHost: a\r\n{text}: 1\r\n\r\n".encode())

    def host(self, text: str) -> None:
        self.parser.parse(f"GET / HTTP/1.1\r\nHost: {text}\r\n\r\n".encode())

    def targets(self, text: str) -> None:
        self.parser.parse(f"GET /{text[:15000]} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def cookie_names(self, text: str) -> None:
        headers.find_cookie(b"", text)

    def answer_names(self, text: str) -> None:
        response.check_head([(text, "x")])

    def addresses(self, text: str) -> None:
        self.proxies.trusts(text)
        self.proxies.trusts(f"{len(text) % 250}.{_random.randrange(256)}.{_random.randrange(256)}.1")

    def allowed_hosts(self, text: str) -> None:
        self.hosts._is_allowed(f"{text}.example.com"[-300:])


CASES = [name for name in vars(Cases) if not name.startswith("_")]


@pytest.mark.parametrize("length", [300, 2000, 60_000])
@pytest.mark.parametrize("name", CASES)
def test_no_cache_grows_with_what_clients_send(name: str, length: int) -> None:
    keep: Callable[[str], None] = getattr(Cases(), name)
    texts = [junk(length) for _ in range(40)] if length > 10_000 else []
    tracemalloc.start()
    try:
        for number in range(200 if texts else 4000):
            keep(texts[number % 40] + str(number) if texts else junk(length - 5) + f"{number:05}")
        assert tracemalloc.get_traced_memory()[0] < MOST_BYTES + (length * 41 if texts else 0)
    finally:
        tracemalloc.stop()


def test_junk_does_not_lock_out() -> None:
    for number in range(5000):
        headers.headers_of([(f"x-{number}".encode(), b"1")])
        headers.find_cookie(b"", f"c{number}")
    headers.headers_of([(b"x-real-name", b"1")])
    headers.find_cookie(b"", "real_name")
    assert b"x-real-name" in headers._titles
    assert "real_name" in headers._known_names


def test_what_does_not_fit_is_not_kept() -> None:
    cache: BoundedCache[str, Any] = BoundedCache(max_bytes=10_000, max_key=100)
    cache.keep("x" * 101, 1)
    assert not cache
    for number in range(1000):
        cache.keep(f"{number:0100}", number)
        assert cache[f"{number:0100}"] == number
        assert len(cache) <= 22


def test_keeping_twice_counts_once() -> None:
    cache: BoundedCache[bytes, bool] = BoundedCache(max_bytes=1000, max_key=10)
    for _ in range(100):
        cache.keep(b"one", True)
        cache.keep(b"two", True)
    assert len(cache) == 2
