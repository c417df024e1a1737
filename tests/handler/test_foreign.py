"""Handlers of plain Tornado behind our server: the call hooks guard them, and what they break ends their connection."""

from typing import Any

from tornado.web import HTTPError, RequestHandler

from tests.handler.conftest import OpenClient
from tests.http.wire import Client, get
from torngas_aio.middleware import BaseMiddleware


async def test_a_call_hook_guards_foreign_handlers_too(open_client: OpenClient) -> None:
    ran: list[Any] = []

    class Foreign(RequestHandler):
        def get(self) -> None:
            ran.append(self)

    class Guard(BaseMiddleware):
        async def process_call(self, request: Any, clear: Any) -> None:
            raise HTTPError(403)

    assert (await (await open_client([("/", Foreign)], (Guard,))).get("/")).status_code == 403
    assert ran == []


class BadHead(RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Length", "3")
        self.finish("longer than three")


async def test_a_foreign_handlers_bad_head_ends_the_connection(open_client: OpenClient) -> None:
    """Tornado's handler believes that its head has left: no answer may be taken for the next one's."""
    client = await open_client([("/", BadHead)])
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        wire.send(get("/"))
        assert await wire.rest() == b""
