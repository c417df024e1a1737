"""What an ASGI server may do to a WebSocket, and uvicorn cannot be made to do."""

import asyncio
import struct
from typing import Any

import pytest

from tests.asgi.server import Server, socket_scope
from torngas_aio.application import Application
from torngas_aio.handler import WebHandler, WebSocketHandler

CONNECT = {"type": "websocket.connect"}
COMPRESSION = [(b"host", b"test"), (b"sec-websocket-extensions", b"permessage-deflate")]


class Site:
    """An application, and what its handlers have noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.may_go_on = asyncio.Event()
        notes, may_go_on = self.notes, self.may_go_on

        class Echo(WebSocketHandler):
            def get_compression_options(self) -> dict[str, Any]:
                return {}

            async def on_message(self, message: str | bytes) -> None:
                await self.write_message(message, binary=isinstance(message, bytes))

            def on_close(self) -> None:
                notes.append(f"closed {self.close_code} {self.close_reason}")

        class Protocols(Echo):
            def select_subprotocol(self, subprotocols: list[str]) -> str | None:
                notes.append(f"offered {' '.join(subprotocols)}")
                return subprotocols[-1]

        class Slow(Echo):
            async def on_message(self, message: str | bytes) -> None:
                notes.append("message")
                await may_go_on.wait()

        class Floods(Echo):
            async def on_message(self, message: str | bytes) -> None:
                for _ in range(100):
                    await self.write_message(b"x" * 40_000, binary=True)
                    notes.append("written")

        class Guarded(WebHandler):
            def get(self) -> None:
                self.set_status(401)
                self.write("no")

        class Late(Echo):
            async def prepare(self) -> None:
                notes.append("preparing")
                await may_go_on.wait()

        self.application = Application(
            [
                (r"/", Echo),
                (r"/slow", Slow),
                (r"/floods", Floods),
                (r"/guarded", Guarded),
                (r"/late", Late),
                (r"/protocols", Protocols),
            ]
        )


@pytest.fixture
async def site() -> Any:
    site = Site()
    yield site
    site.may_go_on.set()
    await site.application.shutdown()


def message(text: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text}


def gone(code: int | None, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


async def test_a_handshake_over_http_2_and_no_compression(site: Site) -> None:
    server = Server(site.application, socket_scope(headers=COMPRESSION), [CONNECT])
    await server.said(1)
    server.give(message("hello"))
    accepted, echoed = await server.said(2)
    assert accepted == {"type": "websocket.accept", "subprotocol": None, "headers": accepted["headers"]}
    assert b"sec-websocket-extensions" not in dict(accepted["headers"])
    assert echoed == {"type": "websocket.send", "text": "hello"}
    server.give(gone(1000))
    await server.ended()


@pytest.mark.parametrize("headers", [[], [(b"sec-websocket-protocol", b"a, b")]])
async def test_subprotocols_come_by_header_or_by_scope(site: Site, headers: list[Any]) -> None:
    scope = socket_scope("/protocols", headers=[(b"host", b"test"), *headers], subprotocols=["a", "b"])
    server = Server(site.application, scope, [CONNECT])
    assert (await server.said(1))[0]["subprotocol"] == "b"
    assert site.notes == ["offered a b"]
    server.give(gone(1000))
    await server.ended()


@pytest.mark.parametrize("wrong", ["\ud800", {"type": "websocket.receive"}, gone(70_000), gone(-1)])
async def test_a_message_that_makes_no_sense_ends_the_socket(site: Site, wrong: Any) -> None:
    """The server is told; a socket that hears nothing any more would stay open."""
    server = Server(site.application, socket_scope(), [CONNECT])
    await server.said(1)
    server.give(message(wrong) if isinstance(wrong, str) else wrong)
    with pytest.raises((UnicodeError, KeyError, struct.error)):
        await server.ended()
    assert site.notes == ["closed None None"]


@pytest.mark.parametrize(
    ("code", "reason", "noted"),
    [
        (4000, "so long", "closed 4000 so long"),
        (1001, "ä" * 100, f"closed 1001 {'ä' * 61}"),
        (1005, "", "closed None None"),
        (1006, "", "closed None None"),
        (None, "", "closed None None"),
    ],
)
async def test_the_client_s_last_word_is_told(site: Site, code: int | None, reason: str, noted: str) -> None:
    server = Server(site.application, socket_scope(), [CONNECT])
    await server.said(1)
    server.give(gone(code, reason))
    await server.ended()
    assert site.notes == [noted]


async def test_a_client_that_goes_before_it_is_accepted(site: Site) -> None:
    server = Server(site.application, socket_scope("/late"), [CONNECT, gone(1006)])
    while server.receives < 2:
        await asyncio.sleep(0)
    site.may_go_on.set()
    assert await server.ended() == []


async def test_a_send_that_fails_ends_the_socket(site: Site) -> None:
    server = Server(site.application, socket_scope(), [CONNECT], failing="websocket.send")
    await server.said(1)
    server.give(message("hello"))
    await server.ended()
    assert site.notes == ["closed None None"]


async def test_a_refusal_where_the_server_can_say_why(site: Site) -> None:
    scope = socket_scope("/guarded", extensions={"websocket.http.response": {}})
    start, *parts = await Server(site.application, scope, [CONNECT]).ended()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert b"".join(part["body"] for part in parts) == b"no"


async def test_a_refusal_where_the_server_cannot(site: Site) -> None:
    sent = await Server(site.application, socket_scope("/guarded"), [CONNECT]).ended()
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_slow_handler_is_not_fed_on(site: Site) -> None:
    server = Server(site.application, socket_scope("/slow"), [CONNECT])
    await server.said(1)
    for _ in range(100):
        server.give(message("x" * 10_000))
    while "message" not in site.notes:
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    assert server.receives < 30
    site.may_go_on.set()
    while site.notes.count("message") < 100:
        await asyncio.sleep(0)
    server.give(gone(1000))
    await server.ended()


async def test_a_slow_client_holds_the_handler_back(site: Site) -> None:
    server = Server(site.application, socket_scope("/floods"), [CONNECT], slow=True)
    server.take(1)
    await server.said(1)
    server.give(message("go"))
    server.take(1)
    await server.said(2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert site.notes.count("written") < 10
    server.take(99)
    assert len((await server.said(101))[1:]) == 100
    server.give(gone(1000))
    await server.ended()
