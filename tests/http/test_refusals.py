"""What is refused: the right status, once, then the end of the connection."""

import pytest

from tests.http.conftest import Start
from tests.http.test_protocol import echo, hello
from tests.http.wire import Direct, get
from torngas_aio.http.base import BodyError, Exchange
from torngas_aio.http.request import Request

HOST = b"Host: test\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "both lengths": (400, POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "both lengths, turned round": (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
    "no length and chunks": (400, POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths that differ": (400, POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!"),
    "two lengths in one field": (400, POST + b"Content-Length: 4, 5\r\n\r\nbody!"),
    "two equal lengths": (400, POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody"),
    "negative length": (400, POST + b"Content-Length: -4\r\n\r\nbody"),
    "signed length": (400, POST + b"Content-Length: +4\r\n\r\nbody"),
    "hexadecimal length": (400, POST + b"Content-Length: 0x4\r\n\r\nbody"),
    "length with a space": (400, POST + b"Content-Length: 4 4\r\n\r\nbody"),
    "empty length": (400, POST + b"Content-Length: \r\n\r\nbody"),
    "length that overflows": (400, POST + b"Content-Length: 99999999999999999999\r\n\r\nbody"),
    "length that nearly overflows": (400, POST + b"Content-Length: 9223372036854775807\r\n\r\nbody"),
    "unknown transfer coding": (400, POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"),
    "another coding before chunked": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked not last": (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked twice": (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunked in disguise": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "vertical tab before chunked": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "LF alone after the request line": (400, b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
    "LF alone after a field": (400, b"GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n"),
    "LF alone throughout": (400, b"GET / HTTP/1.1\nHost: test\n\n"),
    "CR alone in a value": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n"),
    "CR alone in a name": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX\rY: b\r\n\r\n"),
    "CR twice": (400, b"GET / HTTP/1.1\r\nHost: test\r\r\n\r\n"),
    "a folded field": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX: a\r\n b\r\n\r\n"),
    "a folded first line": (400, b"GET / HTTP/1.1\r\n Host: test\r\n\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\nHost : test\r\n\r\n"),
    "tab before the colon": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX\t: y\r\n\r\n"),
    "empty name": (400, b"GET / HTTP/1.1\r\nHost: test\r\n: y\r\n\r\n"),
    "name that is no token": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX(y): z\r\n\r\n"),
    "name beyond ASCII": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX\xe4: z\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\nHost: test\r\nXy\r\n\r\n"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX: a\0b\r\n\r\n"),
    "NUL in a name": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX\0: b\r\n\r\n"),
    "NUL in the target": (400, b"GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n"),
    "control character in a value": (400, b"GET / HTTP/1.1\r\nHost: test\r\nX: a\x01b\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "no host but a length that looks like one": (400, b"GET / HTTP/1.1\r\nConnection: test\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: test\r\nHost: other\r\n\r\n"),
    "the same host twice": (400, b"GET / HTTP/1.1\r\nHost: test\r\nhost: test\r\n\r\n"),
    "two hosts in one field": (400, b"GET / HTTP/1.1\r\nHost: test, other\r\n\r\n"),
    "host with a user": (400, b"GET / HTTP/1.1\r\nHost: me@test\r\n\r\n"),
    "host with a path": (400, b"GET / HTTP/1.1\r\nHost: test/x\r\n\r\n"),
    "host with a space": (400, b"GET / HTTP/1.1\r\nHost: te st\r\n\r\n"),
    "host with a port that is none": (400, b"GET / HTTP/1.1\r\nHost: test:http\r\n\r\n"),
    "two hosts in HTTP/1.0": (400, b"GET / HTTP/1.0\r\nHost: test\r\nHost: other\r\n\r\n"),
    "method that is no token": (400, b"G(T / HTTP/1.1\r\nHost: test\r\n\r\n"),
    "empty method": (400, b" / HTTP/1.1\r\nHost: test\r\n\r\n"),
    "method without end": (501, b"A" * 33 + b" / HTTP/1.1\r\nHost: test\r\n\r\n"),
    "a proxy's method": (501, b"CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n"),
    "TLS on a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "no target": (400, b"GET HTTP/1.1\r\nHost: test\r\n\r\n"),
    "empty target": (400, b"GET  HTTP/1.1\r\nHost: test\r\n\r\n"),
    "two spaces before the target": (400, b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n"),
    "two spaces after the target": (400, b"GET /  HTTP/1.1\r\nHost: test\r\n\r\n"),
    "space in the target": (400, b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n"),
    "tab in the target": (400, b"GET /a\tb HTTP/1.1\r\nHost: test\r\n\r\n"),
    "fragment in the target": (400, b"GET /a#b HTTP/1.1\r\nHost: test\r\n\r\n"),
    "target without a slash": (400, b"GET a HTTP/1.1\r\nHost: test\r\n\r\n"),
    "asterisk for GET": (400, b"GET * HTTP/1.1\r\nHost: test\r\n\r\n"),
    "bytes beyond ASCII in the target": (400, b"GET /\xc3\xa4 HTTP/1.1\r\nHost: test\r\n\r\n"),
    "another host in the target": (400, b"GET http://other/ HTTP/1.1\r\nHost: test\r\n\r\n"),
    "another scheme in the target": (400, b"GET ftp://test/ HTTP/1.1\r\nHost: test\r\n\r\n"),
    "no version": (400, b"GET /\r\nHost: test\r\n\r\n"),
    "space after the version": (400, b"GET / HTTP/1.1 \r\nHost: test\r\n\r\n"),
    "version in small letters": (400, b"GET / http/1.1\r\nHost: test\r\n\r\n"),
    "version that is none": (400, b"GET / HTTP/1\r\nHost: test\r\n\r\n"),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.2": (505, b"GET / HTTP/1.2\r\nHost: test\r\n\r\n"),
    "an expectation that nobody knows": (417, POST + b"Expect: miracle\r\nContent-Length: 4\r\n\r\nbody"),
    "too many fields": (431, b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X: y\r\n" * 100 + b"\r\n"),
    "one field that is too large": (431, b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"),
    "a header that never ends": (431, b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"y" * 70_000),
    "a target that is too long": (414, b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n"),
    "a target that never ends": (414, b"GET /" + b"x" * 20_000),
    "chunk size that is none": (400, CHUNKED + b"x\r\n\r\n0\r\n\r\n"),
    "chunk size with a sign": (400, CHUNKED + b"+4\r\nbody\r\n0\r\n\r\n"),
    "chunk size with 0x": (400, CHUNKED + b"0x4\r\nbody\r\n0\r\n\r\n"),
    "chunk size with an underscore": (400, CHUNKED + b"1_0\r\nbody\r\n0\r\n\r\n"),
    "chunk size with a space": (400, CHUNKED + b"4 \r\nbody\r\n0\r\n\r\n"),
    "empty chunk size": (400, CHUNKED + b"\r\nbody\r\n0\r\n\r\n"),
    "chunk size that overflows": (400, CHUNKED + b"ffffffffffffffff\r\nbody\r\n0\r\n\r\n"),
    "chunk size without end": (400, CHUNKED + b"0" * 5000 + b"\r\n\r\n"),
    "LF alone after a chunk size": (400, CHUNKED + b"4\nbody\r\n0\r\n\r\n"),
    "chunk longer than its size": (400, CHUNKED + b"4\r\nbody!\r\n0\r\n\r\n"),
    "no line end after a chunk": (400, CHUNKED + b"4\r\nbody0\r\n\r\n"),
    "LF alone after a chunk": (400, CHUNKED + b"4\r\nbody\n0\r\n\r\n"),
    "chunk extension that is no token": (400, CHUNKED + b"4;a(b\r\nbody\r\n0\r\n\r\n"),
    "chunk extension with a quote left open": (400, CHUNKED + b'4;a="b\r\nbody\r\n0\r\n\r\n'),
    "chunk extension with LF": (400, CHUNKED + b"4;a\nb\r\nbody\r\n0\r\n\r\n"),
    "chunk extensions without end": (400, CHUNKED + b"4;a=" + b"b" * 5000 + b"\r\nbody\r\n0\r\n\r\n"),
    "trailer with a space before the colon": (400, CHUNKED + b"4\r\nbody\r\n0\r\nA : b\r\n\r\n"),
    "trailer without a colon": (400, CHUNKED + b"4\r\nbody\r\n0\r\nA\r\n\r\n"),
    "LF alone after a trailer": (400, CHUNKED + b"4\r\nbody\r\n0\r\nA: b\n\r\n"),
    "trailers without end": (400, CHUNKED + b"4\r\nbody\r\n0\r\n" + b"A: bbbbbbbbbbbbbbbb\r\n" * 1000 + b"\r\n"),
}


async def obey(request: Request, exchange: Exchange) -> None:
    """Read the body and answer, as our handlers do: a body that cannot be read gets the status that it calls for."""
    try:
        body = await exchange.body.read_all()
    except BodyError as exc:
        exchange.respond(exc.status, "Refused", [], str(exc).encode(), is_head=False)
    else:
        exchange.respond(200, "OK", [], body, is_head=False)


def check_refusal(data: bytes, status: int) -> None:
    assert data.startswith(b"HTTP/1.1 %d " % status), data[:200]
    assert data.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in data


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_malformed_is_refused_and_the_connection_closed(start: Start, name: str) -> None:
    status, data = MALFORMED[name]
    served = await start(Direct(obey))
    # What follows would be a good request, were the framing believed.
    check_refusal(await served.all(data + b"\r\n\r\n" + get("/smuggled")), status)


@pytest.mark.parametrize("name", MALFORMED)
async def test_earlier_requests_of_a_pipeline_are_answered_before_a_refusal(start: Start, name: str) -> None:
    status, data = MALFORMED[name]
    served = await start(Direct(obey))
    everything = await served.all(get("/1") + get("/2") + data)
    first, second, third = everything.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 ")
    assert second.startswith(b"200 ")
    assert third.startswith(b"%d " % status)


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_refusal_leaves_nothing_behind_for_other_connections(start: Start, name: str) -> None:
    served = await start(Direct(obey))
    await served.all(MALFORMED[name][1] + b"\r\n\r\n")
    for _ in range(2):
        assert (await served.ask(get())).status == 200


async def test_refusals_are_counted_by_status(start: Start) -> None:
    served = await start(Direct(hello))
    await served.all(b"GET / HTTP/1.1\r\n\r\n")
    await served.all(b"GET / HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n")
    await served.all(b"GET / HTTP/3.0\r\n\r\n")
    assert served.server.server_state.refused == {400: 2, 505: 1}


async def test_a_refused_head_request_gets_no_body(start: Start) -> None:
    served = await start(Direct(hello))
    data = await served.all(b"HEAD / HTTP/1.1\r\n\r\n")
    check_refusal(data, 400)
    assert data.endswith(b"\r\n\r\n")


async def test_chunk_extensions_and_trailers_are_dropped(start: Start) -> None:
    application = Direct(echo)
    served = await start(application)
    data = CHUNKED + b'2;a=b;c="d;\\"e" ; f\r\nbo\r\n2 ; g = h\r\ndy\r\n0;last\r\nHost: other\r\nX-Late: yes\r\n\r\n'
    async with await served.client() as client:
        assert (await client.ask(data)).body == b"body"
        assert (await client.ask(get())).status == 200
    assert application.requests[0].headers["Host"] == "test"
    assert "X-Late" not in application.requests[0].headers


@pytest.mark.parametrize("host", ["test", "TEST:80", "127.0.0.1:", "[::1]:8000", "a-b_c.d%20", ""])
async def test_hosts_that_are_hosts_are_accepted(start: Start, host: str) -> None:
    served = await start(Direct(hello))
    assert (await served.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())).status == 200


async def test_heads_at_the_limits_are_accepted(start: Start) -> None:
    served = await start(Direct(hello), max_line_size=1000, max_header_size=2000, max_header_count=3)
    line = b"GET /" + b"x" * (1000 - len("GET / HTTP/1.1")) + b" HTTP/1.1\r\n"
    fields = b"Host: test\r\nA: b\r\nC: "
    room = 2000 - len(line) - len(fields) - 4
    assert (await served.ask(line + fields + b"d" * room + b"\r\n\r\n")).status == 200
    check_refusal(await served.all(line + fields + b"d" * (room + 1) + b"\r\n\r\n"), 431)
    check_refusal(await served.all(line.replace(b"/", b"/x", 1) + b"Host: test\r\n\r\n"), 414)
    check_refusal(await served.all(line + b"Host: test\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"), 431)
