"""Sockets of every kind, and ends of every kind."""

import asyncio
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from tornado.netutil import bind_sockets, bind_unix_socket

from tests.http.conftest import Start
from tests.http.test_protocol import hello, post
from tests.http.wire import Client, Direct, Served, get
from tests.polling import until
from torngas_aio.http.base import Exchange
from torngas_aio.http.request import Request
from torngas_aio.http.server import HTTPServer


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("form", ["context", "keywords"])
async def test_tls(start: Start, authority: trustme.CA, form: str, tmp_path: Path) -> None:
    certificate = authority.issue_cert("localhost")
    options: Any = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if form == "context":
        certificate.configure_cert(options)
    else:
        certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
        options = {"certfile": str(tmp_path / "both.pem")}
    application = Direct(hello)
    served = await start(application, ssl_options=options)
    async with await served.client(client_tls(authority)) as client:
        assert (await client.ask(get())).body == b"Hello!"
        assert (await client.ask(get("/", "Connection: close"))).body == b"Hello!"
        assert await client.rest() == b""
    assert application.requests[0].protocol == "https"


async def test_a_clients_certificate_can_be_seen(start: Start, authority: trustme.CA) -> None:
    async def who(request: Request, exchange: Exchange) -> None:
        certificate = request.get_ssl_certificate()
        exchange.respond(200, "OK", [], str(certificate).encode(), is_head=False)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    served = await start(Direct(who), ssl_options=context)
    mine = client_tls(authority)
    authority.issue_cert("ada@example.org").configure_cert(mine)
    async with await served.client(mine) as client:
        assert b"ada@example.org" in (await client.ask(get())).body


