"""Slow peers are cut off; those who are merely patient are not."""

import asyncio
import socket
from typing import Any

import pytest

from tests.http.conftest import Start
from tests.http.test_protocol import chunked, hello, post
from tests.http.test_refusals import check_refusal, obey
from tests.http.wire import Client, Direct, Served, get
from tests.polling import until
from torngas_aio.http.base import Exchange
from torngas_aio.http.request import Request

SHORT = 0.2
QUICK: dict[str, Any] = {
    "header_timeout": SHORT,
    "idle_connection_timeout": SHORT,
    "body_rate_timeout": SHORT,
    "write_timeout": SHORT,
}


async def trickle(client: Client, data: bytes, *, step: int = 1, pause: float = 0.02) -> None:
    """Send *data* a few bytes at a time until it is all sent or the server has had enough."""
    for at in range(0, len(data), step):
        if client.reader.at_eof() or client.writer.is_closing():
            return
        client.send(data[at : at + step])
        await asyncio.sleep(pause)


async def test_a_header_that_trickles_is_408(start: Start) -> None:
    served = await start(Direct(hello), **QUICK)
    async with await served.client() as client:
        trickling = asyncio.create_task(trickle(client, get("/", "X: " + "y" * 1000)))
        check_refusal(await client.rest(), 408)
        await trickling
    assert served.server.server_state.refused == {408: 1}


async def test_a_second_header_that_trickles_is_408(start: Start) -> None:
    served = await start(Direct(hello), **{**QUICK, "idle_connection_timeout": 10})
    async with await served.client() as client:
        assert (await client.ask(get())).status == 200
        trickling = asyncio.create_task(trickle(client, get("/", "X: " + "y" * 1000)))
        check_refusal(await client.rest(), 408)
        await trickling


async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(start: Start) -> None:
    served = await start(Direct(hello), **QUICK)
    assert await served.all() == b""


async def test_empty_lines_do_not_keep_a_connection_open(start: Start) -> None:
    served = await start(Direct(hello), **QUICK)
    async with await served.client() as client:
        trickling = asyncio.create_task(trickle(client, b"\r\n" * 500))
        assert await client.rest() == b""
        await trickling


async def test_an_idle_connection_is_closed_after_its_last_answer(start: Start) -> None:
    served = await start(Direct(hello), **{**QUICK, "header_timeout": 10})
    async with await served.client() as client:
        assert (await client.ask(get())).status == 200
        assert await client.rest() == b""


async def test_a_client_whose_body_nobody_reads_has_all_the_time(start: Start) -> None:
    gate = asyncio.Event()

    async def late(request: Request, exchange: Exchange) -> None:
        await gate.wait()
        await obey(request, exchange)

    served = await start(Direct(late), **QUICK)
    async with await served.client() as client:
        client.send(post(b"x" * 1_000_000))
        asyncio.get_running_loop().call_later(3 * SHORT, gate.set)
        assert len((await client.answer()).body) == 1_000_000


async def test_a_client_that_waits_for_100_has_all_the_time(start: Start) -> None:
    async def late(request: Request, exchange: Exchange) -> None:
        await asyncio.sleep(3 * SHORT)
        await obey(request, exchange)

    served = await start(Direct(late), **QUICK)
    async with await served.client() as client:
        assert (await client.ask(post(b"", "/", "Expect: 100-continue").replace(b": 0", b": 4"))).status == 100
        assert (await client.ask(b"body")).body == b"body"


async def test_a_handler_may_take_its_time(start: Start) -> None:
    async def late(request: Request, exchange: Exchange) -> None:
        await asyncio.sleep(3 * SHORT)
        exchange.respond(200, "OK", [], b"late", is_head=False)

    served = await start(Direct(late), **QUICK)
    assert (await served.ask(get())).body == b"late"


async def test_an_unread_body_that_never_ends_ends_the_connection(start: Start) -> None:
    served = await start(Direct(hello), **QUICK)
    data = await served.all(post(b"x" * 1000)[:-1])
    assert data.count(b"Hello!") == 1


