"""The application: what it builds, whom it serves, and when it refuses to be built."""

import asyncio
import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from httpx2.websockets import WebSocketDisconnect
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.routing import HostMatches
from tornado.template import DictLoader, Loader
from tornado.testing import AsyncHTTPTestCase
from tornado.web import RequestHandler, StaticFileHandler, UIModule
from tornado.websocket import WebSocketHandler as TornadoWebSocketHandler

from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.logger import request_id_of
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.testing import TestClient

TOLD: list[str] = []


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    TOLD.clear()


@pytest.fixture(params=["tornado", "torngas_aio"])
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Tells(BaseMiddleware):
    async def process_init(self, application: Any) -> None:
        TOLD.append("init")

    async def process_call(self, request: Any, clear: Any) -> None:
        TOLD.append("call")

    async def process_request(self, handler: Any, clear: Any) -> None:
        TOLD.append("request")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")

    async def process_shutdown(self, application: Any) -> None:
        TOLD.append("shutdown")


class Ours(WebHandler):
    async def get(self) -> None:
        self.write("ours")


class Plain(RequestHandler):
    """A handler of plain Tornado: its public API, as an old project uses it."""

    def initialize(self, word: str = "plain") -> None:
        self.word = word

    def prepare(self) -> None:
        TOLD.append("prepare")

    def get(self, name: str = "") -> None:
        self.set_cookie("seen", "1")
        self.set_signed_cookie("signed", "1")
        self.write(f"{self.word} {name} {self.reverse_url('plain', 'x')} {self.locale.code}")

    def post(self, name: str = "") -> None:
        self.render("page.html", word=self.get_body_argument("word"))

    def on_finish(self) -> None:
        TOLD.append("on_finish")


class Shout(UIModule):
    def render(self, word: str) -> str:
        return word.upper()


class PlainSocket(TornadoWebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


async def test_plain_tornado_runs_inside_unchanged(door: str, tmp_path: Path, blocking_calls_fail: BlockBuster) -> None:
    blocking_calls_fail.deactivate()  # plain Tornado reads templates and files in the loop
    (tmp_path / "page.html").write_text(
        "{% module Shout(word) %} {% module xsrf_form_html() %} {{ static_url('page.html') }}"
    )
    application = Application(
        [
            (r"/plain/(.*)", Plain, {"word": "given"}, "plain"),
            (r"/ws", PlainSocket),
            (r"/files/(.*)", StaticFileHandler, {"path": str(tmp_path)}),
        ],
        middlewares=[Tells],
        cookie_secret="a secret for tests",
        xsrf_cookies=True,
        template_path=str(tmp_path),
        static_path=str(tmp_path),
        ui_modules={"Shout": Shout},
    )
    async with TestClient(application, http_server=door) as client:
        answer = await client.get("/plain/a")
        assert answer.text == "given a /plain/x en_US"
        assert {"seen", "signed"} <= set(client.cookies)
        assert (await client.post("/plain/a", data={"word": "loud"})).status_code == 403
        token = "0123456789abcdef"
        client.cookies.set("_xsrf", token)
        page = await client.post("/plain/a", data={"word": "loud", "_xsrf": token})
        assert page.text.startswith("LOUD <input")
        assert "/static/page.html?v=" in page.text
        assert (await client.get("/files/page.html")).status_code == 200
        async with client.websocket("/ws") as socket:
            await socket.send_text("hello")
            assert await socket.receive_text() == "hello"
        assert "request" not in TOLD  # a foreign handler gets the call hooks only
        assert TOLD.count("call") == 5
        assert TOLD.count("on_finish") == 3


async def test_hosts_and_handlers_added_later_are_routed_as_in_tornado(door: str) -> None:
    class Other(WebHandler):
        async def get(self) -> None:
            self.write("other")

    application = Application([("/", Ours), (HostMatches(r"api\.example"), [("/api", Other)])], middlewares=[Tells])
    application.add_handlers(r"www\.example", [("/", Other)])
    async with TestClient(application, http_server=door) as client:
        assert (await client.get("/")).text == "ours"
        assert (await client.get("/", headers={"Host": "www.example"})).text == "other"
        assert (await client.get("/api")).status_code == 404
        assert (await client.get("/api", headers={"Host": "api.example"})).text == "other"


async def test_a_default_handler_answers_what_no_route_does(door: str) -> None:
    class Teapot(WebHandler):
        async def get(self) -> None:
            self.set_status(418)

    ours, tornados = "torngas_aio.handler.ErrorHandler", "tornado.web.ErrorHandler"
    for handler, status in ((Teapot, 418), (Plain, 200), (ours, 404), (tornados, 404)):
        application = Application(
            [("/plain/(.*)", Plain, None, "plain")], default_handler_class=handler, cookie_secret="a secret for tests"
        )
        async with TestClient(application, http_server=door) as client:
            assert (await client.get("/nowhere")).status_code == status


@pytest.mark.parametrize("setting", ["default_handler_class", "static_handler_class"])
@pytest.mark.parametrize("value", ["no.such.Handler", "torngas_aio.handler.NoSuch", "json.dumps", str, 404])
def test_a_handler_class_that_is_none_is_refused_at_start(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"TORNADO_CONF\\['{setting}'\\]"):
        Application(**{setting: value})


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("tornado.web.RequestHandler", {"status_code": 404}),
        ("tornado.web.ErrorHandler", {"status": 404}),
        ("torngas_aio.handler.ErrorHandler", {"code": 404}),
        ("tornado.web.RedirectHandler", {}),
        (Plain, [404]),
    ],
)
def test_arguments_that_the_default_handler_does_not_take_are_refused_at_start(handler: Any, arguments: Any) -> None:
    """Each 404 was a 500."""
    with pytest.raises(ConfigError, match=r"TORNADO_CONF\['default_handler_args'\]"):
        Application(default_handler_class=handler, default_handler_args=arguments)


