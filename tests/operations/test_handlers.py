"""The health addresses over a socket: up and down for strangers, details for this machine and named networks."""

from typing import Any

import pytest

from torngas_aio import Application
from torngas_aio.operations.handlers import health_rules, ready_checks_of
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.mark.parametrize("path", ["/-/live", "/-/ready", "/-/startup"])
async def test_a_healthy_process_is_up(client: TestClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["status"]) == (200, "up")
    assert answer.headers["cache-control"] == "no-store"
    assert (await client.head(path)).status_code == 200


async def test_own_checks_count(client: TestClient) -> None:
    async def fine() -> None: ...

    async def broken() -> None:
        raise ConnectionError("no route to the mail server")

    checks = ready_checks_of(client.application)
    checks.add("fine", fine)
    assert (await client.get("/-/ready")).status_code == 200
    checks.add("mail", broken)
    answer = await client.get("/-/ready")
    assert answer.status_code == 503
    found = {each["name"]: each.get("error") for each in answer.json()["checks"]}
    assert found["mail"] == "no route to the mail server"
    assert found["fine"] is None
    assert (await client.get("/-/live")).status_code == 200


async def test_a_stop_that_has_begun_is_not_ready(client: TestClient) -> None:
    client.application.is_stopping.set()
    answer = await client.get("/-/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "The server is stopping.")
    assert (await client.get("/-/live")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
    ],
)
async def test_strangers_see_one_word(client: TestClient, headers: dict[str, str]) -> None:
    assert (await client.get("/-/ready", headers=headers)).json() == {"status": "up"}
    assert "checks" in (await client.get("/-/ready", headers={"Host": "localhost:1234"})).json()


async def test_named_networks_see_details(client: TestClient) -> None:
    with settings.override(HEALTH={"networks": ["127.0.0.0/8"]}):
        assert "checks" in (await client.get("/-/ready", headers={"Host": "app.internal"})).json()
        forwarded = {"Host": "app.internal", "X-Forwarded-For": "127.0.0.1"}
        assert (await client.get("/-/ready", headers=forwarded)).json() == {"status": "up"}


async def test_paths_are_settings() -> None:
    with settings.override(HEALTH={"live": "/healthz", "ready": None}):
        rules: list[Any] = health_rules()
    async with TestClient(Application(rules)) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/-/ready")).status_code == 404
