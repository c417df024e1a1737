"""What is decided before a request's body is read, on every server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import tornado.httpserver
from tornado.netutil import bind_sockets
from tornado.web import RedirectHandler, RequestHandler, stream_request_body, url

from tests.contracts.front_doors.conftest import HTTPServerOf, Uvicorn
from tests.http.wire import Answer, Client, get
from torngas_aio import ApiHandler, Application, BaseHttpModule, BaseMiddleware, WebHandler
from torngas_aio.exception import ConfigError
from torngas_aio.handler import ErrorHandler, StaticFileHandler, WebSocketHandler
from torngas_aio.http.limits import MAX_BODY_BYTES
from torngas_aio.http.server import HTTPServer
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.httpmodule.ratelimit import RateLimit
from torngas_aio.middleware.cors import CORSMiddleware
from torngas_aio.middleware.session import SessionMiddleware

SERVERS: dict[str, Callable[[Application, dict[str, Any]], Any]] = {
    "ours": lambda application, options: HTTPServerOf(HTTPServer, application, options),
    "tornado's": lambda application, options: HTTPServerOf(tornado.httpserver.HTTPServer, application, options),
    "asgi": Uvicorn,
}
Connect = Callable[..., Awaitable[Client]]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def connect(server: str) -> AsyncIterator[Connect]:
    """Serve an application and connect to it."""
    doors: list[Any] = []
    clients: list[Client] = []

    async def connected(application: Application, **options: Any) -> Client:
        doors.append(SERVERS[server](application, options))
        sockets = bind_sockets(0, "127.0.0.1")
        await doors[-1].start(sockets)
        clients.append(await Client.connect(sockets[0].getsockname()))
        return clients[-1]

    yield connected
    for client in clients:
        await client.__aexit__()
    for door in doors:
        await door.stop()


def head(path: str, length: int, *lines: str) -> bytes:
    """A POST of which the body is still to come."""
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: t", f"Content-Length: {length}", *lines, "", "")).encode()


async def refused_early(client: Client, path: str, *lines: str) -> Answer:
    """The answer to a POST of 9 MB that sends its first bytes only."""
    client.send(head(path, 9_000_000, *lines) + b"x" * 1000)
    async with asyncio.timeout(5):
        return await client.answer()


class Echo(WebHandler):
    async def post(self) -> None:
        self.write(f"{len(self.request.body)} {self.get_body_argument('name', '-')}")

    put = post


FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize("path", ["/nowhere", "/echo/more", "/"])
async def test_a_request_without_a_route_is_answered_before_its_body_comes(connect: Connect, path: str) -> None:
    client = await connect(Application([("/echo", Echo)]))
    assert (await refused_early(client, path)).status == 404


@pytest.mark.parametrize("length", [1, 60_000])
async def test_a_small_body_without_a_route_is_dropped_and_the_connection_kept(connect: Connect, length: int) -> None:
    client = await connect(Application([("/echo", Echo)]))
    client.send(head("/nowhere", length))
    assert (await client.answer()).status == 404
    client.send(b"x" * length + head("/echo", 6, FORM) + b"name=a")
    assert (await client.answer()).body == b"6 a"


class ForeignEcho(RequestHandler):
    max_body_size = 10

    def post(self) -> None:
        self.write(f"{len(self.request.body)} -")


@stream_request_body
class OnlyGets(WebHandler):
    received = 0

    async def get(self) -> None: ...

    def data_received(self, chunk: bytes) -> None:
        raise AssertionError("a body that was not to be read")


class Prepares(WebHandler):
    async def prepare(self) -> None:
        self.finish(f"{len(self.request.body)} -")


ANSWERLESS: list[Any] = [
    ("/web", type("Web", (WebHandler,), {"get": Echo.post, "put": Echo.post})),
    ("/api", type("Api", (ApiHandler,), {"get": Echo.post})),
    ("/streamed", OnlyGets),
    ("/socket", WebSocketHandler),
    ("/files/(.*)", StaticFileHandler, {"path": "."}),
    ("/foreign", type("Foreign", (RequestHandler,), {"get": Echo.post})),
    ("/redirect", RedirectHandler, {"url": "/"}),
]


@pytest.mark.parametrize("path", ["/web", "/api", "/streamed", "/socket", "/files/a.txt", "/foreign", "/redirect"])
async def test_a_missing_method_is_405_before_the_body_comes(connect: Connect, path: str) -> None:
    client = await connect(Application(ANSWERLESS, xsrf_cookies=path == "/web"))
    answer = await refused_early(client, path)
    assert (answer.status, "GET" in answer.headers["allow"]) == (405, True)


async def test_a_handler_that_prepares_may_want_the_body_of_any_method(connect: Connect) -> None:
    client = await connect(Application([("/", Prepares)]))
    assert (await client.ask(head("/", 5) + b"hello")).body == b"5 -"


async def test_an_own_default_handler_gets_the_body(connect: Connect) -> None:
    class Default(ErrorHandler):
        def prepare(self) -> None:
            self.finish(b"%d" % len(self.request.body))

    client = await connect(Application([("/echo", Echo)], default_handler_class=Default))
    client.send(head("/nowhere", 5) + b"hello")
    assert (await client.answer()).body == b"5"


class Guard(BaseMiddleware):
    before_body = True

    async def process_request(self, handler: Any, clear: Any) -> bool | None:
        if handler.get_query_argument("key", "") == "right":
            return None
        handler.set_status(401)
        handler.finish("no key")
        return True


class ModuleGuard(BaseHttpModule):
    before_body = True

    async def begin_request(self, handler: Any, clear: Any) -> bool | None:
        return await Guard().process_request(handler, clear)


class Raises(Guard):
    async def process_request(self, handler: Any, clear: Any) -> None:
        from torngas_aio.exception import HttpForbiddenError

        raise HttpForbiddenError("no")


class Answers(Guard):
    """Completes its answer itself, in the format that the client asks for."""

    async def process_request(self, handler: Any, clear: Any) -> bool:
        handler.set_status(402)
        handler.write_api({"pay": True})
        await handler.finish()
        return True


class Api(ApiHandler):
    async def post(self) -> None:
        self.write_api(self.get_json_body())


REFUSED: dict[str, tuple[Any, int]] = {
    "finishes": (Guard, 401),
    "raises": (Raises, 403),
    "answers": (Answers, 402),
    "a module": (HttpModuleMiddleware(common=[ModuleGuard]), 401),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_a_guard_refuses_is_answered_before_its_body_comes(connect: Connect, case: str) -> None:
    middleware, status = REFUSED[case]
    client = await connect(Application([("/api", Api)], middlewares=[middleware]))
    answer = await refused_early(client, "/api?format=json")
    assert answer.status == status


async def test_what_a_guard_lets_pass_gets_its_body(connect: Connect) -> None:
    client = await connect(Application([("/echo", Echo)], middlewares=[Guard]))
    assert (await client.ask(head("/echo?key=right", 6, FORM) + b"name=a")).body == b"6 a"


async def test_another_sites_page_is_refused_before_its_body_comes(connect: Connect) -> None:
    client = await connect(Application([("/echo", Echo)], cross_origin_protection=True))
    assert (await refused_early(client, "/echo", "Sec-Fetch-Site: cross-site")).status == 403


async def test_the_token_of_a_form_is_looked_for_in_the_body(connect: Connect) -> None:
    client = await connect(Application([("/echo", Echo)], middlewares=[Early1], xsrf_cookies=True))
    token = "2|aaaaaaaa|bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb|1700000000"
    body = f"name=a&_xsrf={token}".encode()
    lines = (FORM, f"Cookie: _xsrf={token}")
    assert (await client.ask(head("/echo", len(body), *lines) + body)).status == 200
    assert (await client.ask(head("/echo", 6, *lines) + b"name=a")).status == 403


class Limit(RateLimit):
    limit = "1/hour"


async def test_our_own_guards_run_before_the_body(connect: Connect) -> None:
    application = Application([("/echo", Echo)], middlewares=[HttpModuleMiddleware(common=[Limit])])
    client = await connect(application)
    assert (await client.ask(head("/echo", 2) + b"ab")).status == 200
    assert (await refused_early(client, "/echo")).status == 429


def test_those_of_ours_that_need_no_body_say_so() -> None:
    assert SessionMiddleware.before_body
    assert CORSMiddleware.before_body
    assert RateLimit.before_body


ASKING: dict[str, Callable[[Any], Any]] = {
    "get_body_argument": lambda handler: handler.get_body_argument("name", None),
    "get_body_arguments": lambda handler: handler.get_body_arguments("name"),
    "get_argument": lambda handler: handler.get_argument("name", None),
    "arguments": lambda handler: handler.request.arguments,
    "body_arguments": lambda handler: handler.request.body_arguments,
    "files": lambda handler: handler.request.files,
    "body": lambda handler: handler.request.body,
    "get_json_body": lambda handler: handler.get_json_body(),
}


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_asking_for_the_body_before_it_is_read_raises(connect: Connect, asking: str, method: str) -> None:
    raised: list[Exception] = []

    class Asks(BaseMiddleware):
        before_body = True

        async def process_call(self, request: Any, clear: Any) -> None:
            assert request.arguments is not None  # what is kept of this must not be what the hook gets

        async def process_request(self, handler: Any, clear: Any) -> None:
            try:
                ASKING[asking](handler)
            except RuntimeError as exc:
                raised.append(exc)

    class Both(Api):
        async def get(self) -> None:
            self.write({"name": self.get_argument("name", "")})

        async def post(self) -> None:
            self.write({"name": self.get_argument("name", "")})

    client = await connect(Application([("/api", Both)], middlewares=[Asks]))
    request = head("/api", 6, FORM) + b"name=a" if method == "POST" else get("/api?name=a")
    assert (await client.ask(request)).body == b'{"name":"a"}'
    assert "get_query_argument" in str(raised[0])


LOG: list[str] = []


class Noting(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> bool | None:
        LOG.append(type(self).__name__)
        if handler.get_query_argument("ends", "") == type(self).__name__:
            return True
        if handler.get_query_argument("clears", "") == type(self).__name__:
            clear()
        return None


class Late1(Noting):
    pass


class Early1(Noting):
    before_body = True


class Late2(Noting):
    pass


class Early2(Noting):
    before_body = True


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("", ["Early1", "Early2", "Late1", "Late2"]),
        ("ends=Early1", ["Early1"]),
        ("ends=Early2", ["Early1", "Early2"]),
        ("clears=Early1", ["Early1"]),
        ("ends=Late1", ["Early1", "Early2", "Late1"]),
    ],
)
async def test_both_halves_run_in_declared_order(connect: Connect, method: str, query: str, order: list[str]) -> None:
    class Both(Echo):
        async def get(self) -> None:
            self.write("0 -")

    LOG.clear()
    client = await connect(Application([("/echo", Both)], middlewares=[Late1, Early1, Late2, Early2]))
    target = f"/echo?{query}"
    request = head(target, 6, FORM) + b"name=a" if method == "POST" else get(target)
    assert (await client.ask(request)).status == 200
    assert order == LOG


def test_the_flag_may_stand_on_the_hook_itself() -> None:
    class Marked:
        async def process_request(self, handler: Any, clear: Any) -> None: ...

        process_request.before_body = True  # type: ignore[attr-defined]

    pipeline = Application(middlewares=[Late1, Marked]).pipeline
    assert [hook.owner for hook in pipeline.describe()] == [Marked, Late1]


class NeedsLate(Early1):
    depends_on = (Late1,)


class NeedsLateByName(Early1):
    depends_on = (f"{__name__}.Late1",)


class NeedsEarly(Early1):
    depends_on = (Early2,)


class LateNeeds(Late2):
    depends_on = (Late1,)


class ModuleNeeds(BaseHttpModule):
    before_body = True
    depends_on = (Late1,)

    async def begin_request(self, handler: Any, clear: Any) -> None: ...


@pytest.mark.parametrize(
    ("middlewares", "advice"),
    [
        ([Late1, NeedsLate], "set `before_body = True` on Late1"),
        ([Late1, NeedsLateByName], "set `before_body = True` on Late1"),
        ([NeedsEarly, Early2], "Declare Early2 before NeedsEarly"),
        ([LateNeeds, Late1], "Declare Late1 before LateNeeds"),
        ([Late1, HttpModuleMiddleware(common=[ModuleNeeds])], "set `before_body = True` on Late1"),
        (
            [Late1, HttpModuleMiddleware([], {"Echo": [ModuleNeeds]})],
            "`before_body = False` on ModuleNeeds",
        ),
    ],
)
def test_a_hook_before_one_that_it_depends_on_is_refused(middlewares: list[Any], advice: str) -> None:
    with pytest.raises(ConfigError, match="which runs after it") as caught:
        Application([url("/echo", Echo, name="Echo")], middlewares=middlewares)
    assert advice in str(caught.value)


@pytest.mark.parametrize("middlewares", [[Early2, NeedsEarly], [Late1, LateNeeds], [NeedsEarly], [Early1, LateNeeds]])
def test_a_hook_after_one_that_it_depends_on_is_taken(middlewares: list[Any]) -> None:
    assert Application(middlewares=middlewares)


def test_a_dependency_that_is_no_class_is_refused() -> None:
    class Odd(Late1):
        depends_on = ("no.such.thing", 5)

    with pytest.raises(ConfigError, match=r"no.such.thing.*cannot be imported(.|\n)*5 is not a class"):
        Application(middlewares=[Odd])


class Small(Echo):
    max_body_size = 10


class Large(Echo):
    max_body_size = MAX_BODY_BYTES + 10


@stream_request_body
class Streamed(Small):
    size = 0

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    async def post(self) -> None:
        self.write(f"{self.size} -")


SIZES = [
    ("/small", 10),
    ("/streamed", 10),
    ("/foreign", 10),
    ("/echo", MAX_BODY_BYTES),
    ("/large", MAX_BODY_BYTES + 10),
]
ROUTES: list[Any] = [
    ("/foreign", ForeignEcho),
    ("/small", Small),
    ("/large", Large),
    ("/streamed", Streamed),
    ("/echo", Echo),
]


def chunked(path: str, size: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode()


@pytest.mark.parametrize(("path", "limit"), SIZES)
async def test_a_class_sets_the_largest_body(connect: Connect, path: str, limit: int) -> None:
    client = await connect(Application(ROUTES))
    assert (await client.ask(head(path, limit) + b"x" * limit)).body == b"%d -" % limit
    client.send(head(path, limit + 1) + b"x" * min(limit + 1, 1000))
    answer = await client.answer()
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("path", "limit"), SIZES[:3])
async def test_a_body_of_unknown_length_is_stopped_at_the_limit(connect: Connect, path: str, limit: int) -> None:
    client = await connect(Application(ROUTES))
    client.send(chunked(path, limit) + b"x" * limit + b"\r\n0\r\n\r\n")
    assert (await client.answer()).body == b"%d -" % limit
    client.send(chunked(path, limit + 1) + b"x" * (limit + 1) + b"\r\n")
    assert (await client.answer()).status == 413


@pytest.mark.parametrize(("path", "status"), [("/small", 413), ("/foreign", 413), ("/nowhere", 404), ("/get", 405)])
async def test_a_body_that_is_refused_is_not_asked_for(connect: Connect, path: str, status: int) -> None:
    client = await connect(Application([*ROUTES, ("/get", type("Gets", (WebHandler,), {"get": Echo.post}))]))
    assert (await client.ask(head(path, 9_000_000, "Expect: 100-continue"))).status == status


async def test_the_servers_own_limit_holds_where_no_class_sets_one(connect: Connect) -> None:
    client = await connect(Application(ROUTES), max_body_size=100)
    assert (await client.ask(head("/echo", 100) + b"x" * 100)).status == 200
    client.send(head("/echo", 101))
    assert (await client.answer()).status == 413
