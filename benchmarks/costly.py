"""The most expensive requests that are accepted: CPU on the loop and memory, each at its limit.

    python -m benchmarks.costly [--runs 5]

CPU is the fastest run's, in ms; memory is the peak of what Python allocates, and its ratio to the request's size. What
is read in turns (chunks, gzip) is given as the whole and as its share in one turn of the loop.
"""

import argparse
import gzip
import time
import tracemalloc
from collections.abc import Callable

from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from torngas_aio import _json
from torngas_aio.http.base import BodyError
from torngas_aio.http.codings import TURN_BYTES, ChunkDecoder, Inflater
from torngas_aio.http.forms import MAX_FORM_BYTES
from torngas_aio.http.headers import headers_of
from torngas_aio.http.limits import Limits
from torngas_aio.http.request import Request
from torngas_aio.http.request_parser import HeadParser

LIMITS = Limits()
MIB = 1024 * 1024
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="a"%b\r\n%b\r\n\r\n%b\r\n'
TURN_OF_CHUNKS = 16 * 1024


def request(headers: dict[str, str], body: bytes = b"", target: str = "/") -> Request:
    made = Request(("POST", target, "HTTP/1.1"), HTTPHeaders(headers), None)
    made.body = body
    return made


def form(kind: str, body: bytes) -> tuple[Callable[[], object], int]:
    return lambda: request({"Content-Type": kind}, body).arguments, len(body)


def head(lines: bytes) -> tuple[Callable[[], object], int]:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    return lambda: (HeadParser(LIMITS).parse(raw), headers_of(raw)), len(raw)


def parsed(body: bytes) -> tuple[Callable[[], object], int]:
    return lambda: _json.parse_json(body), len(body)


def chunked(size: int, data: bytes) -> tuple[Callable[[], object], int]:
    def decode() -> list[bytes]:
        decoder = ChunkDecoder()
        return [decoder.feed(data[at : at + TURN_OF_CHUNKS]) for at in range(0, size, TURN_OF_CHUNKS)]

    return decode, size


def unpacked(data: bytes) -> tuple[Callable[[], object], int]:
    return lambda: b"".join(Inflater(65536).inflate(gzip.compress(data))), len(data)


def cases() -> dict[str, tuple[Callable[[], object], int]]:
    cookies = ";".join(f"c{number}=v" for number in range(8000))[:60_000]
    lines = b"x: y\r\n" * 1000
    small = b"1\r\nx\r\n" * 26_000
    lined = b"64\r\n" + b"x" * 100 + b"\r\n"
    return {
        "header of 100 fields": head(b"".join(b"x-%d: %b\r\n" % (number, b"v" * 600) for number in range(99))),
        "header of one list": head(b"Connection: " + b"a," * 30_000 + b"\r\n"),
        "cookies": (lambda: request({"Cookie": cookies}).cookies, len(cookies)),
        "query": (lambda: request({}, target="/?" + "a=%41&" * 999).arguments, 6000),
        "query of one value": (lambda: request({}, target="/?a=" + "%41" * 5000).arguments, 15_000),
        "form of 1,000 fields": form(FORM, b"&".join(b"a%d=b" % number for number in range(1000))),
        "form of escapes": form(FORM, b"a=" + b"%41" * ((MAX_FORM_BYTES - 2) // 3)),
        "form of one value": form(FORM, b"a=" + b"x" * (MAX_FORM_BYTES - 2)),
        "multipart of 90 parts": form(MULTIPART, PART % (b"", b"", b"x") * 90 + b"--b--\r\n"),
        "multipart of long headers": form(MULTIPART, PART % (b"", b"\r\n" + lines[:6000], b"x") * 90 + b"--b--\r\n"),
        "multipart of one file": form(MULTIPART, PART % (b'; filename="a"', b"", b"x" * 10 * MIB) + b"--b--\r\n"),
        "JSON of objects": parsed(b"[" + b'{"a":12345},' * 87_000 + b"1]"),
        "JSON of depth": parsed(b"[" + (b"[" * 98 + b"]" * 98 + b",") * 1060 + b"1]"),
        "JSON of long integers": parsed(b"[" + (b"7" * 4300 + b",") * 240 + b"1]"),
        "JSON of integers": parsed(b"[" + b"1," * (MIB // 2 - 2) + b"1]"),
        "chunks of one byte": chunked(120_000, small),
        "chunks of one byte, a turn": chunked(TURN_OF_CHUNKS, small),
        "chunks of 100 bytes": chunked(10 * MIB, lined * 100_000),
        "gzip of zeros": unpacked(bytes(10 * MIB)),
        "gzip of zeros, a turn": unpacked(bytes(TURN_BYTES)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(f"{'request':30} {'KiB':>9} {'ms':>8} {'KiB taken':>10} {'ratio':>6}")
    for name, (run, size) in cases().items():
        try:
            spent, taken = min(cpu_ms(run) for _ in range(runs)), peak(run)
        except (ValueError, HTTPError, BodyError) as exc:
            print(f"{name:30} refused: {exc}")
            continue
        print(f"{name:30} {size / 1024:9.1f} {spent:8.2f} {taken / 1024:10.1f} {taken / size:6.1f}")


def cpu_ms(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return (time.thread_time() - began) * 1000


def peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main()
