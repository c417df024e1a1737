"""An Application behind a Tornado router, routers within it, host rules, added handlers: the pipeline always runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import tornado.httpserver
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.routing import AnyMatches, HostMatches, PathMatches, Router, Rule, RuleRouter
from tornado.web import Application as TornadoApplication
from tornado.web import RequestHandler

from tests.http.wire import Answer, Client, get
from torngas_aio.application import Application
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.http.server import HTTPServer
from torngas_aio.middleware import BaseMiddleware

TOLD: list[str] = []
STAGES = ["call", "request", "response", "endcall"]


class Tells(BaseMiddleware):
    async def process_call(self, request: Any, clear: Any) -> None:
        TOLD.append("call")

    async def process_request(self, handler: Any, clear: Any) -> None:
        TOLD.append("request")

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append("response")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")


class Says(WebHandler):
    def initialize(self, word: str) -> None:
        self.word = word

    async def get(self, *args: str) -> None:
        self.write(f"{self.word} {self.request.uri} {self.request.remote_ip}")

    async def post(self, *args: str) -> None:
        self.write(f"{self.word} {len(self.request.body)}")


class Fails(WebHandler):
    async def get(self) -> None:
        raise ZeroDivisionError


class Socket(WebSocketHandler):
    async def on_message(self, message: Any) -> None:
        await self.write_message(message)


class Foreign(RequestHandler):
    async def get(self) -> None:
        self.write("foreign")


def application(word: str, *routes: Any) -> Application:
    own = [("/fails", Fails), ("/socket", Socket), (r"/x/(.*)", Says, {"word": word})]
    return Application([*routes, *own], middlewares=[Tells], xsrf_cookies=False)


class Rewrites(Router):
    """Takes a prefix off the path."""

    def __init__(self, target: Application) -> None:
        self.target = target

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        request.path = request.path.removeprefix("/prefix")
        return self.target.find_handler(request)


Serve = Callable[..., Any]


@pytest.fixture(params=[HTTPServer, tornado.httpserver.HTTPServer], ids=["ours", "tornado"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    """A function of what a server is given, that gives a function which asks it."""
    TOLD.clear()
    async with AsyncExitStack() as stack:

        async def start(root: Any, *applications: Application) -> Any:
            server = request.param(root)
            (sock,) = bind_sockets(0, "127.0.0.1")
            server.add_sockets([sock])
            for each in applications:
                stack.push_async_callback(each.shutdown)
            stack.push_async_callback(server.close_all_connections)
            stack.callback(server.stop)

            async def ask(data: bytes) -> Answer:
                async with await Client.connect(sock.getsockname()) as client:
                    return await client.ask(data)

            return ask

        yield start


def post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(path: str, *chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body + b"0\r\n\r\n"


async def told(count: int = 1) -> None:
    async with asyncio.timeout(5):
        while TOLD.count("endcall") < count:
            await asyncio.sleep(0)


async def test_behind_a_rule_router(serve: Serve) -> None:
    api, rest = application("api"), application("rest")
    router = RuleRouter([Rule(HostMatches("api.example"), api), Rule(PathMatches("/x/.*|/fails"), rest)])
    ask = await serve(router, api, rest)
    assert (await ask(b"GET /x/1?q HTTP/1.1\r\nHost: api.example\r\n\r\n")).body == b"api /x/1?q 127.0.0.1"
    await told(1)
    assert TOLD == STAGES
    assert (await ask(get("/x/2"))).body == b"rest /x/2 127.0.0.1"
    assert (await ask(post("/x/2", b"b" * 100_000))).body == b"rest 100000"
    await told(3)
    assert TOLD == STAGES * 3
    assert (await ask(get("/fails"))).status == 500
    assert (await ask(b"GET /nowhere HTTP/1.1\r\nHost: api.example\r\n\r\n")).status == 404
    await told(5)
    assert TOLD.count("endcall") == 5
    assert (await ask(get("/nowhere"))).status == 404  # the router's own
    assert TOLD.count("endcall") == 5


async def test_routers_in_routers_and_rewritten_paths(serve: Serve) -> None:
    inner, other = application("inner"), application("other")
    router = RuleRouter([
        Rule(PathMatches("/prefix.*"), Rewrites(inner)),
        Rule(AnyMatches(), RuleRouter([Rule(PathMatches("/x/.*"), other)])),
    ])  # fmt: skip
    ask = await serve(router, inner, other)
    assert (await ask(get("/prefix/x/1"))).body.startswith(b"inner /prefix/x/1")
    assert (await ask(get("/x/1"))).body.startswith(b"other /x/1")
    await told(2)
    assert TOLD == STAGES * 2


async def test_in_a_plain_tornado_application_and_in_one_of_ours(serve: Serve) -> None:
    inner = application("inner")
    ask = await serve(TornadoApplication([("/x/.*|/fails", inner), ("/f", Foreign)]), inner)
    assert (await ask(get("/x/1"))).body.startswith(b"inner")
    assert (await ask(post("/x/1", b"abc"))).body == b"inner 3"
    assert (await ask(chunked("/x/1", b"ab", b"c"))).body == b"inner 3"
    assert (await ask(get("/fails"))).status == 500
    await told(4)
    TOLD.clear()
    outer = Application([("/x/.*|/fails", inner), ("/f", Foreign)])
    ask = await serve(outer, outer)
    assert (await ask(get("/x/1"))).body.startswith(b"inner")
    assert (await ask(post("/x/1", b"abc"))).body == b"inner 3"
    assert (await ask(chunked("/x/1", b"ab", b"c"))).body == b"inner 3"
    assert (await ask(get("/fails"))).status == 500
    await told(4)
    assert TOLD.count("request") == 4


async def test_routers_and_hosts_within(serve: Serve) -> None:
    nested = [("/x/nested", Says, {"word": "nested"})]
    app = application("app", (HostMatches("a.example"), [("/x/host", Says, {"word": "host"})]), (AnyMatches(), nested))
    app.add_handlers(r"b\.example", [("/x/added", Says, {"word": "added"})])
    ask = await serve(app, app)
    for host, path, word in (
        ("a.example", "/x/host", "host"), ("b.example", "/x/added", "added"), ("c", "/x/nested", "nested"),
        ("c", "/x/host", "app"), ("c", "/x/added", "app"),
    ):  # fmt: skip
        answer = await ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert answer.body.startswith(word.encode()), (host, path)
    await told(5)
    assert TOLD == STAGES * 5


async def test_a_socket_behind_a_router(serve: Serve) -> None:
    app = application("app")
    ask = await serve(RuleRouter([Rule(AnyMatches(), app)]), app)
    handshake = (
        b"GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert (await ask(handshake)).status == 101
    await told(1)
    assert TOLD == STAGES
