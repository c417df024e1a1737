"""Flash messages: said once, shown once, in one signed cookie."""

from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.exception import ArgumentError
from torngas_aio.handler import WebHandler
from torngas_aio.i18n import lazy_gettext
from torngas_aio.mixins.flash_message import COOKIE_NAME, FlashMessageMixIn
from torngas_aio.testing import TestClient


class Says(FlashMessageMixIn, WebHandler):
    async def get(self) -> None:
        for word in self.get_arguments("say"):
            self.flash(word, self.get_argument("category", "message"))
        if self.get_argument("show", None):
            only = self.get_arguments("only")
            pairs = self.get_argument("pairs", "yes") == "yes"
            self.write({"messages": self.get_flashed_messages(pairs, only)})


@pytest.fixture
def application() -> Application:
    return Application([("/", Says)], cookie_secret="a secret for tests")


async def shown(client: TestClient, query: str = "") -> Any:
    return (await client.get(f"/?show=1{query}")).json()["messages"]


async def test_several_messages_arrive_in_the_next_request_and_only_there(client: TestClient) -> None:
    await client.get("/?say=one&say=two")
    await client.get("/?say=three&category=warning")
    assert await shown(client) == [["message", "one"], ["message", "two"], ["warning", "three"]]
    assert await shown(client) == []
    assert COOKIE_NAME not in client.cookies


async def test_a_message_can_be_shown_in_the_request_that_says_it(client: TestClient) -> None:
    answer = await client.get("/?say=now&show=1")
    assert answer.json()["messages"] == [["message", "now"]]
    assert "set-cookie" not in answer.headers


async def test_a_lazy_text_is_said_in_the_language_of_the_request_that_says_it() -> None:
    class Lazy(FlashMessageMixIn, WebHandler):
        async def get(self) -> None:
            self.flash(lazy_gettext("Saved."))
            self.write({"messages": self.messages()})

    async with TestClient(Application([("/", Lazy)], cookie_secret="a secret for tests")) as client:
        assert (await client.get("/")).json() == {"messages": [["message", "Saved."]]}


async def test_messages_are_chosen_by_category(client: TestClient) -> None:
    await client.get("/?say=a&category=info")
    await client.get("/?say=b&category=error")
    assert await shown(client, "&only=error&pairs=no") == ["b"]
    assert await shown(client) == []


async def test_the_cookie_is_guarded(client: TestClient) -> None:
    answer = await client.get("/?say=你好")
    attributes = answer.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=lax" in attributes
    value = client.cookies[COOKIE_NAME]
    client.cookies.clear()
    client.cookies.set(COOKIE_NAME, value[:-1] + ("0" if value[-1] != "0" else "1"))
    assert await shown(client) == []


async def test_the_cookie_stays_within_what_browsers_keep(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(12):
        answer = await client.get("/", params={"say": f"{number:02}" + "x" * 498})
        assert len(answer.headers["set-cookie"]) < 4096
    messages = await shown(client)
    assert messages[-1][1].startswith("11")
    assert len(messages) < 12
    assert "was left out for newer ones" in caplog.text
    assert (await client.get("/", params={"say": "x" * 5000})).status_code == 500
    assert isinstance(client.errors[-1], ArgumentError)


async def test_visitors_never_see_each_others_messages(application: Application) -> None:
    async with TestClient(application) as client:
        for _ in range(20):
            await client.get("/?say=mine")
            mine = f"{COOKIE_NAME}={client.cookies[COOKIE_NAME]}"
            client.cookies.clear()
            assert await shown(client) == []
            answer = await client.get("/?show=1", headers={"Cookie": mine})
            assert answer.json()["messages"] == [["message", "mine"]]
