"""Servers on free ports, on both event loops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import uvloop

from tests.http.wire import Served
from torngas_aio.http.server import HTTPServer

Start = Callable[..., Awaitable[Served]]


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test on asyncio's own loop and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server for an application: `await start(application, **options)`."""
    servers: list[HTTPServer] = []

    async def start_server(application: Any, **options: Any) -> Served:
        server = HTTPServer(application, **options)
        sockets = server.listen(0, "127.0.0.1")
        servers.append(server)
        await server.started()
        return Served(server, sockets[0].getsockname())

    yield start_server
    for server in servers:
        server.stop()
        await server.stop_gracefully(0.2)
        assert not server.server_state.running
        assert not server.server_state.connections
