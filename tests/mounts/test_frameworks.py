"""A FastAPI and a Flask application under a URL, and raw WSGI ones, over sockets."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.http.wire import Client, get
from tests.mounts.conftest import OpenClient
from tests.polling import until
from torngas_aio import mount
from torngas_aio.auth import AuthMiddleware, LoginRequired
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.middleware.session import SessionMiddleware
from torngas_aio.settings_manager import settings


async def test_a_fastapi_application(open_client: OpenClient) -> None:
    fastapi: Any = pytest.importorskip("fastapi")
    api = fastapi.FastAPI()

    @api.get("/items/{number}", name="item")
    async def item(number: int, request: fastapi.Request) -> Any:
        return {"number": number, "url": str(request.url_for("item", number=8))}

    @api.post("/items")
    async def add(item: dict[str, int]) -> dict[str, int]:
        return item

    client = await open_client([mount("/api", api)])
    found = (await client.get("/api/items/7")).json()
    assert found == {"number": 7, "url": f"{str(client.base_url).rstrip('/')}/api/items/8"}
    assert (await client.post("/api/items", json={"a": 1})).json() == {"a": 1}
    assert (await client.post("/api/items", json=7)).status_code == 422
    assert (await client.get("/api/openapi.json")).json()["servers"] == [{"url": "/api"}]
    assert (await client.get("/api/none")).json() == {"detail": "Not Found"}


class Ends(BaseMiddleware):
    """Tells when a request has ended."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        self.statuses.append(handler.get_status())


async def test_a_client_that_leaves_a_stream_of_starlette_is_no_error(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Starlette makes a ClientDisconnect of the OSError."""
    fastapi: Any = pytest.importorskip("fastapi")
    responses: Any = pytest.importorskip("fastapi.responses")
    api = fastapi.FastAPI()

    async def numbers() -> AsyncIterator[str]:
        while True:
            yield "tick\n"
            await asyncio.sleep(0.01)

    @api.get("/ticks")
    async def ticks() -> Any:
        return responses.StreamingResponse(numbers())

    ends = Ends()
    client = await open_client([mount("/api", api)], (ends,))
    with caplog.at_level(logging.WARNING):
        async with client.stream("GET", "/api/ticks") as response:
            assert await anext(response.aiter_lines()) == "tick"
        await until(lambda: bool(ends.statuses))
    assert caplog.text == ""


async def test_a_flask_application(open_client: OpenClient) -> None:
    flask = pytest.importorskip("flask")
    app = await asyncio.to_thread(flask.Flask, __name__)

    @app.get("/hello/<name>")
    def hello(name: str) -> Any:
        return {"name": name, "url": flask.url_for("hello", name="bob"), "root": flask.request.script_root}

    @app.post("/upload")
    def upload() -> str:
        return str(len(flask.request.get_data()))

    @app.get("/fails")
    def fails() -> str:
        raise LookupError("no")

    client = await open_client([mount("/flask", app)])
    assert (await client.get("/flask/hello/ann")).json() == {
        "name": "ann", "url": "/flask/hello/bob", "root": "/flask",
    }  # fmt: skip
    assert (await client.post("/flask/upload", content=b"x" * 3_000_000)).text == "3000000"
    assert (await client.post("/flask/upload", headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await client.get("/flask/fails")).status_code == 500


class Endless:
    """A WSGI application whose answer does not end by itself."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __call__(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield b"x" * 65536
        finally:
            self.closed.set()


async def test_a_client_that_leaves_ends_the_wsgi_answer(open_client: OpenClient) -> None:
    endless = Endless()
    client = await open_client([mount("/a", endless, threads=1)])
    for _ in range(2):  # the one thread is free again
        async with await Client.connect((client.base_url.host, client.base_url.port)) as wire:
            wire.send(get("/a"))
            await wire.reader.readexactly(100_000)
        assert await asyncio.to_thread(endless.closed.wait, 10)
        endless.closed.clear()


async def test_a_cut_body_is_no_whole_one(open_client: OpenClient) -> None:
    seen: list[str] = []
    begun, ended = threading.Event(), threading.Event()

    def reads(environ: Any, start_response: Any) -> list[bytes]:
        begun.set()
        try:
            seen.append(environ["wsgi.input"].read().decode())
        except BaseException as exc:
            seen.append(type(exc).__name__)
            raise
        finally:
            ended.set()
        return []

    client = await open_client([mount("/a", reads)])
    async with await Client.connect((client.base_url.host, client.base_url.port)) as wire:
        wire.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive5")
        assert await asyncio.to_thread(begun.wait, 10)
    assert await asyncio.to_thread(ended.wait, 10)
    assert seen == ["ClientGone"]


async def test_a_wsgi_application_sees_only_fields_that_cannot_be_mistaken(open_client: OpenClient) -> None:
    def shows(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|{environ.get('HTTP_X_USER')}".encode()]

    client = await open_client([mount("/a", shows)])
    assert (await client.get("/a/b%20c", headers={"X_User": "root"})).text == "/a|/b c|None"


async def test_pages_of_a_guarded_mount_lead_to_the_login(open_client: OpenClient) -> None:
    def page(environ: Any, start_response: Any) -> list[bytes]:
        raise AssertionError("not reached")

    secret = "for these tests only, of sixty-four characters and some more of them"
    with settings.override(SESSION={**settings.SESSION, "secret_key": secret}, TORNADO_CONF={"cookie_secret": secret}):
        middlewares = (SessionMiddleware(), AuthMiddleware(), HttpModuleMiddleware((), {"admin": [LoginRequired]}))
        client = await open_client([mount("/a", page, name="admin")], middlewares)
        response = await client.get("/a/x?y=1")
        assert (response.status_code, response.headers["location"]) == (302, "/login?next=%2Fa%2Fx%3Fy%3D1")
        assert (await client.post("/a/x")).status_code == 401
