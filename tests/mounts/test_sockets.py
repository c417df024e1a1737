"""WebSockets of mounted ASGI applications, over sockets, behind each front door."""

import asyncio
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.mounts.conftest import OpenClient, Site, answer
from tests.mounts.test_running import Refuses
from torngas_aio import mount
from torngas_aio.application import Application
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Sockets(Site):
    async def on_talk(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[-1],
                    "headers": [(b"x-accepted", scope["root_path"].encode())]})  # fmt: skip
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", **{key: message[key] for key in message if key != "type"}})
        await self.note(f"{message['type']} {message['code']} {message['reason']}")

    async def on_closes(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    async def on_returns(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def on_fails_open(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise ValueError("no")

    async def on_slow(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await self.note("accepted")
        await self.may_go_on.wait()
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError:
            await self.note("OSError")

    async def on_refuses(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    async def on_denies(self, scope: Any, receive: Any, send: Any) -> None:
        assert "websocket.http.response" in scope["extensions"]
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x", b"y")]})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def on_sends_first(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.send", "text": "x"})


@pytest.fixture
async def site() -> Sockets:
    return Sockets()


def address(client: Any, path: str) -> str:
    return f"ws://{client.base_url.host}:{client.base_url.port}{path}"


async def test_messages_go_both_ways(open_client: OpenClient, site: Sockets) -> None:
    client = await open_client([mount("/a", site)])
    async with connect(address(client, "/a/talk"), subprotocols=[websockets.Subprotocol("p")]) as socket:
        assert socket.response is not None
        assert (socket.subprotocol, socket.response.headers["x-accepted"]) == ("p", "/a")
        for message in ("text", b"bytes", "", "x" * 100_000):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.close(4000, "bye")
    await site.until("websocket.disconnect 4000 bye")


async def test_a_client_that_is_cut_off_is_a_disconnect(open_client: OpenClient, site: Sockets) -> None:
    client = await open_client([mount("/a", site)])
    socket = await connect(address(client, "/a/talk"))
    socket.transport.abort()
    await site.until("websocket.disconnect 1006 ")


@pytest.mark.parametrize(("name", "code"), [("closes", 4001), ("returns", 1000), ("fails_open", 1011)])
async def test_how_the_application_ends_is_the_close_code(
    open_client: OpenClient, site: Sockets, name: str, code: int
) -> None:
    client = await open_client([mount("/a", site)])
    async with connect(address(client, f"/a/{name}")) as socket:
        with pytest.raises(ConnectionClosed) as error:
            await socket.recv()
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == code


@pytest.mark.parametrize(
    ("name", "status"), [("refuses", 403), ("denies", 418), ("fails", 500), ("silent", 500), ("sends_first", 500)]
)
async def test_a_handshake_that_is_not_accepted(open_client: OpenClient, site: Sockets, name: str, status: int) -> None:
    client = await open_client([mount("/a", site)])
    with pytest.raises(InvalidStatus) as error:
        await connect(address(client, f"/a/{name}"))
    assert error.value.response.status_code == status


async def test_sending_to_a_client_that_has_gone_is_an_oserror(open_client: OpenClient, site: Sockets) -> None:
    client = await open_client([mount("/a", site)])
    async with connect(address(client, "/a/slow")):
        await site.until("accepted")
    site.may_go_on.set()
    await site.until("OSError")


@pytest.mark.parametrize("origin", ["https://evil.test", "null"])
async def test_pages_of_other_sites_open_no_socket(open_client: OpenClient, site: Sockets, origin: str) -> None:
    client = await open_client([mount("/a", site)])
    with pytest.raises(InvalidStatus) as error:
        await connect(address(client, "/a/talk"), origin=websockets.Origin(origin))
    assert error.value.response.status_code == 403


async def test_guards_stand_before_sockets(open_client: OpenClient, site: Sockets) -> None:
    with settings.override(ROUTE_MODULES={"admin": [Refuses]}):
        client = await open_client([mount("/a", site, name="admin")], (HttpModuleMiddleware(),))
        with pytest.raises(InvalidStatus) as error:
            await connect(address(client, "/a/talk"))
    assert error.value.response.status_code == 403
    assert site.notes == ["lifespan.startup"]


@pytest.mark.parametrize("door", ["torngas_aio", "tornado"])
async def test_a_stop_closes_sockets_with_1001(site: Sockets, door: str) -> None:
    async with TestClient(Application([mount("/a", site)]), http_server=door) as client:
        socket = await connect(address(client, "/a/talk"))
        receiving = asyncio.ensure_future(socket.recv())
    with pytest.raises(ConnectionClosed) as error:
        await receiving
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == 1001
    await site.until("websocket.disconnect 1001 The server is going away.")


async def test_requests_beside_sockets(open_client: OpenClient) -> None:
    async def both(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send, b"page")

    client = await open_client([mount("/a", both)])
    assert (await client.get("/a")).text == "page"