@pytest.mark.parametrize("loader", [Loader, "tornado.template.Loader", "templates", 3, object()])
def test_a_template_loader_that_is_none_is_refused_at_start(loader: Any) -> None:
    with pytest.raises(ConfigError, match=r"TORNADO_CONF\['template_loader'\]"):
        Application(template_loader=loader)


async def test_a_template_loader_of_the_settings_is_used() -> None:
    class Page(WebHandler):
        async def get(self) -> None:
            await self.render("page.html", name="<you>")

    loader = DictLoader({"page.html": "Hello {{ name }}"})
    async with TestClient(Application([("/", Page)], template_loader=loader)) as client:
        assert (await client.get("/")).text == "Hello &lt;you&gt;"


async def test_static_files_pass_the_middlewares(door: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"0123456789" * 20_000)
    (tmp_path / "robots.txt").write_text("none")
    (tmp_path.parent / "secret.txt").write_text("secret")
    (tmp_path / "dir").mkdir()
    async with TestClient(Application(middlewares=[Tells], static_path=str(tmp_path)), http_server=door) as client:
        whole = await client.get("/static/a.txt")
        assert len(whole.content) == 200_000
        await until(lambda: "endcall" in TOLD)
        assert TOLD == ["init", "call", "request", "endcall"]
        again = await client.get("/static/a.txt", headers={"If-None-Match": whole.headers["etag"]})
        assert again.status_code == 304
        part = await client.get("/static/a.txt", headers={"Range": "bytes=2-5"})
        assert (part.status_code, part.text) == (206, "2345")
        assert (await client.get("/static/a.txt", headers={"Range": "bytes=999999-"})).status_code == 416
        assert (await client.head("/static/a.txt")).headers["content-length"] == "200000"
        assert (await client.get("/robots.txt")).text == "none"
        for path in ("/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/..%2fsecret.txt", "/static/dir"):
            answer = await client.get(path)
            assert answer.status_code in {403, 404}
            assert "secret" not in answer.text.replace("secret.txt", "")


