"""Login, guards and tokens over a socket."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.auth import site
from tests.auth.site import SECRET, USERS, loads
from tests.db.models import User
from tests.db.support import configured, maria, prepared
from tests.services import mariadb
from torngas_aio import Application, WebHandler
from torngas_aio.auth import LoginMixIn
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


async def test_login_and_logout(client: TestClient) -> None:
    assert (await client.get("/open")).json() == {"name": None, "seen": 1}
    before = dict(client.cookies)
    assert (await client.post("/login/7")).json() == {"name": "ann"}
    assert dict(client.cookies) != before  # a new id
    assert (await client.get("/open")).json() == {"name": "ann", "seen": 2}
    assert loads == ["7"]
    await client.delete("/login/7")
    assert (await client.get("/open")).json() == {"name": None, "seen": 1}


async def test_the_api_s_document_and_page_know_who_is_logged_in(client: TestClient) -> None:
    with settings.override(OPENAPI_GUARD=f"{site.__name__}.is_logged_in"):
        assert "/token" not in (await client.get("/openapi.json")).json()["paths"]
        assert (await client.get("/docs/", follow_redirects=False)).status_code == 302
        await client.post("/login/7")
        assert "/token" in (await client.get("/openapi.json")).json()["paths"]
        assert (await client.get("/docs/")).status_code == 200


async def test_another_user_gets_nothing_of_the_one_before(client: TestClient) -> None:
    await client.post("/login/7")
    await client.get("/open")
    await client.post("/login/8")
    assert (await client.get("/open")).json() == {"name": "bob", "seen": 1}


async def test_a_user_who_is_no_more_is_logged_out(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.post("/login/8")
    monkeypatch.delitem(USERS, "8")
    assert (await client.get("/open")).json()["name"] is None
    assert (await client.get("/page", follow_redirects=False)).status_code == 302


class NewUser(LoginMixIn, WebHandler):
    async def get(self) -> None:
        self.write({"name": self.current_user and self.current_user.name})

    async def post(self) -> None:
        await self.login(SimpleNamespace(id=1))


async def find_user(key: str) -> User | None:
    return await User.Q.filter_by(id=int(key)).first()


async def get_user(key: str) -> User | None:
    found: User | None = await User.Q.get(int(key))
    return found


@pytest.mark.mariadb
@pytest.mark.parametrize("load", [find_user, get_user])
async def test_a_user_whom_a_slave_does_not_have_yet_stays_logged_in(load: Callable[[str], Awaitable[Any]]) -> None:
    cluster = mariadb.shared_cluster()
    middlewares = ["dbalchemy.DBAlchemyMiddleware", "session.SessionMiddleware"]
    application = Application(
        [("/", NewUser)],
        middlewares=[*(f"torngas_aio.middleware.{each}" for each in middlewares), "torngas_aio.auth.AuthMiddleware"],
        cookie_secret=SECRET,
    )
    session = {**settings.SESSION, "secret_key": SECRET}
    with configured(maria(cluster), AUTH={"load_user": load}, SESSION=session):
        async with prepared(cluster), TestClient(application) as client:
            await client.post("/")
            cluster.stop_replication()
            try:
                cluster.master.execute("INSERT INTO users (id, name, visits) VALUES (1, 'ann', 0)", mariadb.DATABASE)
                assert [(await client.get("/")).json() for _ in range(3)] == [{"name": "ann"}] * 3
                cluster.master.execute("DELETE FROM users", mariadb.DATABASE)
                assert (await client.get("/")).json() == {"name": None}
                cluster.master.execute("INSERT INTO users (id, name, visits) VALUES (1, 'eve', 0)", mariadb.DATABASE)
                assert (await client.get("/")).json() == {"name": None}, "its session was ended"
            finally:
                cluster.start_replication()