async def test_a_handshake_that_never_comes_is_cut_off(start: Start, authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    served = await start(Direct(hello), ssl_options=context, header_timeout=0.2)
    assert await served.all(b"\x16\x03\x01") == b""


async def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    application = Direct(hello)
    served = await start(application)
    path = str(tmp_path / "socket")
    served.server.add_socket(await asyncio.to_thread(bind_unix_socket, path))
    await served.server.started()
    async with await Client.connect(path) as client:
        assert (await client.ask(get())).body == b"Hello!"
    assert application.requests[0].remote_ip == "0.0.0.0"


async def test_bind_then_start() -> None:
    server = HTTPServer(Direct(hello))
    with pytest.raises(RuntimeError, match="no sockets yet"):
        _ = server.server_state
    server.bind(0, "127.0.0.1")
    server.start()
    await server.started()
    (listener,) = server._listeners
    served = Served(server, listener.socket.getsockname())
    assert (await served.ask(get())).body == b"Hello!"
    await server.stop_gracefully(1)


async def test_what_was_bound_and_not_started_is_closed() -> None:
    server = HTTPServer(Direct(hello))
    server.bind(0, "127.0.0.1")
    server.stop()
    await server.close_all_connections()
    assert await server.stop_gracefully(1)


async def test_a_server_may_be_stopped_before_it_has_begun() -> None:
    server = HTTPServer(Direct(hello))
    (sock,) = server.listen(0, "127.0.0.1")
    server.stop()
    assert sock.fileno() == -1
    assert await server.stop_gracefully(1)


def test_listening_before_the_loop_runs(tmp_path: Path) -> None:
    """As Tornado's programs do: `listen()`, then `IOLoop.current().start()`."""
    program = """
import asyncio, sys
from tornado.ioloop import IOLoop
from tests.http.test_protocol import hello
from tests.http.wire import Client, Direct, get
from torngas_aio.http.server import HTTPServer

server = HTTPServer(Direct(hello))
(sock,) = server.listen(0, "127.0.0.1")
server.listen_unix(sys.argv[1])

async def ask():
    for address in sock.getsockname(), sys.argv[1]:
        async with await Client.connect(address) as client:
            print((await client.ask(get())).body.decode())
    await server.stop_gracefully(1)
    IOLoop.current().stop()

IOLoop.current().add_callback(ask)
IOLoop.current().start()
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "socket")],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.stdout == "Hello!\nHello!\n", done.stderr


async def test_what_cannot_be_served_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be served"):
        HTTPServer(3)


async def test_every_option_of_tornado_is_taken() -> None:
    server = HTTPServer(
        Direct(hello), no_keep_alive=True, xheaders=True, ssl_options=None, protocol="https", decompress_request=True,
        chunk_size=1000, max_header_size=2000, idle_connection_timeout=3, body_timeout=4, max_body_size=5000,
        max_buffer_size=6000, trusted_downstream=["10.0.0.1"],
    )  # fmt: skip
    limits = server.limits
    assert (limits.chunk_size, limits.max_header_size, limits.max_body_size) == (1000, 2000, 5000)
    assert (limits.idle_connection_timeout, limits.body_timeout) == (3, 4)
    assert HTTPServer(Direct(hello), max_buffer_size=6000).limits.max_body_size == 6000


async def test_the_scheme_may_be_told(start: Start) -> None:
    application = Direct(hello)
    served = await start(application, protocol="https")
    await served.ask(get())
    assert application.requests[0].protocol == "https"


# Ends


class Slow(Direct):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.gate = asyncio.Event()

    async def answer(self, request: Request, exchange: Exchange) -> None:
        body = await exchange.body.read_all()
        await self.gate.wait()
        exchange.respond(200, "OK", [], request.path.encode() + body, is_head=False)

    async def asked(self, times: int = 1) -> None:
        while len(self.requests) < times:
            await asyncio.sleep(0)


async def test_an_orderly_end_answers_what_was_received(start: Start) -> None:
    application = Slow()
    served = await start(application)
    async with await served.client() as busy, await served.client() as piped, await served.client() as sending:
        busy.send(get("/busy"))
        piped.send(get("/1") + get("/2"))
        sending.send(post(b"body", "/sending")[:-2])
        await application.asked(3)
        stopping = asyncio.create_task(served.server.stop_gracefully(5))
        await until(lambda: served.server.server_state.is_stopping)
        sending.send(b"dy")
        application.gate.set()
        answer = await busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"/busy", "close")
        first, second = await piped.answer(), await piped.answer()
        assert "connection" not in first.headers
        assert (second.body, second.headers["connection"]) == (b"/2", "close")
        assert (await sending.answer()).body == b"/sendingbody"
        assert await stopping
    with pytest.raises(ConnectionRefusedError):
        await served.client()


async def test_an_orderly_end_closes_idle_connections(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        await client.ask(get())
        stopping = asyncio.create_task(served.server.stop_gracefully(5))
        assert await client.rest() == b""
        assert await stopping


async def test_a_client_that_had_connected_is_answered(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client, await served.client() as used:
        assert (await used.ask(get())).status == 200
        stopping = asyncio.create_task(served.server.stop_gracefully(5))
        await until(lambda: served.server.server_state.is_stopping)
        for late in (client, used):
            answer = await late.ask(get())
            assert (answer.body, answer.headers["connection"]) == (b"Hello!", "close")
        assert await stopping


async def test_connections_that_were_not_accepted_yet_are_served() -> None:
    server = HTTPServer(Direct(hello))
    (sock,) = bind_sockets(0, "127.0.0.1", backlog=16)
    clients = [socket.create_connection(sock.getsockname()) for _ in range(5)]
    for client in clients:
        client.sendall(get())
    server.add_socket(sock)
    assert await server.stop_gracefully(5)
    for client in clients:
        with client:
            assert b"Hello!" in client.recv(1000)


async def test_what_does_not_end_in_time_is_cancelled(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    outcome: list[str] = []

    async def stuck(request: Request, exchange: Exchange) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    served = await start(Direct(stuck))
    async with await served.client() as client:
        client.send(get())
        while not served.server.server_state.running:
            await asyncio.sleep(0)
        assert not await served.server.stop_gracefully(0.1)
        assert await client.rest() == b""
    assert outcome == ["cancelled"]
    assert "1 requests and 1 connections did not end" in caplog.text


async def test_a_task_that_outlives_its_answer_is_waited_for(start: Start) -> None:
    may_end, outcome = asyncio.Event(), list[str]()

    async def serve(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, "OK", [], b"", is_head=False)
        await may_end.wait()
        outcome.append("done")

    served = await start(Direct(serve))
    async with await served.client() as client:
        assert (await client.ask(get("/", "Connection: close"))).status == 200
        stopping = asyncio.create_task(served.server.stop_gracefully(30))
        await until(lambda: served.server.server_state.is_stopping)
        may_end.set()
        assert await stopping
    assert outcome == ["done"]


async def test_the_end_may_be_cancelled(start: Start) -> None:
    application = Slow()
    served = await start(application)
    async with await served.client() as client:
        client.send(get())
        await application.asked()
        stopping = asyncio.create_task(served.server.stop_gracefully(60))
        await until(lambda: served.server.server_state.is_stopping)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert not served.server.server_state.running
        assert await client.rest() == b""
