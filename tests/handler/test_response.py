"""The answer being made."""

import asyncio
from typing import Any

import pytest

from tests.handler.conftest import Answers, OpenClient
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import BaseMiddleware


async def test_status_headers_and_body_are_settled_at_finish(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    told: list[str] = []

    async def late(handler: WebHandler) -> None:
        handler.set_header("X-One", "1")
        handler.finish("settled")
        handler.set_status(500)
        handler.set_header("X-One", "2")
        handler.add_header("X-Two", "2")
        handler.set_cookie("late", "1")
        handler.clear()
        for again in (handler.write, handler.finish):
            try:
                again("more")
            except RuntimeError as error:
                told.append(str(error))

    class Slow(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            await asyncio.sleep(0)
            handler.set_header("X-Hook", "1")
            handler.write("+hook")

    deeds["late"] = late
    for middlewares in ((), (Slow,)):
        client = await open_client([(r"/(\w+)", Answers)], middlewares)
        answer = await client.get("/late")
        assert (answer.status_code, answer.headers["x-one"]) == (200, "1")
        assert answer.text == ("settled+hook" if middlewares else "settled")
        assert "x-two" not in answer.headers
        assert "set-cookie" not in answer.headers
    assert told == ["Cannot write() after finish()", "finish() called twice"] * 2


async def test_a_coroutine_given_to_write_is_refused(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    async def text() -> str:
        return "never awaited"

    async def wrong(handler: WebHandler) -> None:
        with pytest.raises(TypeError, match="await it first"):
            handler.write(text())
        with pytest.raises(TypeError, match="wrap it in a dict"):
            handler.write([1])
        handler.write("right", 201)

    deeds["wrong"] = wrong
    answer = await (await open_client([(r"/(\w+)", Answers)])).get("/wrong")
    assert (answer.status_code, answer.text) == (201, "right")


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nb", "nul\0", "\x7f"])
async def test_no_header_can_be_smuggled_in(open_client: OpenClient, deeds: dict[str, Any], value: str) -> None:
    async def smuggle(handler: WebHandler) -> None:
        for attempt in (
            lambda: handler.set_header("X-A", value),
            lambda: handler.add_header("X-A", value),
            lambda: handler.set_header(f"X-{value}", "a"),
            lambda: handler.redirect(f"/{value}"),
        ):
            with pytest.raises(ValueError, match=r"(?i)header"):
                attempt()
        handler.clear()
        handler.write("clean")

    deeds["smuggle"] = smuggle
    answer = await (await open_client([(r"/(\w+)", Answers)])).get("/smuggle")
    assert (answer.status_code, answer.text) == (200, "clean")
    assert not {"x", "x-a"} & set(answer.headers)


async def test_a_body_where_none_may_be_is_an_error(open_client: OpenClient, deeds: dict[str, Any]) -> None:
    async def body(handler: WebHandler) -> None:
        handler.set_status(204)
        handler.finish("no")

    async def none(handler: WebHandler) -> None:
        handler.set_status(204)

    class Footer(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            chunk.append(b"footer")

    deeds.update(body=body, none=none)
    for middlewares in ((), (Footer,)):
        client = await open_client([(r"/(\w+)", Answers)], middlewares)
        assert (await client.get("/body")).status_code == 500
        answer = await client.get("/none")
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers


@pytest.mark.parametrize("where", ["setting", "attribute", "method"])
async def test_an_etag_is_made_where_it_is_asked_for(open_client: OpenClient, where: str) -> None:
    class Tagged(WebHandler):
        use_etag = True if where == "attribute" else None

        async def get(self) -> None:
            self.write("same")

    class Own(Tagged):
        def compute_etag(self) -> str:
            return '"own"'

    client = await open_client([("/", Own if where == "method" else Tagged)], etag=where == "setting")
    tag = (await client.get("/")).headers["etag"]
    answer = await client.get("/", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
    plain = await open_client([("/", type("Plain", (WebHandler,), {"get": Tagged.get}))])
    assert "etag" not in (await plain.get("/")).headers


@pytest.mark.parametrize("way", ["set_header", "add_header"])
async def test_a_header_with_other_letters_says_how_to_send_them(open_client: OpenClient, way: str) -> None:
    class Named(WebHandler):
        async def get(self) -> None:
            with pytest.raises(ValueError, match=r"beyond Latin-1\. Quote it .* `filename\*=UTF-8''`"):
                getattr(self, way)("Content-Disposition", "attachment; filename=玩家.csv")
            getattr(self, way)("Content-Disposition", "attachment; filename=玩家.csv".encode())
            self.write("kept")

    answer = await (await open_client([("/", Named)])).get("/")
    assert answer.headers["Content-Disposition"] == "attachment; filename=玩家.csv"