def deaf_socket(served: Served) -> socket.socket:
    """A client that takes little and reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(served.address)
    return sock


async def closed(served: Served) -> None:
    """Return when the server has had a connection and has none left."""
    while not served.server.server_state.connections:
        await asyncio.sleep(0)
    await until(lambda: not served.server.server_state.connections)


async def test_a_client_that_never_reads_a_large_answer_is_cut_off(start: Start) -> None:
    async def large(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, "OK", [], b"x" * 30_000_000, is_head=False)

    served = await start(Direct(large), **{**QUICK, "idle_connection_timeout": 60})
    with deaf_socket(served) as sock:
        sock.sendall(get())
        await closed(served)


async def test_a_client_that_pipelines_and_never_reads_is_cut_off(start: Start) -> None:
    async def medium(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, "OK", [], b"x" * 60_000, is_head=False)

    application = Direct(medium)
    served = await start(application, **{**QUICK, "idle_connection_timeout": 60})
    with deaf_socket(served) as sock:
        sock.sendall(get() * 1000)
        await closed(served)
    assert len(application.requests) < 500  # it was not served further than it read


async def test_a_stream_to_a_client_that_never_reads_fails(start: Start) -> None:
    outcome: list[str] = []

    async def stream(request: Request, exchange: Any) -> None:
        from tornado.httputil import HTTPHeaders, ResponseStartLine
        from tornado.iostream import StreamClosedError

        exchange.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), HTTPHeaders())
        try:
            for _ in range(10_000):
                await exchange.write(b"x" * 10_000)
        except StreamClosedError:
            outcome.append("closed")

    served = await start(Direct(stream), **QUICK)
    with deaf_socket(served) as sock:
        sock.sendall(get())
        await closed(served)
    while not outcome:
        await asyncio.sleep(0)
    assert outcome == ["closed"]


async def test_a_client_that_reads_slowly_but_steadily_is_served(start: Start) -> None:
    size = 8_000_000

    async def large(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, "OK", [], b"x" * size, is_head=False)

    served = await start(Direct(large), **QUICK)
    loop = asyncio.get_running_loop()
    with deaf_socket(served) as sock:
        sock.setblocking(False)
        await loop.sock_sendall(sock, get("/", "Connection: close"))
        got = 0
        while data := await loop.sock_recv(sock, 400_000):
            got += len(data)
            await asyncio.sleep(0.001)
    assert got > size


@pytest.mark.parametrize("option", ["header_timeout", "idle_connection_timeout", "body_rate_timeout", "write_timeout"])
async def test_a_deadline_of_zero_is_none(start: Start, option: str) -> None:
    served = await start(Direct(hello), **{**QUICK, option: 0})
    assert (await served.ask(get())).status == 200


async def attackers(served: Served, count: int) -> list[asyncio.Task[bytes]]:
    """Clients of every slow kind."""

    async def attack(kind: int) -> bytes:
        async with await served.client() as client:
            first, rest = [
                (b"", get("/", "X: " + "y" * 3000)),
                (post(b"x" * 3000)[:-3000], b"x" * 3000),
                (chunked()[:-5], b"1\r\nx\r\n" * 1000),
                (b"", b""),
            ][kind]
            client.send(first)
            sending = asyncio.create_task(trickle(client, rest, pause=0.05))
            try:
                return await client.rest()
            finally:
                sending.cancel()

    return [asyncio.create_task(attack(number % 4)) for number in range(count)]


async def check_good_clients(served: Served, until: asyncio.Event) -> int:
    answers = 0
    async with await served.client() as client:
        while not until.is_set():
            assert (await client.ask(get())).status == 200
            answers += 1
            await asyncio.sleep(0.01)
    return answers


async def test_many_slow_clients_are_cut_off_while_a_good_one_is_served(start: Start) -> None:
    served = await start(Direct(obey), **QUICK)
    is_over = asyncio.Event()
    good = asyncio.create_task(check_good_clients(served, is_over))
    answers = await asyncio.gather(*await attackers(served, 40))
    is_over.set()
    assert await good > 5
    assert sum(answer.startswith(b"HTTP/1.1 408 ") for answer in answers) == 30
    assert sum(answer == b"" for answer in answers) == 10


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_two_hundred_slow_clients_are_cut_off_within_fifteen_seconds(start: Start) -> None:
    served = await start(Direct(obey))
    is_over = asyncio.Event()
    good = asyncio.create_task(check_good_clients(served, is_over))
    deaf = [deaf_socket(served) for _ in range(10)]
    try:
        for sock in deaf:
            sock.sendall(post(b"x" * 2_000_000, "/", "Expect: 100-continue").partition(b"\r\n\r\n")[0][:50])
        async with asyncio.timeout(15):
            await asyncio.gather(*await attackers(served, 200))
            await until(lambda: len(served.server.server_state.connections) <= 1)
    finally:
        is_over.set()
        for sock in deaf:
            sock.close()
    assert await good > 20
