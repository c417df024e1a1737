"""Health checks over a socket: up and down for strangers, details for this machine."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.db.conftest import sqlite
from tests.polling import until
from tests.services.redis import RedisServer
from torngas_aio import Application, _cleanup
from torngas_aio.cache import caches
from torngas_aio.channels import channels
from torngas_aio.jobs import jobs
from torngas_aio.operations import health
from torngas_aio.operations.handlers import health_rules, ready_checks_of
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

__all__ = ["sqlite"]


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)


@pytest.mark.parametrize("swallows", [0, 1, 5])
async def test_a_check_that_hangs_fails_in_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, swallows: int
) -> None:
    """Also where it swallows its cancellation."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(_cleanup, "CANCEL_SECONDS", 0.02)
    released = asyncio.Event()

    async def slow() -> None:
        left = swallows
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                left -= 1
                if left < 0:
                    raise

    ready_checks_of(client.application).add("slow", slow)
    answer = await client.get("/-/ready")
    released.set()
    assert answer.status_code == 503
    assert answer.json()["checks"][-1]["error"] == "no answer within 0.05 s"


async def test_one_run_answers_all_who_ask(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 60.0)
    runs: list[int] = []

    async def count() -> None:
        runs.append(1)
        await asyncio.sleep(0.01)

    ready_checks_of(client.application).add("counted", count)
    await asyncio.gather(*(client.get("/-/ready") for _ in range(20)))
    await client.get("/-/ready")
    assert len(runs) == 1


@pytest.mark.redis
@pytest.mark.parametrize(
    ("setting", "backend", "name", "use"),
    [
        ("CACHES", "cache.backends.rediscache.RedisCache", "cache default", lambda: caches["default"].set("a", 1)),
        ("CHANNELS", "channels.redis.RedisChannels", "channels default", lambda: channels.publish("a", 1)),
        ("JOBS", "jobs.redis.RedisJobs", "jobs default", lambda: jobs["default"].put("mail", b"{}")),
    ],
)
async def test_a_store_that_dies_and_comes_back(
    setting: str, backend: str, name: str, use: Callable[[], Awaitable[object]]
) -> None:
    with RedisServer() as server:
        entry = {"BACKEND": f"torngas_aio.{backend}", "LOCATION": server.url, "OPTIONS": {"DEADLINE": 0.5}}
        with settings.override(**{setting: {"default": entry}}):
            async with TestClient(Application(health_rules())) as client:
                assert (await client.get("/-/ready")).json()["checks"] == []  # not in use yet
                await use()
                assert [each["name"] for each in (await client.get("/-/ready")).json()["checks"]] == [name]
                server.process.kill()
                answer = await client.get("/-/ready")
                assert answer.status_code == 503
                assert name in answer.text
                server.process.restart()

                async def is_ready() -> bool:
                    return (await client.get("/-/ready")).status_code == 200

                await until(is_ready)


async def test_a_database_in_use_is_checked(sqlite: dict[str, Any]) -> None:
    from tests.db.models import User
    from tests.db.support import configured, prepared
    from torngas_aio.db.dbalchemy import session_scope

    with configured(sqlite):
        async with prepared(), TestClient(Application(health_rules())) as client:
            async with session_scope() as session:
                await session.query(User).count()
            names = [each["name"] for each in (await client.get("/-/ready")).json()["checks"]]
            assert "database default master" in names


async def test_a_check_that_swallows_its_cancellation_is_left_behind_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it counts again as soon as it has ended."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(_cleanup, "CANCEL_SECONDS", 0.02)
    released, starts = asyncio.Event(), 0

    async def deaf() -> None:
        nonlocal starts
        starts += 1
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    checks = health.ReadyChecks()
    checks.add("deaf", deaf)
    before = len(asyncio.all_tasks())
    for _ in range(3):
        assert "no answer" in next(each.error for each in await checks.run() if each.name == "deaf")
    assert starts == 1
    assert len(asyncio.all_tasks()) == before + 1
    released.set()
    while len(asyncio.all_tasks()) > before:
        await asyncio.sleep(0)
    assert next(each.error for each in await checks.run() if each.name == "deaf") == ""
    assert starts == 2
