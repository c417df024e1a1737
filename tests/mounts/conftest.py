"""Applications with mounts, behind each front door."""

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
