"""Jobs and keys that are written in the project's own transactions."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.db.support import maria, pg
from tests.jobs.conftest import Working
from tests.jobs.test_worker import Row, ids
from tests.polling import until
from tests.services import mariadb as mariadb_service
from tests.services import postgres as postgres_service
from tests.services.mariadb import MariaCluster, shared_cluster
from tests.services.postgres import PostgresServer, shared_postgres
from torngas_aio import Application, session_scope
from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import Connector
from torngas_aio.exception import ArgumentError
from torngas_aio.jobs import BaseJobs, job
from torngas_aio.jobs.outbox import relay, tables_of
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    yield shared_postgres()
    postgres_service.close_shared()


@pytest.fixture(scope="module")
def maria_cluster() -> Iterator[MariaCluster]:
    yield shared_cluster()
    mariadb_service.close_shared()


@pytest.fixture
async def database(request: pytest.FixtureRequest, tmp_path: Path, backend: BaseJobs) -> AsyncIterator[None]:
    """SQLite, which runs one transaction at a time; other databases for tests that are marked so."""
    connection = {"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(tmp_path / "jobs.db")}
    entry = {"connections": [connection]}
    if request.node.get_closest_marker("postgres"):
        entry = pg(request.getfixturevalue("server"))["default"]
    elif request.node.get_closest_marker("mariadb"):
        cluster = request.getfixturevalue("maria_cluster")
        cluster.master.execute("SET GLOBAL innodb_lock_wait_timeout = 1")
        entry = maria(cluster, f"mysql+{request.getfixturevalue('engine')}", slaves=0)["default"]
    with settings.override(DATABASE_CONNECTION={"default": entry}):
        tables_of("default")
        await Connector.get_conn().drop_db()
        await Connector.get_conn().create_db()
        yield
        await close_all()


pytestmark = [
    pytest.mark.usefixtures("database"),
    pytest.mark.parametrize("backend", ["memory", "redis"], indirect=True),
]


async def count_of(table: int) -> int:
    """How many rows the outbox (0) or the keys (1) have."""
    async with session_scope() as session:
        found = await session.scalar(select(func.count()).select_from(tables_of("default")[table]))
        return int(found or 0)


async def until_counted(count: Any, wanted: int) -> None:
    async def is_so() -> bool:
        return bool(await count() == wanted)

    await until(is_so)


async def until_idle(backend: BaseJobs) -> None:
    """Return once no job waits or runs."""

    async def is_so() -> bool:
        return not any(map(any, (await backend.sizes()).values()))

    await until(is_so)


async def make_due() -> None:
    """As if a minute had passed."""
    outbox, _ = tables_of("default")
    async with session_scope() as session:
        await session.execute(update(outbox).values(due_at=1))
        await session.commit()


async def rows() -> int:
    return len(await ids())


async def test_the_row_stays_until_the_job_is_done(backend: BaseJobs, working: Working) -> None:
    @job(outbox=True)
    async def add(number: int) -> None:
        Row.session.add(Row(id=number))

    async with session_scope() as session:
        await add.enqueue(1)
        await session.rollback()
        await add.enqueue(2)
        assert await count_of(0) == 0
        async with working():
            await session.commit()
            await until_counted(rows, 1)
            await until_counted(lambda: count_of(0), 0)
    assert await ids() == [2]


async def test_what_was_never_sent_is_relayed_and_sent_twice_runs_once(backend: BaseJobs, working: Working) -> None:
    runs: list[int] = []

    @job(outbox=True)
    async def add(number: int) -> None:
        runs.append(number)
        Row.session.add(Row(id=number))

    async with session_scope() as session:
        await add.enqueue(1)
        session.sync_session.transaction_end._waiting.clear()  # as if the process had been killed here
        await session.commit()
    assert await relay(backend) == 0
    await make_due()
    async with working():
        assert await relay(backend) == 1
        assert await relay(backend) == 0
        await until_counted(rows, 1)
    assert await count_of(0) == 0
    async with session_scope() as session:
        message = add.message((2,))
        await session.commit()
    async with working():  # twice, and its row is gone: it was done
        await backend.kick(backend.formatter.dumps(message))
        await backend.kick(backend.formatter.dumps(message))
        await until_idle(backend)
    assert runs == [1]


async def test_a_job_that_fails_keeps_its_row_until_it_is_a_dead_letter(backend: BaseJobs, working: Working) -> None:
    runs: list[int] = []

    @job(outbox=True, retries=1)
    async def fail() -> None:
        runs.append(await count_of(0))
        if len(runs) < 3:
            raise ValueError

    async with working():
        async with session_scope() as session:
            await fail.enqueue()
            await session.commit()
        await until(backend.dead)
        await until_counted(lambda: count_of(0), 0)
        (dead,) = await backend.dead()
        await backend.revive([dead.id])  # it has no row any more, and runs all the same
        await until(lambda: len(runs) >= 3)
    assert runs[:2] == [1, 1]


@pytest.mark.parametrize("copies", [1, pytest.param(3, marks=pytest.mark.postgres)])
async def test_a_job_that_is_sent_again_meanwhile_is_tried_no_more_often(
    backend: BaseJobs, working: Working, copies: int
) -> None:
    """It waits for its next attempt longer than the relay does, or its queue is long."""
    runs: list[int] = []

    @job(outbox=True, retries=2)
    async def fail() -> None:
        runs.append(1)
        raise ValueError

    async def attempt() -> int:
        outbox, _ = tables_of("default")
        async with session_scope() as session:
            return await session.scalar(select(outbox.c.attempt)) or 0

    async with working():
        async with session_scope() as session:
            await fail.enqueue()
            await session.commit()
        for number in (1, 2):
            await until_counted(attempt, number)
            for _ in range(copies):
                await make_due()
                await relay(backend)  # which leaves out what runs
        await until(backend.dead)
        await asyncio.sleep(3)  # the pauses of what was sent twice are over
    assert len(runs) == 3
    assert len(await backend.dead()) == 1
    assert await count_of(0) == 0


async def test_a_delayed_job_waits_in_the_outbox_too(backend: BaseJobs, working: Working) -> None:
    """It is due after the commit, and sent again some time after it is due."""
    runs: list[float] = []
    started = time.time()

    @job(outbox=True)
    async def note() -> None:
        runs.append(time.time())

    async with working():
        async with session_scope() as session:
            await note.enqueue_in(1)
            await note.enqueue_in(3600)
            await session.commit()
        async with session_scope() as session:
            due = sorted(await session.scalars(select(tables_of("default")[0].c.due_at)))
        await until(lambda: runs)
        await until_counted(lambda: count_of(0), 1)
        assert await relay(backend) == 0
    assert len(runs) == 1
    assert runs[0] >= started + 1
    assert [round(each / 1000 - started - 60, -1) for each in due] == [0, 3600]


async def test_a_key_takes_effect_once(backend: BaseJobs, working: Working) -> None:
    runs: list[int] = []

    @job(key="row:{number}")
    async def add(number: int, fails: bool = False) -> None:
        runs.append(number)
        Row.session.add(Row(id=len(runs)))
        if fails:
            raise ValueError

    async with working():
        await add.enqueue(1, fails=True)  # its key is rolled back with it
        await until(backend.dead)
        for number in (1, 1, 2, 1):
            await add.enqueue(number)
        await until_counted(lambda: count_of(1), 2)  # jobs that wait together run in any order
        await add.enqueue(3, key="row:1")
        await add.enqueue(3, key="ROW:1")
        await until_idle(backend)
    assert sorted(runs) == [1, 1, 2, 3]
    assert len(await ids()) == 3


async def test_the_same_key_at_the_same_time_is_waited_for(backend: BaseJobs, working: Working) -> None:
    runs: list[int] = []

    @job(key="only")
    async def add(number: int) -> None:
        await asyncio.sleep(0.3)
        runs.append(number)

    async with working():
        await asyncio.gather(add.enqueue(1), add.enqueue(2))
        await until_idle(backend)
    assert len(runs) == 1


@pytest.mark.parametrize(
    "engine",
    [
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("aiomysql", marks=pytest.mark.mariadb),
        pytest.param("asyncmy", marks=pytest.mark.mariadb),
    ],
)
@pytest.mark.parametrize("outbox", [False, True])
async def test_those_that_wait_for_a_key_run_when_the_first_one_fails(
    backend: BaseJobs, working: Working, engine: str, outbox: bool
) -> None:
    """MariaDB ends such waits with a deadlock, and long ones, as SQLite does, with an error."""
    runs: list[int] = []

    @job(key="only", outbox=outbox)
    async def add(number: int) -> None:
        runs.append(number)
        Row.session.add(Row(id=number))
        await Row.session.flush()
        await asyncio.sleep(1.5 if len(runs) == 1 else 0)
        if len(runs) == 1:
            raise ValueError

    async with working():
        async with session_scope() as session:
            for number in range(1, 6):  # MySQL takes an id of 0 for "the next one"
                await add.enqueue(number)
            await session.commit()
        await until_idle(backend)
        await until_counted(lambda: count_of(0), 0)
    assert len(runs) == 2
    assert await ids() == runs[1:]
    assert [each.error for each in await backend.dead()] == ["ValueError: "]


@pytest.mark.usefixtures("backend")
async def test_rows_are_relayed_and_keys_forgotten_by_a_worker_or_where_jobs_are_in_memory_by_the_server(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torngas_aio.jobs.outbox.RELAY_SECONDS", 0.05)
    monkeypatch.setattr("torngas_aio.jobs.outbox.RESEND_SECONDS", 0.1)
    runs: list[int] = []

    @job(outbox=True)
    async def add(number: int) -> None:
        runs.append(number)

    @job(key="only", key_ttl=1)
    async def once() -> None: ...

    async with session_scope() as session:
        await add.enqueue(7)
        session.sync_session.transaction_end._waiting.clear()  # as if the process had been killed here
        await session.commit()
    async with working(), TestClient(Application([])):
        await once.enqueue()
        await until_counted(lambda: count_of(1), 1)
        await until(lambda: runs == [7])
        await until_counted(lambda: count_of(0), 0)
        await until_counted(lambda: count_of(1), 0)


async def test_an_outbox_needs_a_session_and_a_key_a_database(backend: BaseJobs) -> None:
    @job(outbox=True)
    async def boxed() -> None: ...

    @job
    async def plain() -> None: ...

    with pytest.raises(ArgumentError, match="outbox=True"):
        await boxed.enqueue()
    with settings.override(DATABASE_CONNECTION={}), pytest.raises(ArgumentError, match="there is none"):
        await plain.enqueue(key="x")
