"""`WebHandler` over a socket: what it adds to Tornado's handler, and what it keeps of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import tornado.websocket
from tornado import gen
from tornado.web import Finish, HTTPError, MissingArgumentError, addslash, authenticated

from tests.handler.conftest import Answers, OpenClient
from torngas_aio.context import Outcome, RequestScope
from torngas_aio.exception import Http404, HttpForbiddenError
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.utils import request_context


async def test_a_route_gives_each_request_its_own_keywords(open_client: OpenClient) -> None:
    together = asyncio.Barrier(5)

    class Kept(WebHandler):
        async def get(self) -> None:
            await together.wait()
            self._url_kwargs["seen"] = self._url_kwargs.get("seen", 0) + 1
            self.write(self._url_kwargs)

    client = await open_client([("/", Kept, {"abc": "abc"})])
    answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
    assert [answer.json() for answer in answers] == [{"abc": "abc", "seen": 1}] * 5


async def test_initialize_gets_the_keywords_that_it_names(open_client: OpenClient) -> None:
    class Named(WebHandler):
        def initialize(self, color: str) -> None:
            self.color = color

        async def get(self) -> None:
            self.write({"color": self.color, "all": self._url_kwargs})

    client = await open_client([("/", Named, {"color": "red", "size": 3})])
    assert (await client.get("/")).json() == {"color": "red", "all": {"color": "red", "size": 3}}


async def test_an_initialize_that_fails_is_answered(open_client: OpenClient) -> None:
    class Broken(WebHandler):
        def initialize(self) -> None:
            raise ZeroDivisionError

    client = await open_client([("/", Broken)])
    assert (await client.get("/")).status_code == 500
    assert [type(error) for error in client.errors] == [ZeroDivisionError]


async def test_requests_at_the_same_time_each_see_their_own_context(open_client: OpenClient) -> None:
    together = asyncio.Barrier(20)

    class Me(WebHandler):
        async def get(self) -> None:
            await together.wait()
            request = request_context.request
            assert request is self.request
            self.write(request.arguments["n"][0])

    client = await open_client([("/", Me)])
    answers = await asyncio.gather(*(client.get(f"/?n={number}") for number in range(20)))
    assert [answer.text for answer in answers] == [str(number) for number in range(20)]


async def test_what_tornado_offers_works(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    async def cookies(handler: WebHandler) -> None:
        handler.set_signed_cookie("user", "Ann")
        before = handler.get_signed_cookie("user")
        handler.write({"before": before.decode() if before else None, "plain": handler.get_cookie("plain", "none")})

    async def headers(handler: WebHandler) -> None:
        handler.set_header("X-Number", 7)
        handler.add_header("X-Many", "a")
        handler.add_header("X-Many", "b")
        handler.set_header("X-Gone", "1")
        handler.clear_header("X-Gone")
        handler.clear_header("Server")
        handler.set_status(202, "Taken")

    async def generator(handler: WebHandler) -> None:
        @gen.coroutine
        def old() -> Any:
            yield gen.moment
            raise gen.Return("old")

        handler.write(await old())

    async def finished(handler: WebHandler) -> None:
        handler.set_status(409)
        raise Finish("taken")

    async def redirect(handler: WebHandler) -> None:
        await handler.redirect("/elsewhere?a=1", permanent=True)

    async def reverse(handler: WebHandler) -> None:
        handler.write(handler.reverse_url("answers", "x y"))

    deeds.update(cookies=cookies, headers=headers, generator=generator, finished=finished, redirect=redirect)
    deeds["reverse"] = reverse
    client = await open_client([(r"/(\w+)", Answers, None, "answers")], cookie_secret="a secret for tests")
    assert (await client.get("/cookies")).json() == {"before": None, "plain": "none"}
    client.cookies.set("plain", "1")
    assert (await client.get("/cookies")).json() == {"before": "Ann", "plain": "1"}
    answer = await client.get("/headers")
    assert (answer.status_code, answer.reason_phrase, answer.headers["x-number"]) == (202, "Taken", "7")
    assert answer.headers.get_list("x-many") == ["a", "b"]
    assert not {"x-gone", "server"} & set(answer.headers)
    assert (await client.get("/generator")).text == "old"
    answer = await client.get("/finished")
    assert (answer.status_code, answer.text) == (409, "taken")
    answer = await client.get("/redirect")
    assert (answer.status_code, answer.headers["location"]) == (301, "/elsewhere?a=1")
    assert (await client.get("/reverse")).text == "/x%20y"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPError(418), 418),
        (HTTPError(499, reason="Mine"), 499),
        (MissingArgumentError("q"), 400),
        (Http404("gone"), 404),
        (HttpForbiddenError(), 403),
        (ValueError("bug"), 500),
    ],
)
async def test_errors_become_their_status(
    open_client: OpenClient, deeds: dict[str, Any], error: Exception, status: int
) -> None:
    async def fail(handler: WebHandler) -> None:
        handler.write("half a page")
        handler.set_header("X-Half", "1")
        raise error

    deeds["fail"] = fail
    client = await open_client([(r"/(\w+)", Answers)])
    answer = await client.get("/fail")
    assert answer.status_code == status
    assert "half a page" not in answer.text
    assert "x-half" not in answer.headers


async def test_a_query_or_path_that_cannot_be_decoded_is_the_clients_fault(
    open_client: OpenClient, deeds: dict[str, Any]
) -> None:
    async def ask(handler: WebHandler) -> None:
        handler.write(handler.get_argument("q"))

    deeds["ask"] = ask
    client = await open_client([(r"/(\w+)", Answers), (r"/p/(.*)", Answers)])
    assert (await client.get("/ask?q=%ff")).status_code == 400
    assert (await client.get("/ask?" + "&".join(f"a{number}=1" for number in range(1200)))).status_code == 400
    assert (await client.get("/p/%ff")).status_code == 400


async def test_methods_that_are_not_there_are_405(open_client: OpenClient) -> None:
    client = await open_client([(r"/(\w+)", Answers)])
    assert (await client.put("/x")).status_code == 405
    assert (await client.request("PROPFIND", "/x")).status_code == 405


async def test_hooks_that_change_the_body_change_its_length(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    class Rewrites(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            chunk[0] = chunk[0].upper()
            handler.write(" and more")

    async def promised(handler: WebHandler) -> None:
        handler.set_header("Content-Length", 4)
        handler.write("body")

    deeds["promised"] = promised
    answer = await (await open_client([(r"/(\w+)", Answers)], (Rewrites,))).get("/promised")
    assert (answer.text, answer.headers["content-length"]) == ("BODY and more", "13")


async def test_a_request_that_takes_too_long_is_503(open_client: OpenClient) -> None:
    told: list[str] = []

    class Slow(WebHandler):
        async def get(self) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

        async def post(self) -> None:
            raise TimeoutError  # its own, of something it asked

    client = await open_client([("/", Slow)], request_timeout=0.05)
    assert (await client.get("/")).status_code == 503
    assert (await client.post("/")).status_code == 500
    assert told == ["cancelled"]


async def test_resources_settle_before_the_first_byte_and_close_at_the_end(
    open_client: OpenClient, deeds: dict[str, Any]
) -> None:
    told: list[str] = []

    def hold(scope: RequestScope, name: str, order: int) -> None:
        async def settle(outcome: Outcome) -> None:
            told.append(f"settle {name} {outcome.is_failure} {outcome.has_returned}")
            outcome.handler.set_header(f"X-{name}", "settled")

        async def close() -> None:
            told.append(f"close {name}")

        scope.add(name, object(), order=order, settle=settle, close=close)

    async def good(handler: WebHandler) -> None:
        hold(handler.scope, "session", 20)
        hold(handler.scope, "commit", 10)
        handler.finish("good")

    async def bad(handler: WebHandler) -> None:
        hold(handler.scope, "commit", 10)
        raise ZeroDivisionError

    async def refused(handler: WebHandler) -> None:
        async def settle(outcome: Outcome) -> None:
            raise ConnectionError("the commit failed")

        handler.scope.add("commit", object(), settle=settle)
        handler.finish("ok")

    class Clears(BaseMiddleware):
        async def process_request(self, handler: Any, clear: Any) -> None:
            clear()

    deeds.update(good=good, bad=bad, refused=refused)
    client = await open_client([(r"/(\w+)", Answers)], (Clears,))
    answer = await client.get("/good")
    assert (answer.headers["x-commit"], answer.headers["x-session"]) == ("settled", "settled")
    assert (await client.get("/bad")).status_code == 500
    answer = await client.get("/refused")
    assert (answer.status_code, "ok" in answer.text) == (500, False)
    await client.get("/good")  # by then the earlier ones have closed
    assert told[:5] == [
        "settle commit False True",
        "settle session False True",
        "close commit",
        "close session",
        "settle commit True True",
    ]


async def test_decorators_of_tornado_work(open_client: OpenClient) -> None:
    class Guarded(WebHandler):
        def get_current_user(self) -> Any:
            return self.get_argument("user", None)

        @addslash
        @authenticated
        async def get(self) -> None:
            self.write(str(self.current_user))

    client = await open_client([("/x/?", Guarded)], login_url="/login")
    assert (await client.get("/x")).headers["location"] == "/x/"
    assert (await client.get("/x/")).headers["location"].startswith("/login?next=")
    assert (await client.get("/x/?user=Ann")).text == "Ann"


class Asking(WebHandler):
    """Asks a database for its user; says how often."""

    asked = 0

    async def get_current_user(self) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        return self.get_argument("user", None)


async def test_an_asynchronous_user_is_looked_up_once_and_where_it_is_asked(open_client: OpenClient) -> None:
    class Loading(Asking):
        async def get(self) -> None:
            before = self.asked
            found = [await self.load_current_user(), await self.load_current_user(), self.current_user]
            self.write({"before": before, "found": found, "asked": self.asked})

    client = await open_client([("/", Loading)])
    assert (await client.get("/?user=ann")).json() == {"before": 0, "found": ["ann"] * 3, "asked": 1}
    assert (await client.get("/")).json() == {"before": 0, "found": [None] * 3, "asked": 1}


async def test_a_plain_user_can_be_loaded_and_one_that_was_set(open_client: OpenClient) -> None:
    class Plain(WebHandler):
        def get_current_user(self) -> Any:
            return "plain"

        async def get(self) -> None:
            found = [await self.load_current_user()]
            self.current_user = "set"
            self.write({"found": [*found, await self.load_current_user(), self.current_user]})

    assert (await (await open_client([("/", Plain)])).get("/")).json() == {"found": ["plain", "set", "set"]}


class Handed(Asking):
    def get_current_user(self) -> Any:  # not `async def` itself
        return super().get_current_user()


@pytest.mark.parametrize("base", [Asking, Handed])
async def test_a_user_that_was_not_loaded_lets_no_one_pass(open_client: OpenClient, base: type[WebHandler]) -> None:
    class Guarded(base):  # type: ignore[misc, valid-type]  # a parameter
        @authenticated
        async def get(self) -> None:
            self.write("secret")

        async def post(self) -> None:
            if self.current_user:
                self.write("secret")

        def write_error(self, status_code: int, **kwargs: Any) -> Any:
            return self.finish(f"{type(kwargs['exc_info'][1]).__name__}: {kwargs['exc_info'][1]}")

    client = await open_client([("/", Guarded)], login_url="/login")
    for response in (await client.get("/?user=ann"), await client.post("/?user=ann")):
        assert response.status_code == 500
        assert response.text.startswith("NotLoaded: ")
        assert "Guarded.get_current_user is `async def`" in response.text
        assert "`await self.load_current_user()`" in response.text


async def test_a_form_s_token_needs_no_user(open_client: OpenClient, tmp_path: Path) -> None:
    class Form(Asking):
        async def get(self) -> None:
            await self.render("form.html")

        async def post(self) -> None:
            self.write(str(self.asked))

    (tmp_path / "form.html").write_text("{{ xsrf_form_html() }}")
    client = await open_client([("/", Form)], template_path=str(tmp_path), xsrf_cookies=True)
    token = (await client.get("/")).text.partition('value="')[2].partition('"')[0]
    assert (await client.post("/", data={"_xsrf": token})).text == "0"


@pytest.mark.parametrize("cache_size", [0, 400])
async def test_a_page_sets_cookies_and_headers_wherever_it_is_made(
    open_client: OpenClient, tmp_path: Path, cache_size: int
) -> None:
    """With cache_size 0 it is made in a thread, after the response was settled."""

    class Form(WebHandler):
        async def get(self) -> None:
            await self.render("form.html")

        async def post(self) -> None:
            self.write("posted")

    (tmp_path / "form.html").write_text(
        "{{ xsrf_form_html() }}{{ handler.set_header('X-A', 'a') }}{{ handler.add_header('X-B', 'b') }}"
        "{{ handler.set_status(203) }}"
    )
    engine = "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"
    with settings.override(TEMPLATE_CONFIG={"template_engine": engine, "cache_size": cache_size}):
        client = await open_client([("/", Form)], template_path=str(tmp_path), xsrf_cookies=True)
        page = await client.get("/")
        assert (page.status_code, page.headers["X-A"], page.headers["X-B"]) == (203, "a", "b")
        token = page.text.partition('value="')[2].partition('"')[0]
        assert (await client.post("/", data={"_xsrf": token})).text == "posted"


async def test_names_of_a_handler_s_own_are_added_to_all_others(open_client: OpenClient, tmp_path: Path) -> None:
    class Naming(Asking):
        def get_template_namespace(self) -> dict[str, Any]:
            return {**super().get_template_namespace(), "mine": "own"}

        async def get(self) -> None:
            await self.render("page.html", given=1)

    (tmp_path / "page.html").write_text(
        "{{ mine }} {{ given }} {{ current_user }} {{ handler.asked }} {{ request.path }} {{ _('x') }}"
        "{% raw modules.linkify('y') %}"
    )
    client = await open_client([("/", Naming)], template_path=str(tmp_path))
    assert (await client.get("/?user=ann")).text == "own 1 ann 1 / xy"


async def test_a_template_loads_the_user_where_it_says_so(open_client: OpenClient, tmp_path: Path) -> None:
    class Paging(Asking):
        async def get(self, name: str) -> None:
            await self.render(name)

        def on_finish(self) -> None:
            asked.append(self.asked)

    asked: list[int] = []
    (tmp_path / "with.html").write_text("{{ current_user }}")
    (tmp_path / "without.html").write_text("-")
    client = await open_client([("/(.*)", Paging)], template_path=str(tmp_path))
    assert (await client.get("/with.html?user=ann")).text == "ann"
    assert (await client.get("/without.html?user=ann")).text == "-"
    assert asked == [1, 0]


async def test_xsrf_protection_works(open_client: OpenClient) -> None:
    class Form(WebHandler):
        async def get(self) -> None:
            self.write(self.xsrf_token)

        async def post(self) -> None:
            self.write("posted")

    client = await open_client([("/", Form)], xsrf_cookies=True)
    assert (await client.post("/")).status_code == 403
    token = (await client.get("/")).text
    assert (await client.post("/", data={"_xsrf": token})).text == "posted"
    assert (await client.post("/nowhere")).status_code == 404


async def test_a_response_finished_later_from_elsewhere(open_client: OpenClient) -> None:
    told: list[str] = []

    class Later(WebHandler):
        _auto_finish = False

        def get(self) -> None:
            asyncio.get_running_loop().call_later(0.01, self.finish, "later")

        def on_finish(self) -> None:
            told.append("finished")

    client = await open_client([("/", Later)])
    assert (await client.get("/")).text == "later"
    assert (await client.get("/")).text == "later"
    assert told[:1] == ["finished"]


async def test_compressed_answers_take_the_general_way(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    async def long(handler: WebHandler) -> None:
        handler.set_cookie("a", "b")
        handler.write("long " * 1000)

    deeds["long"] = long
    client = await open_client([(r"/(\w+)", Answers)], compress_response=True)
    answer = await client.get("/long")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["set-cookie"].startswith("a=b")
    assert answer.text == "long " * 1000


async def test_the_lean_and_the_general_way_answer_the_same(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    async def lean(handler: WebHandler) -> None:
        handler.set_header("X-A", "1")
        handler.add_header("X-B", "2")
        handler.set_cookie("c", "3")
        handler.set_header("Date", "Sun, 22 Nov 2026 00:00:00 GMT")
        handler.write({"body": "same"})

    async def general(handler: WebHandler) -> None:
        await lean(handler)
        assert handler._headers["X-A"] == "1"  # a look closer

    deeds.update(lean=lean, general=general)
    client = await open_client([(r"/(\w+)", Answers)])
    one, other = await client.get("/lean"), await client.get("/general")
    assert one.content == other.content
    assert sorted(one.headers.multi_items()) == sorted(other.headers.multi_items())


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_what_stands_after_an_awaited_finish_runs_though_the_connection_closes(
    open_client: OpenClient, deeds: dict[str, Any], connection: str
) -> None:
    done = asyncio.Event()

    async def deed(handler: Answers) -> None:
        await handler.finish("said")
        done.set()

    deeds["finish"] = deed
    client = await open_client([("/(.*)", Answers)])
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET /finish HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n".encode())
    assert (await reader.readuntil(b"said")).startswith(b"HTTP/1.1 200 OK")
    await asyncio.wait_for(done.wait(), 5)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("check_origin", "`prepare`"),
        ("check_xsrf_cookie", "`prepare`"),
        ("initialize", "`prepare`"),
        ("on_finish", "`complete_finish`"),
        ("on_connection_close", "`application.background`"),
    ],
)
def test_a_method_that_nothing_awaits_may_not_be_async(name: str, mend: str) -> None:
    """A coroutine would be lost, or, as the answer of `check_origin`, be taken for a yes."""

    async def waits(self: WebHandler) -> bool:
        return False

    with pytest.raises(TypeError, match=rf"Page\.{name} is `async def`, but nothing awaits it\..* belongs in {mend}"):
        type("Page", (WebHandler,), {name: waits})


def test_tornados_websocket_handler_is_not_mixed_in() -> None:
    """Its handshake would wait for ever for the response hooks."""
    with pytest.raises(TypeError, match=r"Room has both .* Name torngas_aio\.handler\.WebSocketHandler in place"):
        type("Room", (tornado.websocket.WebSocketHandler, WebHandler), {})
    base = type("Base", (WebHandler,), {})
    assert type("Room", (base, WebSocketHandler), {})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("request_timeout", "5", "number of seconds"),
        ("max_body_size", "10MB", "whole number"),
        ("spool_body", "yes", "True or False"),
        ("max_json_bytes", "1", "whole number"),
        ("max_json_depth", 0, "at least 1"),
    ],
)
def test_attributes_of_a_class_are_judged_when_it_is_defined(name: str, value: Any, text: str) -> None:
    mixin = type("Mixin", (), {name: value})
    for bases, values in (((ApiHandler,), {name: value}), ((mixin, ApiHandler), {})):
        with pytest.raises(TypeError, match=f"^One.{name} = {value!r}: .*{text}"):
            type("One", bases, values)
    type("One", (ApiHandler,), {name: property(lambda self: value)})
