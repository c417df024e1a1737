"""Requests in order on one connection, on the direct adapter."""

import asyncio
from contextvars import ContextVar

import pytest

from tests.http.conftest import Start
from tests.http.wire import Direct, get
from torngas_aio.http.base import Exchange
from torngas_aio.http.request import Request


async def hello(request: Request, exchange: Exchange) -> None:
    exchange.respond(200, "OK", [("Content-Type", "text/plain")], b"Hello!", request.method == "HEAD")


async def echo(request: Request, exchange: Exchange) -> None:
    body = await exchange.body.read_all()
    exchange.respond(200, "OK", [("X-Path", request.path)], body, is_head=False)


def post(body: bytes, path: str = "/", *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


async def test_a_request_is_answered_in_full(start: Start) -> None:
    served = await start(Direct(hello))
    answer = await served.ask(get())
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"Hello!")
    assert answer.headers["content-length"] == "6"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["server"] == "torngas_aio"
    assert answer.headers["date"].endswith(" GMT")
    assert "connection" not in answer.headers


async def test_a_connection_is_kept_for_the_next_request(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        for _ in range(3):
            assert (await client.ask(get())).body == b"Hello!"
        assert len(served.server.server_state.connections) == 1


async def test_pipelined_requests_are_answered_in_their_order(start: Start) -> None:
    gate = asyncio.Event()

    async def slow_first(request: Request, exchange: Exchange) -> None:
        if request.path == "/0":
            await gate.wait()
        exchange.respond(200, "OK", [], request.path.encode(), is_head=False)

    application = Direct(slow_first)
    served = await start(application)
    async with await served.client() as client:
        client.send(b"".join(get(f"/{number}") for number in range(10)))
        while not application.requests:
            await asyncio.sleep(0)
        gate.set()
        assert [(await client.answer()).body for _ in range(10)] == [b"/%d" % number for number in range(10)]


async def test_bodies_between_pipelined_requests_go_to_their_own_request(start: Start) -> None:
    served = await start(Direct(echo))
    async with await served.client() as client:
        client.send(post(b"one", "/1") + chunked(b"tw", b"o") + get("/3") + post(b"", "/4") + post(b"five", "/5"))
        bodies = [(await client.answer()).body for _ in range(5)]
    assert bodies == [b"one", b"two", b"", b"", b"five"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_how_the_bytes_are_split_makes_no_difference(start: Start, cut: int) -> None:
    served = await start(Direct(echo))
    async with await served.client() as client:
        data = chunked(b"abc", b"d" * 40) + get("/2") + post(b"x" * 30)
        for position in range(0, len(data), cut):
            client.send(data[position : position + cut])
            await asyncio.sleep(0)
        assert [(await client.answer()).body for _ in range(3)] == [b"abc" + b"d" * 40, b"", b"x" * 30]


async def test_empty_lines_before_a_request_are_skipped(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        assert (await client.ask(b"\r\n\r\n" + get())).status == 200
        client.send(b"\r")
        await asyncio.sleep(0.01)
        assert (await client.ask(b"\n" + get())).status == 200


@pytest.mark.parametrize("line", ["Connection: close", "connection: foo, Close", "Connection: keep-alive, close"])
async def test_connection_close_closes_after_the_answer(start: Start, line: str) -> None:
    served = await start(Direct(hello))
    data = await served.all(get("/", line) + get())
    assert data.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close\r\n" in data


async def test_an_old_client_is_answered_and_left(start: Start) -> None:
    served = await start(Direct(hello))
    data = await served.all(b"GET / HTTP/1.0\r\n\r\n")
    assert data.endswith(b"\r\n\r\nHello!")


async def test_an_old_client_may_ask_to_be_kept(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        for _ in range(2):
            answer = await client.ask(get("/", "Connection: Keep-Alive", version="1.0"))
            assert answer.headers["connection"].lower() == "keep-alive"


async def test_head_gets_the_headers_of_get_and_no_body(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        answer = await client.ask(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", "HEAD")
        assert answer.headers["content-length"] == "6"
        assert (await client.ask(get())).body == b"Hello!"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_no_length_either(start: Start, status: int) -> None:
    async def serve(request: Request, exchange: Exchange) -> None:
        exchange.respond(status, "None", [], b"", is_head=False)

    served = await start(Direct(serve))
    async with await served.client() as client:
        for _ in range(2):
            answer = await client.ask(get())
            assert answer.status == status
            assert "content-length" not in answer.headers


async def test_no_keep_alive_closes_after_each_request(start: Start) -> None:
    served = await start(Direct(hello), no_keep_alive=True)
    assert (await served.all(get() + get())).count(b"Hello!") == 1


async def test_a_connection_serves_as_many_requests_as_it_may(start: Start) -> None:
    served = await start(Direct(hello), max_keep_alive_requests=3)
    data = await served.all(get() * 5)
    assert data.count(b"Hello!") == 3
    assert data.count(b"Connection: close") == 1


async def test_the_client_is_told_to_send_the_body_when_it_is_wanted(start: Start) -> None:
    served = await start(Direct(echo))
    async with await served.client() as client:
        head = post(b"", "/", "Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: 4")
        assert (await client.ask(head)).status == 100
        assert (await client.ask(b"body")).body == b"body"


async def test_a_body_that_is_not_wanted_is_not_asked_for(start: Start) -> None:
    served = await start(Direct(hello))
    data = await served.all(post(b"", "/", "Expect: 100-continue").replace(b"Length: 0", b"Length: 4"))
    assert b"100 Continue" not in data
    assert b"Connection: close" in data


async def test_a_client_that_does_not_wait_is_not_told(start: Start) -> None:
    served = await start(Direct(echo))
    assert b" 100 " not in (await served.ask(post(b"body", "/", "Expect: 100-continue"))).raw


async def test_a_small_body_that_nobody_read_is_dropped_and_the_connection_kept(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        assert (await client.ask(post(b"x" * 20_000))).body == b"Hello!"
        first = post(b"y" * 30_000)
        assert (await client.ask(first[:-10_000])).body == b"Hello!"
        assert (await client.ask(first[-10_000:] + get())).body == b"Hello!"


async def test_a_large_body_that_nobody_read_ends_the_connection(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n"
        answer = await client.ask(head + b"x" * 1000)
        assert answer.headers["connection"] == "close"
        client.send(b"x" * 100_000)  # still taken, so that the answer is not lost to a reset
        assert await client.rest() == b""


async def test_the_body_may_be_read_in_parts(start: Start) -> None:
    sizes: list[int] = []

    async def count(request: Request, exchange: Exchange) -> None:
        while chunk := await exchange.body.read_chunk():
            sizes.append(len(chunk))
        exchange.respond(200, "OK", [], b"%d" % sum(sizes), is_head=False)

    served = await start(Direct(count), chunk_size=1000)
    assert (await served.ask(post(b"x" * 123_456))).body == b"123456"
    assert max(sizes) <= 1000


async def test_each_request_has_its_own_copy_of_the_servers_context(start: Start) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    variable.set("server")
    seen: list[str] = []

    async def look(request: Request, exchange: Exchange) -> None:
        seen.append(variable.get())
        variable.set(request.path)
        await exchange.body.read_all()
        await asyncio.sleep(0)
        seen.append(variable.get())
        exchange.respond(200, "OK", [], b"", is_head=False)

    served = await start(Direct(look))
    variable.set("after")
    async with await served.client() as client:
        await client.ask(get("/1"))
        client.send(get("/2") + post(b"x" * 200_000, "/3") + get("/4"))
        for _ in range(3):
            await client.answer()
    assert seen[::2] == ["server"] * 4
    assert seen[1::2] == ["/1", "/2", "/3", "/4"]


async def test_an_application_that_raises_is_answered_for(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request, exchange: Exchange) -> None:
        raise LookupError("broken")

    served = await start(Direct(fail))
    data = await served.all(get())
    assert data.startswith(b"HTTP/1.1 500 ")
    assert "broken" in caplog.text
    assert b"broken" not in data


async def test_a_method_that_the_parser_does_not_know_reaches_the_application(start: Start) -> None:
    application = Direct(hello)
    served = await start(application)
    assert (await served.ask(b"BREW /pot HTTP/1.1\r\nHost: test\r\n\r\n")).status == 200
    assert application.requests[0].method == "BREW"


async def test_a_target_may_be_a_whole_url_or_an_asterisk(start: Start) -> None:
    application = Direct(hello)
    served = await start(application)
    async with await served.client() as client:
        await client.ask(b"GET http://TEST/a?b=c HTTP/1.1\r\nHost: test\r\n\r\n")
        await client.ask(b"GET http://test?b=c HTTP/1.1\r\nHost: test\r\n\r\n")
        await client.ask(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
    assert [request.uri for request in application.requests] == ["/a?b=c", "/?b=c", "*"]
