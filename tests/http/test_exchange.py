"""What an answer may say, and what breaks it off."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tornado.httputil import HTTPHeaders, HTTPOutputError, ResponseStartLine

from tests.http.conftest import Start
from tests.http.wire import Direct, get
from tests.polling import until_still
from torngas_aio.http.exchange import HTTPExchange
from torngas_aio.http.request import Request


def head(status: int = 200) -> ResponseStartLine:
    return ResponseStartLine("HTTP/1.1", status, "OK")


async def outcome_of(
    start: Start, serve: Callable[[HTTPExchange], Awaitable[None]]
) -> tuple[list[BaseException], bytes]:
    """What *serve* raised, and what its client got until the connection closed."""
    raised: list[BaseException] = []

    async def run(request: Request, exchange: HTTPExchange) -> None:
        try:
            await serve(exchange)
        except (ValueError, HTTPOutputError, RuntimeError) as exc:
            raised.append(exc)
            if not exchange.is_finished:
                exchange.refuse(500, "broken")

    served = await start(Direct(run))
    return raised, await served.all(get("/", "Connection: close"))


@pytest.mark.parametrize(("promised", "given"), [("5", b"123456"), ("6", b"12345"), ("-1", b"1"), ("1_0", b"1" * 10)])
async def test_a_whole_answer_keeps_its_length(start: Start, promised: str, given: bytes) -> None:
    async def serve(exchange: HTTPExchange) -> None:
        exchange.respond(200, "OK", [("Content-Length", promised)], given, is_head=False)

    raised, data = await outcome_of(start, serve)
    assert isinstance(raised[0], HTTPOutputError)
    assert data.startswith(b"HTTP/1.1 500 ")  # nothing had left: another answer was still possible


@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_where_there_is_none_is_an_error(start: Start, status: int) -> None:
    async def whole(exchange: HTTPExchange) -> None:
        exchange.respond(status, "None", [], b"body", is_head=False)

    raised, data = await outcome_of(start, whole)
    assert isinstance(raised[0], HTTPOutputError)
    assert data.startswith(b"HTTP/1.1 500 ")

    async def parts(exchange: HTTPExchange) -> None:
        exchange.write_headers(head(status), HTTPHeaders(), b"body")

    raised, data = await outcome_of(start, parts)
    assert isinstance(raised[0], HTTPOutputError)


async def test_a_finished_exchange_touches_no_later_one(start: Start) -> None:
    kept: list[HTTPExchange] = []

    async def serve(request: Request, exchange: HTTPExchange) -> None:
        kept.append(exchange)
        exchange.respond(200, "OK", [], request.path.encode(), is_head=False)

    served = await start(Direct(serve))
    async with await served.client() as client:
        assert (await client.ask(get("/1"))).body == b"/1"
        for late in (
            lambda: kept[0].respond(200, "OK", [], b"late", is_head=False),
            lambda: kept[0].write_headers(head(), HTTPHeaders()),
            lambda: kept[0].write(b"late"),
            kept[0].finish,
            kept[0].detach,
        ):
            with pytest.raises(RuntimeError):
                late()
        kept[0].abort()
        assert (await client.ask(get("/2"))).body == b"/2"


async def test_informational_answers_come_before_the_answer(start: Start) -> None:
    async def serve(request: Request, exchange: HTTPExchange) -> None:
        exchange.write_headers(ResponseStartLine("HTTP/1.1", 103, "Early Hints"), HTTPHeaders({"Link": "</a>"}))
        exchange.respond(200, "OK", [], b"body", is_head=False)

    served = await start(Direct(serve))
    async with await served.client() as client:
        first = await client.ask(get())
        assert (first.status, first.headers["link"]) == (103, "</a>")
        assert (await client.answer()).body == b"body"
        old = await client.ask(get(version="1.0"))
        assert old.status == 200


async def test_headers_that_are_given_are_not_added(start: Start) -> None:
    async def serve(request: Request, exchange: HTTPExchange) -> None:
        exchange.respond(200, "OK", [("Server", "mine"), ("Date", "today")], b"", is_head=False)

    served = await start(Direct(serve))
    answer = await served.ask(get())
    assert (answer.headers["server"], answer.headers["date"]) == ("mine", "today")


async def test_a_slow_reader_does_not_make_the_server_buffer(start: Start) -> None:
    progress = 0

    async def serve(request: Request, exchange: HTTPExchange) -> None:
        nonlocal progress
        exchange.write_headers(head(), HTTPHeaders())
        for _ in range(1000):
            await exchange.write(b"x" * 65_536)
            progress += 1
        exchange.finish()

    served = await start(Direct(serve))
    async with await served.client() as client:
        client.reader._limit = 1024  # type: ignore[attr-defined]  # read no further than this
        client.send(get("/", "Connection: close"))
        assert 0 < await until_still(lambda: progress) < 900
        got = 0
        while data := await client.reader.read(1 << 20):
            got += len(data)
        assert got > 1000 * 65_536


def recorded_writes(exchange: HTTPExchange) -> list[bytes]:
    """Have every write to the transport recorded."""
    protocol = exchange._protocol
    writes: list[bytes] = []
    write = protocol.write

    def record(data: bytes) -> None:
        writes.append(data)
        write(data)

    protocol.write = record
    return writes


PARTS = [b"%d;" % number for number in range(100)]


async def test_the_parts_of_one_turn_leave_together(start: Start) -> None:
    seen: list[list[bytes]] = []

    async def serve(exchange: HTTPExchange) -> None:
        exchange.write_headers(head(), HTTPHeaders())
        writes = recorded_writes(exchange)
        for part in PARTS:
            await exchange.write(part)
        seen.append(writes.copy())  # the first waits for nothing
        await asyncio.sleep(0)
        seen.append(writes[1:])  # the others neither for more parts nor for the end
        await asyncio.sleep(0)
        await exchange.write(b"next")
        seen.append(writes[2:])
        exchange.finish()

    raised, data = await outcome_of(start, serve)
    assert not raised
    others = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in PARTS[1:])
    assert seen == [[b"2\r\n0;\r\n"], [others], [b"4\r\nnext\r\n"]]
    assert data.endswith(b"\r\n4\r\nnext\r\n0\r\n\r\n")


@pytest.mark.parametrize("size", [1, 1000, 16 * 1024, 16 * 1024 + 1, 200_000])
async def test_parts_keep_their_order_whatever_their_size(start: Start, size: int) -> None:
    parts = [b"a", b"b" * size, b"c", b"d" * size, b"e"] * 5

    async def serve(exchange: HTTPExchange) -> None:
        headers = HTTPHeaders({"Content-Length": str(sum(map(len, parts)))})
        exchange.write_headers(head(), headers)
        for part in parts:
            await exchange.write(part)
            assert len(exchange._gathered or b"") <= 16 * 1024
        exchange.finish()

    raised, data = await outcome_of(start, serve)
    assert not raised
    assert data.partition(b"\r\n\r\n")[2] == b"".join(parts)


@pytest.mark.parametrize("ends", ["abort", "raise", "too_long", "detach"])
async def test_parts_that_were_written_leave_however_the_answer_ends(start: Start, ends: str) -> None:
    async def serve(exchange: HTTPExchange) -> None:
        exchange.write_headers(head(), HTTPHeaders({"Content-Length": "1000"}))
        for part in PARTS[:10]:
            await exchange.write(part)
        if ends == "abort":
            exchange.abort()
        elif ends == "raise":
            raise RuntimeError
        elif ends == "too_long":
            exchange.write(b"x" * 1000)
        else:
            stream = exchange.detach()
            await stream.write(b"detached")
            stream.close()

    _, data = await outcome_of(start, serve)
    assert data.partition(b"\r\n\r\n")[2] == b"".join(PARTS[:10]) + (b"detached" if ends == "detach" else b"")


async def test_the_answer_to_a_later_request_comes_after_gathered_parts(start: Start) -> None:
    async def serve(request: Request, exchange: HTTPExchange) -> None:
        if request.path == "/last":
            exchange.respond(200, "OK", [], b"last", is_head=False)
            return
        exchange.write_headers(head(), HTTPHeaders({"Content-Length": "6"}))
        for part in PARTS[:3]:
            await exchange.write(part)
        exchange.finish()

    served = await start(Direct(serve))
    data = await served.all(get("/") + get("/last", "Connection: close"))
    assert b"\r\n\r\n0;1;2;HTTP/1.1 200 OK" in data
    assert data.endswith(b"last")
