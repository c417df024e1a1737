"""Applications with mounts, behind each front door."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from tornado.netutil import bind_sockets

from tests.contracts.front_doors.conftest import Uvicorn
from torngas_aio.application import Application
from torngas_aio.testing import TestClient

OpenClient = Callable[..., Awaitable[httpx2.AsyncClient]]


@pytest.fixture(params=["torngas_aio", "tornado", "asgi"])
def door(request: pytest.FixtureRequest) -> str:
    """What listens."""
    return str(request.param)


@pytest.fixture
async def open_client(door: str) -> AsyncIterator[OpenClient]:
    """A function of routes, middlewares and settings that gives a client of their application."""
    async with AsyncExitStack() as stack:

        async def open_one(routes: list[Any], middlewares: tuple[Any, ...] = (), **settings: Any) -> httpx2.AsyncClient:
            application = Application(routes, middlewares=middlewares, **settings)
            if door != "asgi":
                return await stack.enter_async_context(TestClient(application, http_server=door))
            server = Uvicorn(application, {})
            sockets = bind_sockets(0, "127.0.0.1")
            await server.start(sockets)
            stack.push_async_callback(server.stop)
            url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
            return await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False))

        yield open_one


SHOWN = ("type", "method", "path", "root_path", "http_version", "scheme", "subprotocols", "state")


class Site:
    """A raw ASGI application that does what the path says, and notes what it sees."""

    def __init__(self) -> None:
        self.notes: list[Any] = []
        self.may_go_on = asyncio.Event()
        self.noted = asyncio.Condition()

    async def note(self, what: Any) -> None:
        async with self.noted:
            self.notes.append(what)
            self.noted.notify_all()

    async def until(self, what: Any) -> None:
        async with asyncio.timeout(10), self.noted:
            await self.noted.wait_for(lambda: what in self.notes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = "lifespan" if scope["type"] == "lifespan" else scope["path"].rpartition("/")[2] or "index"
        await getattr(self, f"on_{name}", self.on_index)(scope, receive, send)

    async def on_lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            event = (await receive())["type"]
            self.notes.append(event)
            scope["state"]["started"] = True
            await send({"type": f"{event}.complete"})

    async def on_index(self, scope: Any, receive: Any, send: Any) -> None:
        shown = {name: scope[name] for name in SHOWN if name in scope}
        shown |= {name: scope[name].decode() for name in ("raw_path", "query_string")}
        shown["headers"] = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        await answer(send, json.dumps(shown).encode(), headers=[(b"content-type", b"application/json")])

    async def on_echo(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
        while True:
            message = await receive()
            await send({"type": "http.response.body", "body": message["body"], "more_body": message["more_body"]})
            await self.note(f"{len(message['body'])} {message['more_body']}")
            if not message["more_body"]:
                return

    async def on_flood(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                await self.note("sent")
        except OSError:
            await self.note("gone")
            raise

    async def on_waits(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (message := await receive())["type"] != "http.disconnect":
            pass
        await self.note(message["type"])

    async def on_cancelled(self, scope: Any, receive: Any, send: Any) -> None:
        await self.note("waiting")
        try:
            await asyncio.Event().wait()
        finally:
            self.notes.append("cancelled")

    async def on_fails(self, scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no")

    async def on_fails_late(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise ValueError("late")

    async def on_silent(self, scope: Any, receive: Any, send: Any) -> None:
        pass

    async def on_half(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def on_odd_status(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 101})

    async def on_odd_header(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"", headers=[(b"x", b"a\r\nset-cookie: b")])

    async def on_head(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"", headers=[(b"content-length", b"7")])

    async def on_unmodified(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"not sent", status=304)

    async def on_swallows(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            while (await receive())["more_body"]:
                pass
        except Exception:  # noqa: BLE001  as frameworks do
            await answer(send, b"mine", status=500)
        else:
            await answer(send, b"", status=201)

    async def on_user(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, str(scope["torngas_aio.handler"].current_user).encode())


async def answer(send: Any, body: bytes, status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def site() -> Site:
    return Site()
