"""A rejected body stays rejected: reading it again raises the same error, and reads nothing more."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import tornado.httpserver
from tornado.netutil import bind_sockets
from tornado.web import stream_request_body

from tests.contracts.front_doors.conftest import ASGI, HTTPServerOf, Uvicorn
from tests.http.wire import Client
from torngas_aio import Application, WebHandler
from torngas_aio.http.base import BodyError
from torngas_aio.http.server import HTTPServer

Connect = Callable[..., Awaitable[Client]]


@stream_request_body
class Again(WebHandler):
    async def prepare(self) -> None:  # before the body is read
        connection: Any = self.request.connection
        outcomes: list[Any] = []
        for how in self.get_argument("how").split():
            if how == "raise":
                connection.set_max_body_size(10_000)
                continue
            try:
                read = b"".join([chunk async for chunk in _parts(connection.body, how)])
                outcomes.append(len(read))
            except BodyError as exc:
                outcomes.append(exc.status)
        for _ in range(10):  # iterations of the event loop in which a server would read the rest
            await asyncio.sleep(0)
        self.finish(json.dumps(outcomes))


async def _parts(body: Any, how: str) -> AsyncIterator[bytes]:
    if how == "read_all":
        yield await body.read_all()
    else:
        while chunk := await body.read_chunk():
            yield chunk


@pytest.fixture(params=["ours", "tornado's", ASGI])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Return a function that starts a server with the given options and returns its client."""
    opened: list[Any] = []

    async def start(**options: Any) -> Client:
        application = Application([(r"/", Again)])
        kinds: dict[str, Any] = {"ours": HTTPServer, "tornado's": tornado.httpserver.HTTPServer}
        kind = kinds.get(request.param)
        server: Any = Uvicorn(application, options) if kind is None else HTTPServerOf(kind, application, options)
        sockets = bind_sockets(0, "127.0.0.1")
        await server.start(sockets)
        opened.append(server)
        return await Client.connect(sockets[0].getsockname())

    yield start
    for server in opened:
        await server.stop()


def post(how: str, *lines: str) -> bytes:
    head = [f"POST /?how={how.replace(' ', '+')} HTTP/1.1", "Host: test", *lines, "", ""]
    return "\r\n".join(head).encode()


ORDERS = [
    "read_all read_all",
    "read_all read_chunk",
    "read_chunk read_all",
    "read_chunk read_chunk",
    "read_all raise read_all",
    "read_chunk raise read_chunk",
]


@pytest.mark.parametrize("how", ORDERS)
@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 1001", "Expect: 100-continue"], b""),
        (["Content-Length: 1001"], b"x" * 500),
        (["Content-Length: 1001"], b"x" * 1001),
        (["Transfer-Encoding: chunked"], b"259\r\n" + b"x" * 601 + b"\r\n" + b"259\r\n" + b"x" * 601 + b"\r\n"),
        (["Transfer-Encoding: chunked"], b"4b2\r\n" + b"x" * 1202 + b"\r\n0\r\n\r\n"),
    ],
    ids=["expected", "announced", "sent", "chunks", "one chunk"],
)
async def test_a_body_that_is_too_large(connect: Connect, how: str, lines: list[str], body: bytes) -> None:
    async with await connect(max_body_size=1000) as client:
        answer = await client.ask(post(how, *lines) + body)
        assert (answer.status, answer.headers["connection"]) == (200, "close")  # no 100: nothing was read
        assert json.loads(answer.body) == [413, 413]


@pytest.mark.parametrize("how", ORDERS)
@pytest.mark.parametrize("body", [gzip.compress(b"x" * 100)[:-4], b"not packed", gzip.compress(b"") * 20], ids=len)
async def test_a_body_that_is_broken(request: pytest.FixtureRequest, connect: Connect, how: str, body: bytes) -> None:
    if ASGI in request.node.name:
        pytest.skip("ASGI servers do not decompress bodies")
    async with await connect(decompress_request=True) as client:
        answer = await client.ask(post(how, f"Content-Length: {len(body)}", "Content-Encoding: gzip") + body)
        assert answer.status == 200
        assert json.loads(answer.body) == [400, 400]


@pytest.mark.parametrize("how", ORDERS)
@pytest.mark.parametrize("limit", ["body_timeout", "body_rate_timeout"])
async def test_a_body_that_is_late(request: pytest.FixtureRequest, connect: Connect, how: str, limit: str) -> None:
    if "tornado" in request.node.name:
        pytest.skip("Tornado's server closes the connection")
    async with await connect(**{limit: 0.05}) as client:
        answer = await client.ask(post(how, "Content-Length: 10"))
        assert answer.status == 200
        assert json.loads(answer.body) == [408, 408]
