"""Messages on their way to the server: in order, held back while it is slow, none after the client has gone."""

import asyncio
from typing import Any

import pytest
from tornado.iostream import StreamClosedError

from tests.asgi.client import GONE, Site, whole
from tests.asgi.server import Server, http_scope
from torngas_aio.asgi.outbox import Outbox


@pytest.mark.parametrize("part", ["http.response.start", "http.response.body"])
async def test_a_send_that_fails_is_a_client_that_has_gone(site: Site, part: str) -> None:
    await Server(site.application, http_scope("/large"), failing=part).ended()
    assert site.notes[-1] == "closed"


async def test_a_slow_server_holds_the_handler_back(site: Site) -> None:
    server = Server(site.application, http_scope("/large"), slow=True)
    server.take(3)
    await server.said(3)
    for _ in range(20):  # the handler could run on, if it were let
        await asyncio.sleep(0)
    assert len(site.notes) <= 5
    server.take(200)
    assert len(whole(await server.ended())) == 4_000_000


async def test_a_client_that_goes_frees_a_handler_that_waits_for_room(site: Site) -> None:
    server = Server(site.application, http_scope("/large"), slow=True)
    server.take(1)
    await server.said(1)
    server.give(GONE)
    server.take(1)
    await server.ended()
    assert site.notes[-1] == "closed"


def filled(size: int) -> Outbox:
    box = Outbox()
    box.put({"type": "http.response.body", "body": b"x" * size})
    return box


@pytest.mark.parametrize(("size", "is_full"), [(0, False), (64 * 1024, False), (64 * 1024 + 1, True)])
async def test_a_writer_waits_above_64_kilobytes(size: int, is_full: bool) -> None:
    box = filled(size)
    assert box.is_full == is_full
    waiting = box.drained()
    assert waiting.done() != is_full
    box.note_sent(box.take())
    assert not box.is_full
    await waiting


async def test_what_is_taken_counts_until_it_was_sent() -> None:
    box = filled(100_000)
    message = box.take()
    assert not box
    assert box.is_full
    waiting = box.drained()
    box.note_sent(message)
    await waiting


@pytest.mark.parametrize(
    "message", [{"body": b"x" * 70_000}, {"bytes": b"x" * 70_000}, {"text": "x" * 70_000, "bytes": None}]
)
async def test_bodies_and_messages_of_sockets_weigh_alike(message: dict[str, Any]) -> None:
    box = Outbox()
    box.put({"type": "websocket.close", "code": 1000})
    assert not box.is_full
    box.put(message)
    assert box.is_full


async def test_messages_come_in_order_and_stir_the_sender() -> None:
    box = Outbox()
    assert not box.stirred.is_set()
    for number in range(3):
        box.put({"number": number})
    assert box.stirred.is_set()
    assert [box.take()["number"] for _ in range(3)] == [0, 1, 2]


async def test_once_the_client_has_gone_nothing_waits_and_nothing_is_kept() -> None:
    box = filled(100_000)
    waiting = box.drained()
    box.lose()
    with pytest.raises(StreamClosedError):
        await waiting
    assert not box
    assert not box.is_full
    box.put({"body": b"late"})
    assert not box
    with pytest.raises(StreamClosedError):
        await box.drained()
    assert box.stirred.is_set()


async def test_a_writer_that_was_cancelled_does_not_hold_up_the_others() -> None:
    box = filled(100_000)
    gone, waiting = box.drained(), box.drained()
    gone.cancel()
    box.note_sent(box.take())
    await waiting
