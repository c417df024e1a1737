"""A client for handlers: give `open_client` their routes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.testing import TestClient

OpenClient = Callable[..., Awaitable[TestClient]]


@pytest.fixture(params=["tornado", "torngas_aio"])
def door(request: pytest.FixtureRequest) -> str:
    """The HTTP server under test."""
    return str(request.param)


@pytest.fixture
async def open_client(door: str) -> AsyncIterator[OpenClient]:
    """A function of routes, middlewares and settings that gives a client of their application."""
    async with AsyncExitStack() as stack:

        async def open_one(routes: list[Any], middlewares: tuple[Any, ...] = (), **settings: Any) -> TestClient:
            application = Application(routes, middlewares=middlewares, **settings)
            return await stack.enter_async_context(TestClient(application, http_server=door))

        yield open_one