async def test_the_first_request_runs_the_init_hooks_where_nobody_else_did() -> None:
    application = Application([("/", Ours)], middlewares=[Tells])
    server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(*sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    answers = await asyncio.gather(ask(), ask(), ask())
    assert all(answer.endswith(b"ours") for answer in answers)
    server.stop()
    await server.close_all_connections()
    await application.shutdown()
    assert TOLD.count("init") == TOLD.count("shutdown") == 1
    assert TOLD.index("init") < TOLD.index("request")


async def test_an_init_hook_that_fails_fails_the_request_and_is_tried_again(door: str) -> None:
    class Flaky(BaseMiddleware):
        async def process_init(self, application: Any) -> None:
            TOLD.append("try")
            if TOLD.count("try") == 1:
                raise ConnectionError("not yet")

    application = Application([("/", Ours)], middlewares=[Tells, Flaky])
    with pytest.raises(ConnectionError, match="not yet"):
        await application.startup()
    assert TOLD == ["init", "try", "shutdown"]
    async with TestClient(application, http_server=door) as client:
        assert (await client.get("/")).text == "ours"


async def test_background_tasks_are_cancelled_at_the_end_and_their_errors_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = Application([("/", Ours)])

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            TOLD.append("cancelled")

    async def fails() -> None:
        raise ZeroDivisionError

    async with TestClient(application):
        application.background.start_soon(forever)
        application.background.start_soon(fails, name="the sum")
        await asyncio.sleep(0)
    assert TOLD == ["cancelled"]
    assert "The background task the sum failed." in caplog.text


async def send() -> None: ...


@pytest.mark.parametrize("make", [send, lambda: asyncio.sleep(0), lambda: None, lambda: "send"])
async def test_start_soon_wants_a_function_not_a_coroutine(make: Callable[[], Any]) -> None:
    application = Application([])
    async with TestClient(application):
        given = make()
        with pytest.raises(TypeError, match=r"write start_soon\(send, x\), not start_soon\(send\(x\)\)"):
            application.background.start_soon(given)
        assert len(application.background) == 0


async def test_sockets_close_with_1001_when_the_application_stops(door: str) -> None:
    class Socket(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            """Nothing."""

    application = Application([("/ws", Socket)], middlewares=[Tells])
    async with TestClient(application, http_server=door) as client:
        async with client.websocket("/ws") as socket:
            application.close_sockets()
            with pytest.raises(WebSocketDisconnect) as told:
                await socket.receive_text()
        assert told.value.code == 1001
        await until(lambda: "endcall" in TOLD)


@pytest.mark.parametrize("code", [1001, 1012])
async def test_a_handshake_that_comes_while_the_application_stops_is_answered_with_the_code(
    door: str, code: int
) -> None:
    """A refusal would tell its client nothing; neither `open` nor what it has sent meanwhile reaches the handler."""
    reached = asyncio.Event()
    calls: list[str] = []

    class Socket(WebSocketHandler):
        async def prepare(self) -> None:
            reached.set()
            await self.application.is_stopping.wait()

        async def open(self) -> None:
            calls.append("open")

        def on_message(self, message: str | bytes) -> None:
            calls.append("on_message")

        def on_close(self) -> None:
            calls.append("on_close")

    TOLD.clear()
    application = Application([("/ws", Socket)], middlewares=[Tells])
    async with TestClient(application, http_server=door) as client:

        async def visit() -> None:
            async with client.websocket("/ws") as socket:
                await socket.send_text("hello")
                await socket.receive_text()

        visiting = asyncio.create_task(visit())
        await reached.wait()
        application.close_sockets("The server is renewed.", code)
        application.close_sockets()  # the first one counts
        application.is_stopping.set()
        with pytest.raises(WebSocketDisconnect) as told:
            await visiting
        assert told.value.code == code
        await until(lambda: "endcall" in TOLD)
    assert calls == []


class PlainHook:
    def process_request(self, handler: Any, clear: Any) -> None:
        """Not async."""


class NoHook:
    """Has none of the hooks."""


class NeedsArguments:
    def __init__(self, needed: str) -> None:
        self.needed = needed

    async def process_call(self, request: Any, clear: Any) -> None:
        """Never made."""


def test_every_fault_of_the_middlewares_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        Application(middlewares=[PlainHook, NoHook, NeedsArguments, "no.such.Middleware", "tests.test_application"])
    faults = told.value.faults
    assert len(faults) == 5
    assert "make it `async def`" in str(told.value)
    assert f"{__name__}.PlainHook.process_request" in str(told.value)
    assert f"{Path(__file__).name}:" in str(told.value)
    assert "has no hook" in str(told.value)
    assert "cannot be made without arguments" in str(told.value)
    assert "'no.such.Middleware' cannot be imported" in str(told.value)
    assert "Name the class in it" in str(told.value)


def test_a_misspelt_hook_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    class Misspelt(Tells):
        async def proces_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            """Never called."""

        async def load(self) -> None:
            """A method of its own."""

    Application(middlewares=[Misspelt])
    assert "Misspelt.proces_response is no hook. Did you mean process_response?" in caplog.text
    assert "load" not in caplog.text


class TestWithTornadosTestCase(AsyncHTTPTestCase):
    """An old project's tests go on."""

    def get_app(self) -> Application:
        return Application([("/", Ours)], middlewares=[Tells])

    def test_it_answers(self) -> None:
        assert self.fetch("/").body == b"ours"
        assert TOLD[:3] == ["init", "call", "request"]


async def test_the_access_log_names_the_handlers_method(door: str, caplog: pytest.LogCaptureFixture) -> None:
    """Tornado's line, by its level; its place is the method that answered, in the project's own file."""

    class Page(WebHandler):
        async def get(self, status: str) -> None:
            self.set_status(int(status))

    line = Page.get.__code__.co_firstlineno
    caplog.set_level("INFO", "tornado.access")
    async with TestClient(Application([(r"/(\d+)", Page)]), http_server=door) as client:
        for status in (200, 404, 503):
            await client.get(f"/{status}?q=1")
        await client.post("/200")
    records = [record for record in caplog.records if record.name == "tornado.access"]
    assert [record.levelname for record in records] == ["INFO", "WARNING", "ERROR", "WARNING"]
    assert re.fullmatch(r"200 GET /200\?q=1 \(127\.0\.0\.1\) \d+\.\d\dms", records[0].getMessage())
    assert [(record.pathname, record.lineno) for record in records[:3]] == [(__file__, line)] * 3
    assert records[3].getMessage().startswith("405 POST /200 ")


async def test_a_log_function_has_the_say(door: str, caplog: pytest.LogCaptureFixture) -> None:
    """As with Tornado, the setting replaces the line."""
    seen: list[int] = []
    application = Application([("/", Ours)], log_function=lambda handler: seen.append(handler.get_status()))
    caplog.set_level("INFO", "tornado.access")
    async with TestClient(application, http_server=door) as client:
        await client.get("/")
    assert seen == [200]
    assert not [record for record in caplog.records if record.name == "tornado.access"]


async def test_an_odd_method_is_logged_and_looked_up_nowhere(door: str, caplog: pytest.LogCaptureFixture) -> None:
    """A client's word is not taken for an attribute of the handler, which might be anything."""

    class Property:
        def __get__(self, instance: Any, owner: type) -> Any:
            raise RuntimeError("not configured")

    class Page(WebHandler):
        model = Property()

        async def get(self) -> None:
            self.write("x")

    caplog.set_level("INFO")
    async with TestClient(Application([("/", Page)]), http_server=door) as client:
        assert (await client.request("MODEL", "/")).status_code == 405
    [record] = [record for record in caplog.records if record.name == "tornado.access"]
    assert record.getMessage().startswith("405 MODEL / ")
    assert "not configured" not in caplog.text


async def test_the_date_is_not_behind_however_long_the_loop_was_held(door: str) -> None:
    class Slow(WebHandler):
        async def get(self) -> None:
            until = time.time() + 1.1
            while time.time() < until:
                pass
            self.finish(str(int(time.time())))

    async with TestClient(Application([("/", Slow)]), http_server=door) as client:
        for _ in range(2):
            answer = await client.get("/")
            assert parsedate_to_datetime(answer.headers["Date"]).timestamp() >= int(answer.text)


async def test_a_request_id_that_a_call_hook_sets_is_the_requests(door: str) -> None:
    """Whatever the client sent; two ids of a client are none."""

    class Gives(BaseMiddleware):
        async def process_call(self, request: Any, clear: Any) -> None:
            if request.path == "/given":
                request.headers["X-Request-ID"] = "given"

    class Page(WebHandler):
        async def get(self) -> None:
            self.write(request_id_of(self.request))

    async with TestClient(Application([("/.*", Page)], middlewares=[Gives()]), http_server=door) as client:
        assert (await client.get("/given")).text == "given"
        assert (await client.get("/given", headers={"X-Request-ID": "sent"})).text == "given"
        assert (await client.get("/", headers={"X-Request-ID": "sent"})).text == "sent"
        twice = await client.get("/", headers=[("X-Request-ID", "one"), ("X-Request-ID", "two")])
        assert re.fullmatch("[0-9a-f]{16}", twice.text)


async def test_a_flush_within_a_response_hook_waits_for_the_hook(door: str) -> None:
    """What the last hook adds after it is sent too, and with it the length of the whole."""

    class Adds(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: Any) -> None:
            handler.flush()
            await asyncio.sleep(0)
            handler.set_header("X-Late", "1")
            chunk.append(b"!tail")

    async with TestClient(Application([("/", Ours)], middlewares=[Adds()]), http_server=door) as client:
        answer = await client.get("/")
    assert answer.text == "ours!tail"
    assert answer.headers["X-Late"] == "1"
    assert answer.headers["Content-Length"] == "9"


async def test_another_task_may_flush_while_the_hooks_run(door: str) -> None:
    """The header leaves when every hook has run, once, with what each of them set."""
    in_hook, is_flushing = asyncio.Event(), asyncio.Event()

    class Slow(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: Any) -> None:
            in_hook.set()
            await is_flushing.wait()
            handler.add_header("X-Hook", "ran")

    class Page(WebHandler):
        async def get(self) -> None:
            async def meanwhile() -> None:
                await in_hook.wait()
                self.write("b")
                flush = self.flush()
                is_flushing.set()
                await flush

            task = asyncio.create_task(meanwhile())
            self.write("a")
            await self.flush()
            await task
            await self.finish("c")

    async with TestClient(Application([("/", Page)], middlewares=[Slow()]), http_server=door) as client:
        answer = await client.get("/")
    assert answer.text == "abc"
    assert answer.headers["X-Hook"] == "ran"


async def test_an_accept_that_a_call_hook_sets_decides_the_format(door: str) -> None:
    """As does any header of `request.headers`, whatever the client sent."""

    class Wants(BaseMiddleware):
        async def process_call(self, request: Any, clear: Any) -> None:
            request.headers["Accept"] = "application/javascript"

    class Format(ApiHandler):
        async def get(self) -> None:
            self.write(self.get_format())

    async with TestClient(Application([("/", Format)], middlewares=[Wants()]), http_server=door) as client:
        assert (await client.get("/")).text == "jsonp"
