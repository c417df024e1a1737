"""Login, guards and tokens over a socket."""

import pytest

from tests.auth import site
from tests.auth.site import USERS, loads
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
