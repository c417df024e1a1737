"""The whitelist over a socket: the address is the one that trusted proxies vouch for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tornado import gen
from tornado.web import RequestHandler

from torngas_aio.application import Application
from torngas_aio.decorators.whitelist import whitelisted
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

OFFICE = "10.0.0.0/8"


class Methods(WebHandler):
    @whitelisted(OFFICE)
    async def get(self) -> None:
        self.write("in")

    @whitelisted
    def post(self) -> None:
        self.write("in")

    @whitelisted(OFFICE)
    @gen.coroutine
    def put(self) -> Any:
        yield gen.moment
        self.write("in")

    def delete(self) -> None:
        self.write("open")


@whitelisted(OFFICE)
class Guarded(WebHandler):
    async def get(self) -> None:
        self.write("in")


class Below(Guarded):
    async def post(self) -> None:
        self.write("in")


@whitelisted(OFFICE)
class Plain(RequestHandler):
    def get(self) -> None:
        self.write("in")


@whitelisted(OFFICE)
class Socket(WebSocketHandler):
    async def open(self, *args: str, **kwargs: str) -> None:
        await self.write_message("in")


ROUTES = [("/methods", Methods), ("/guarded", Guarded), ("/below", Below), ("/plain", Plain), ("/socket", Socket)]
GUARDED = [
    ("GET", "/methods"), ("PUT", "/methods"), ("GET", "/guarded"), ("HEAD", "/guarded"), ("GET", "/below"),
    ("POST", "/below"), ("GET", "/plain"), ("GET", "/socket"),
]  # fmt: skip


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    async with TestClient(Application(ROUTES), server_options={"xheaders": True}) as made:
        yield made


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_stranger_is_answered_403(client: TestClient, method: str, path: str) -> None:
    for forged in ("203.0.113.9", "10.0.0.1, 203.0.113.9", "10.0.0.1 203.0.113.9", "11.0.0.1"):
        answer = await client.request(method, path, headers={"X-Forwarded-For": forged})
        assert answer.status_code == 403, forged
        assert answer.text != "in"


@pytest.mark.parametrize(("method", "path"), [each for each in GUARDED if each != ("GET", "/socket")][:-1])
async def test_a_listed_address_is_let_in(client: TestClient, method: str, path: str) -> None:
    answer = await client.request(method, path, headers={"X-Forwarded-For": "203.0.113.9, 10.1.2.3"})
    assert answer.status_code == (405 if method == "HEAD" else 200)


async def test_methods_without_the_decorator_stay_open(client: TestClient) -> None:
    assert (await client.delete("/methods")).text == "open"


async def test_the_setting_is_asked_at_each_request(client: TestClient) -> None:
    assert (await client.post("/methods")).status_code == 403
    with settings.override(WHITELIST=("127.0.0.1",)):
        assert (await client.post("/methods")).status_code == 200
    assert (await client.post("/methods")).status_code == 403


async def test_without_xheaders_nobody_speaks_for_another() -> None:
    async with TestClient(Application(ROUTES), server_options={"xheaders": False}) as client:
        answer = await client.get("/guarded", headers={"X-Forwarded-For": "10.0.0.1", "X-Real-Ip": "10.0.0.1"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "said",
    [
        {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "10.1.2.3"},
        {"X-Forwarded-For": "10.1.2.3", "X-Real-IP": "203.0.113.9"},
        {"X-Real-IP": "10.1.2.3"},
        {"Forwarded": "for=10.1.2.3"},
        {"X-Forwarded-For": "10.1.2.3%x"},
        {"X-Forwarded-For": "::ffff:10.1.2.3%1"},
    ],
)
async def test_a_header_that_is_not_believed_opens_nothing(client: TestClient, said: dict[str, str]) -> None:
    """A client chose it where the proxy sets another one."""
    assert (await client.get("/guarded", headers=said)).status_code == 403
