"""The session middleware through real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.middleware.session import SessionMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

SECRET = "a long random text for these tests"


class Echo(WebHandler):
    async def get(self) -> None:
        self.write(dict(self.session))

    async def post(self) -> None:
        for name in self.request.arguments:
            self.session[name] = self.get_argument(name)


class Life(WebHandler):
    async def get(self, action: str) -> None:
        getattr(self, f"do_{action}")()

    def do_logout(self) -> None:
        self.session.expired()

    def do_login(self) -> None:
        self.session.cycle_id()
        self.session["user"] = "ann"

    def do_remember(self) -> None:
        self.session["user"] = "ann"
        self.set_expire(3600)

    def do_fail(self) -> None:
        self.session["user"] = "ann"
        raise RuntimeError("the method failed")


@pytest.fixture
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"secret_key": SECRET, **getattr(request, "param", {})}


@pytest.fixture
async def client(config: dict[str, Any], request: pytest.FixtureRequest) -> AsyncIterator[TestClient]:
    caches = {
        "default": {
            "BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache",
            "LOCATION": request.node.nodeid,
        }
    }
    with settings.override(SESSION=config, CACHES=caches):
        application = Application([(r"/", Echo), (r"/(\w+)", Life)], middlewares=[SessionMiddleware])
        async with TestClient(application) as client:
            yield client


async def test_what_one_request_puts_the_next_finds(client: TestClient) -> None:
    response = await client.post("/", data={"a": "1"})
    assert response.headers["set-cookie"].startswith("__TORNADOSSID=")
    assert "HttpOnly" in response.headers["set-cookie"]
    assert "SameSite=Lax" in response.headers["set-cookie"]
    assert (await client.get("/")).json() == {"a": "1"}
