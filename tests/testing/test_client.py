"""The test client and the fixtures that users get, used as they use them."""

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
import uvloop
from httpx2.websockets import WebSocketDisconnect, WebSocketUpgradeError

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError, Http404
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient
from torngas_aio.testing.client import made_application

mark: ContextVar[str] = ContextVar("mark", default="none")


class Page(WebHandler):
    async def get(self) -> None:
        if self.get_argument("fail", None):
            raise ZeroDivisionError("on purpose")
        if self.get_argument("missing", None):
            raise Http404
        self.set_cookie("visits", str(int(self.get_cookie("visits", "0")) + 1))
        self.write({"threads": settings.THREADS_NUM, "mark": mark.get(), "visits": self.get_cookie("visits")})


class Away(WebHandler):
    async def get(self) -> None:
        await self.redirect("/")


class Parts(WebHandler):
    async def get(self) -> None:
        for part in ("one", "two", "three"):
            self.write(part)
            await self.flush()


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        if message == "fail":
            raise ZeroDivisionError("on purpose")
        await self.write_message(f"{message!s} {mark.get()} {self.get_cookie('visits')}")


@pytest.fixture
def application() -> Application:
    return Application([("/", Page), ("/away", Away), ("/parts", Parts), ("/ws", Echo)])


async def test_cookies_are_kept_and_redirects_followed_when_asked(client: TestClient) -> None:
    assert (await client.get("/")).json()["visits"] is None
    assert (await client.get("/")).json()["visits"] == "1"
    assert (await client.get("/away")).status_code == 302
    assert (await client.get("/away", follow_redirects=True)).json()["visits"] == "2"


async def test_a_request_runs_in_a_copy_of_its_callers_context(client: TestClient) -> None:
    mark.set("of the test")
    with settings.override(THREADS_NUM=77):
        inside = (await client.get("/")).json()
    outside = (await client.get("/")).json()
    assert (inside["threads"], inside["mark"]) == (77, "of the test")
    assert outside["threads"] != 77


async def test_requests_at_the_same_time_each_have_their_callers_context(client: TestClient) -> None:
    async def ask(number: int) -> tuple[str, str]:
        mark.set(str(number))
        return str(number), (await client.get("/")).json()["mark"]

    for sent, seen in await asyncio.gather(*(ask(number) for number in range(20))):
        assert sent == seen


async def test_override_settings_holds_for_the_test(client: TestClient, override_settings: Any) -> None:
    override_settings(THREADS_NUM=55)
    assert (await client.get("/")).json()["threads"] == 55


async def test_a_stream_arrives_in_parts(client: TestClient) -> None:
    async with client.stream("GET", "/parts") as response:
        assert "".join([text async for text in response.aiter_text()]) == "onetwothree"


async def test_sockets_carry_cookies_and_the_callers_context(client: TestClient) -> None:
    await client.get("/")
    mark.set("socket")
    async with client.websocket("/ws") as socket:
        await socket.send_text("hello")
        assert await socket.receive_text() == "hello socket 1"


async def test_a_socket_that_fails_is_one_error(application: Application) -> None:
    async with TestClient(application) as client:
        with pytest.raises(WebSocketDisconnect) as closed:
            await fail_in_socket(client)
        assert closed.value.code == 1011
        assert [type(error) for error in client.errors] == [ZeroDivisionError]
        with pytest.raises(WebSocketUpgradeError) as refused:
            async with client.websocket("/nowhere"):
                pass
        assert refused.value.response.status_code == 404
        with pytest.raises(AssertionError, match="of the test"):
            async with client.websocket("/ws"):
                raise AssertionError("of the test")
    async with TestClient(application, raise_errors=True) as client:
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            await fail_in_socket(client)


async def fail_in_socket(client: TestClient) -> None:
    async with client.websocket("/ws") as socket:
        await socket.send_text("fail")
        await socket.receive_text()


async def test_errors_are_kept_and_raised_when_asked(application: Application) -> None:
    async with TestClient(application) as client:
        assert (await client.get("/?fail=1")).status_code == 500
        assert [type(error) for error in client.errors] == [ZeroDivisionError]
    async with TestClient(application, raise_errors=True) as client:
        assert (await client.get("/?missing=1")).status_code == 404
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            await client.get("/?fail=1")


@pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
async def test_it_listens_on_either_door(application: Application, http_server: str) -> None:
    async with TestClient(application, http_server=http_server) as client:
        assert (await client.get("/")).headers["server"] == "torngas_aio"


async def test_settings_make_an_application() -> None:
    async with TestClient({"MIDDLEWARE_CLASSES": (), "THREADS_NUM": 3}) as client:
        assert (await client.get("/")).status_code == 404
        assert settings.THREADS_NUM == 3
    assert settings.THREADS_NUM != 3 or settings.MIDDLEWARE_CLASSES


def test_a_projects_application_has_the_addresses_that_a_server_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typed_app").mkdir()
    (tmp_path / "typed_app/__init__.py").touch()
    (tmp_path / "typed_app/urls.py").write_text(
        "from torngas_aio import ApiHandler\nfrom torngas_aio.api import Query\n"
        "class Items(ApiHandler):\n    async def get(self, page: Query[int] = 1): ...\n"
        "urls = [('/items', Items)]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    project = {"INSTALLED_APPS": ("typed_app",), "MIDDLEWARE_CLASSES": ()}

    async def statuses(application: Application) -> list[int]:
        async with TestClient(application) as client:
            return [(await client.get(path)).status_code for path in ("/-/live", "/-/openapi.json")]

    for public, status in ((True, 200), (False, 404)):
        with made_application({**project, "OPENAPI": {"public": public}}) as made:
            assert asyncio.run(statuses(made)) == [200, status]


def test_it_works_on_uvloop_and_asyncio(application: Application) -> None:
    async def ask() -> int:
        async with TestClient(application) as client:
            return (await client.get("/")).status_code

    assert uvloop.run(ask()) == 200
    assert asyncio.run(ask()) == 200


async def test_secrets_are_made_with_debug_on() -> None:
    """As at a server's start; settings with DEBUG off still want their own."""
    made = {"DEBUG": True, "MIDDLEWARE_CLASSES": ("torngas_aio.middleware.session.SessionMiddleware",)}
    async with TestClient(made) as client:
        assert len(client.application.settings["cookie_secret"]) >= 32
        assert (await client.get("/")).status_code == 404
    with pytest.raises(ConfigError, match="secret_key"):
        async with TestClient({**made, "DEBUG": False}):
            pass
