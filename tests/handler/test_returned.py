"""Handlers that inherit from several, call their base class, return values, or miss a part."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from tornado import gen
from tornado.web import RequestHandler

from tests.handler.conftest import OpenClient
from tests.polling import until_still
from torngas_aio.exception import Http404
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.mixins.flash_message import FlashMessageMixIn


class WebThenApi(WebHandler, ApiHandler):
    async def get(self) -> None:
        self.write_api({"format": self.get_format()})

    async def post(self) -> None:
        raise Http404


class ApiThenWeb(ApiHandler, WebHandler):
    get = WebThenApi.get
    post = WebThenApi.post


@pytest.mark.parametrize("handler", [WebThenApi, ApiThenWeb])
async def test_pages_and_api_in_either_order(open_client: OpenClient, handler: type[WebHandler]) -> None:
    client = await open_client([("/", handler)])
    assert (await client.get("/")).json() == {"format": "json"}
    assert (await client.post("/")).headers["content-type"] == "application/problem+json"


class Asks(WebHandler):
    async def prepare(self) -> None:
        await super().prepare()
        self.told = ["prepare"]

    async def on_prepare(self) -> None:
        await super().on_prepare()
        self.told.append("on_prepare")

    async def get(self) -> None:
        if self.get_argument("fail", None):
            raise Http404
        self.write(",".join(self.told))

    async def complete_finish(self) -> None:
        await super().complete_finish()

    async def write_error(self, status_code: int, **kwargs: Any) -> None:  # type: ignore[override]  # plain in Tornado
        self.set_header("X-Own", "1")
        await super().write_error(status_code, **kwargs)


class Counts(BaseMiddleware):
    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        handler.set_header("X-Length", str(sum(map(len, chunk))))


@pytest.mark.parametrize("hooks", [(), (Counts,)], ids=["bare", "hooked"])
async def test_the_base_class_may_be_awaited(open_client: OpenClient, hooks: tuple[Any, ...]) -> None:
    client = await open_client([("/", Asks)], hooks)
    assert (await client.get("/")).text == "prepare,on_prepare"
    response = await client.get("/?fail=1")
    assert (response.status_code, response.headers["x-own"]) == (404, "1")
    assert "404" in response.text
    if hooks:
        assert response.headers["x-length"] == str(len(response.content))
    assert client.errors[0].__class__ is Http404
    assert len(client.errors) == 1


class Mixin(RequestHandler):
    async def prepare(self) -> None:
        self.set_header("X-Mixin", "1")


class Behind(WebHandler, Mixin):
    async def get(self) -> None: ...


class Plain(WebHandler):
    def prepare(self) -> None:
        super().prepare()
        self.set_header("X-Mixin", "1")

    async def get(self) -> None: ...


class Calls(Mixin, WebHandler):
    async def prepare(self) -> None:
        await super().prepare()

    async def get(self) -> None: ...


@pytest.mark.parametrize("handler", [Behind, Plain, Calls])
async def test_prepare_of_a_mixin_runs(open_client: OpenClient, handler: type[WebHandler]) -> None:
    client = await open_client([("/", handler)])
    assert (await client.get("/")).headers["x-mixin"] == "1"


def plain(self: Any) -> Any:
    return self.value


async def at_once(self: Any) -> Any:
    return self.value


async def later(self: Any) -> Any:
    await asyncio.sleep(0)
    return self.value


@gen.coroutine
def generated(self: Any) -> Any:
    yield asyncio.sleep(0)
    return self.value


HOOKS: list[tuple[Any, ...]] = [(), (Counts,)]
METHODS: list[Callable[[Any], Any]] = [plain, at_once, later, generated]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hooks", HOOKS, ids=["bare", "hooked"])
@pytest.mark.parametrize("timeout", [0, 5])
@pytest.mark.parametrize("value", [{"id": 7}, [1, 2], "text", 0, False], ids=repr)
async def test_an_api_answers_with_what_a_method_returns(
    open_client: OpenClient, method: Any, hooks: Any, timeout: float, value: Any
) -> None:
    handler = type("Api", (ApiHandler,), {"get": method, "post": method, "value": value, "request_timeout": timeout})
    client = await open_client([("/", handler)], hooks, xsrf_cookies=False)
    for verb in ("GET", "POST"):
        response = await client.request(verb, "/")
        assert response.json() == value
        assert response.headers["content-type"].startswith("application/json")


class Wrote(ApiHandler):
    async def get(self) -> Any:
        self.set_status(201)
        self.write("written")
        return {"id": 7}

    async def post(self) -> Any:
        await self.finish("finished")
        return {"id": 7}

    async def put(self) -> Any:
        self.set_status(201)
        return {"id": 7}

    async def delete(self) -> None:
        return None


async def test_an_api_that_has_an_answer_keeps_it(open_client: OpenClient) -> None:
    client = await open_client([("/", Wrote)])
    assert [(await client.request(verb, "/")).text for verb in ("GET", "POST", "DELETE")] == ["written", "finished", ""]
    response = await client.put("/", headers={"Accept": "text/javascript"})
    assert (response.status_code, response.text) == (201, '/**/callback({"id":7});')


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hooks", HOOKS, ids=["bare", "hooked"])
@pytest.mark.parametrize("debug", [True, False])
async def test_a_returned_value_is_pointed_out_in_debug(
    open_client: OpenClient, method: Any, hooks: Any, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = type("Page", (WebHandler,), {"get": method, "value": {"id": 7}})
    client = await open_client([("/", handler)], hooks, debug=debug, autoreload=False)
    assert (await client.get("/")).text == ""
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == debug
    if debug:
        assert "{'id': 7}" in told[0]
        assert "test_returned.py:" in told[0]


class Idioms(WebHandler):
    async def get(self, kind: str) -> Any:
        if kind == "finish":
            return self.finish(kind)
        if kind == "write":
            return self.write(kind)
        return self.redirect("/elsewhere")

    def post(self, kind: str) -> Any:
        return self.finish(kind)


async def test_the_usual_ways_to_return_are_silent(open_client: OpenClient, caplog: pytest.LogCaptureFixture) -> None:
    client = await open_client([("/(.*)", Idioms)], debug=True, autoreload=False)
    for verb, kind in (("GET", "finish"), ("GET", "write"), ("GET", "redirect"), ("POST", "finish")):
        assert (await client.request(verb, f"/{kind}")).status_code < 400
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []


class Lacks(WebHandler):
    async def get(self, name: str) -> None:
        assert not hasattr(self, name)
        try:
            getattr(self, name)
        except AttributeError as exc:
            self.write(str(exc))


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("session", "SessionMiddleware"),
        ("set_expire", "SessionMiddleware"),
        ("flash", "FlashMessageMixIn"),
        ("get_flashed_messages", "FlashMessageMixIn"),
    ],
)
async def test_a_part_that_is_missing_says_what_to_add(open_client: OpenClient, name: str, mend: str) -> None:
    client = await open_client([("/(.*)", Lacks)])
    assert mend in (await client.get(f"/{name}")).text


class Flashes(WebHandler, FlashMessageMixIn):
    async def get(self) -> None:
        self.flash("hello")
        self.write(str(self.get_flashed_messages(with_categories=False)))


async def test_the_mixin_may_stand_behind_the_handler(open_client: OpenClient) -> None:
    client = await open_client([("/", Flashes)], cookie_secret="secret" * 8)
    assert (await client.get("/")).text == "['hello']"


class Socket(WebSocketHandler):
    async def prepare(self) -> None:
        await super().prepare()

    async def on_message(self, message: Any) -> None:
        await self.write_message(message)


async def test_sockets_may_await_it_too(open_client: OpenClient) -> None:
    client = await open_client([("/", Socket)])
    async with client.websocket("/") as socket:
        await socket.send_text("x")
        assert await socket.receive_text() == "x"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_flushes_of_a_stream_in_any_order_of_awaiting(open_client: OpenClient, method: str) -> None:
    class Stream(WebHandler):
        async def get(self) -> None:
            parts = []
            for number in range(5):
                self.write(f"{number},")
                part = self.flush()
                parts.append(part)
                if number % 2:
                    await part
                    await part
            for part in reversed(parts):
                await part
            last = self.flush()
            self.finish("end")
            await last

        head = get

    client = await open_client([("/", Stream)])
    response = await client.request(method, "/")
    assert response.text == ("0,1,2,3,4,end" if method == "GET" else "")


async def test_a_flush_waits_for_a_client_that_does_not_read(open_client: OpenClient) -> None:
    """A part that cannot leave at once is awaited, as before."""
    sent = 0

    class Stream(WebHandler):
        async def get(self) -> None:
            nonlocal sent
            while True:
                self.write(b"x" * 65536)
                await self.flush()
                sent += 1
                await asyncio.sleep(0)

    client = await open_client([("/", Stream)])
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert 0 < await until_still(lambda: sent) < 1000
    writer.transport.abort()
    del reader
