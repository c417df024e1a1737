"""Thousands of jobs while workers are killed again and again: none is lost, none with a key takes effect twice."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.db.support import pg
from tests.polling import until
from tests.services import postgres as postgres_service
from tests.services.postgres import PostgresServer, shared_postgres
from tests.services.redis import RedisServer
from torngas_aio import session_scope
from torngas_aio._cleanup import close_all
from torngas_aio.jobs import jobs
from torngas_aio.settings_manager import settings

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.postgres]

COUNT = 3000
WORKERS = 3
KILLS = 12

JOBS = """
import asyncio
from sqlalchemy import text
from torngas_aio.db.dbalchemy import current_session
from torngas_aio.jobs import job

async def note(table, number):
    await current_session().execute(text(f"INSERT INTO {table} VALUES ({number})"))
    await asyncio.sleep(0.01)

@job(key="once:{number}", retries=5)
async def once(number: int):
    await note("once", number)

@job(retries=5)
async def often(number: int):
    await note("often", number)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    yield shared_postgres()
    postgres_service.close_shared()


@pytest.fixture
def site(tmp_path: Path, lone_redis: RedisServer, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    entry = {"BACKEND": "torngas_aio.jobs.redis.RedisJobs", "LOCATION": lone_redis.url, "OPTIONS": {"DEADLINE": 10}}
    values = {"JOBS": {"default": entry}, "DATABASE_CONNECTION": {"default": pg(server)["default"]}}
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    (tmp_path / "site_settings.py").write_text("\n".join([*lines, "INSTALLED_APPS = ('one',)", "DEBUG = True"]))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "urls.py").write_text("urls = []\n")
    (tmp_path / "one" / "jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.load("site_settings")
    return tmp_path


def started(site: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "torngas_aio", "worker", "--settings=site_settings", "--concurrency=20"]
    with (site / "workers.log").open("ab") as log:
        return subprocess.Popen(words, cwd=site, stdout=log, stderr=log)


async def counts(table: str) -> tuple[int, int]:
    """How many rows there are, and how many different ones."""
    from sqlalchemy import text

    async with session_scope() as session:
        row: Any = (await session.execute(text(f"SELECT count(*), count(DISTINCT number) FROM {table}"))).one()
        return int(row[0]), int(row[1])


@pytest.mark.timeout(280)
async def test_no_job_is_lost_and_none_with_a_key_is_done_twice(site: Path, server: PostgresServer) -> None:
    from sqlalchemy import text

    subprocess.run([sys.executable, "-m", "torngas_aio", "syncdb", "--settings=site_settings"], cwd=site, check=True)
    async with session_scope() as session:
        for table in ("once", "often"):
            await session.execute(text(f"DROP TABLE IF EXISTS {table}"))
            await session.execute(text(f"CREATE TABLE {table} (number integer)"))
        await session.commit()
    from one.jobs import often, once  # type: ignore[import-not-found]  # made above

    workers = [started(site) for _ in range(WORKERS)]
    try:
        for number in range(COUNT):
            await once.enqueue(number)
            await often.enqueue(number)
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.5, 3))
            victim = random.randrange(WORKERS)
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = started(site)
            for number in random.sample(range(COUNT), 20):  # and the same key again
                await once.enqueue(number)

        async def is_empty() -> bool:
            return (await jobs["default"].sizes())["default"] == (0, 0)

        await until(is_empty, 150)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(60)
    assert await jobs["default"].dead() == [], (site / "workers.log").read_text()[-5000:]
    assert await counts("once") == (COUNT, COUNT)
    _, different = await counts("often")
    assert different == COUNT
    await close_all()
    settings.reset()
