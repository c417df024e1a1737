"""What a job has around it: sessions, the request's id, no request."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Mapped, mapped_column

from torngas_aio import Application, WebHandler, request_context, session_scope
from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import Connector, Model
from torngas_aio.exception import JobFailed
from torngas_aio.jobs import BaseJobs, job
from torngas_aio.logger import current_request_id
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Row(Model):
    __tablename__ = "job_rows"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
async def database(tmp_path: Path, memory: BaseJobs) -> AsyncIterator[None]:
    connection = {"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(tmp_path / "jobs.db")}
    with settings.override(DATABASE_CONNECTION={"default": {"connections": [connection]}}):
        await Connector.get_conn().create_db()
        yield
        await close_all()


async def ids() -> list[int]:
    async with session_scope():
        return sorted(row.id for row in await Row.Q.all())


@pytest.mark.usefixtures("database")
async def test_a_session_is_committed_when_the_job_returns_and_rolled_back_when_it_raises() -> None:
    @job(result_ttl=60)
    async def add(number: int, *, fails: bool) -> None:
        Row.session.add(Row(id=number))
        await Row.session.flush()
        if fails:
            raise ValueError

    await (await add.enqueue(1, fails=False)).result()
    with pytest.raises(RuntimeError):
        await (await add.enqueue(2, fails=True)).result()
    assert await ids() == [1]


@pytest.mark.usefixtures("database")
async def test_a_forgotten_await_fails_the_job(caplog: pytest.LogCaptureFixture) -> None:
    @job(result_ttl=60)
    async def forget(number: int, *, fails: bool = False) -> None:
        Row.session.add(Row(id=number))
        forget.enqueue(2)  # type: ignore[unused-coroutine]  # forgotten
        if fails:
            raise ValueError("of its own")

    with pytest.raises(JobFailed, match=r"test_worker.py:\d+: Job.enqueue\(\) was called and never awaited"):
        await (await forget.enqueue(1)).result()
    assert await ids() == []
    with pytest.raises(JobFailed, match="of its own"):
        await (await forget.enqueue(1, fails=True)).result()
    assert "Job.enqueue() was called and never awaited" in caplog.records[-2].getMessage()
    caplog.clear()


@pytest.mark.usefixtures("database")
async def test_a_job_of_a_transaction_is_sent_after_its_commit() -> None:
    seen: list[list[int]] = []

    @job(result_ttl=60)
    async def look() -> None:
        seen.append(await ids())

    async with session_scope() as session:
        session.add(Row(id=1))
        dropped = await look.enqueue()
        await session.rollback()
        session.add(Row(id=2))
        await session.flush()
        sent = await look.enqueue()
        with pytest.raises(TimeoutError):
            await sent.result(0.1)
        await session.commit()
        await sent.result()
    assert seen == [[2]]
    with pytest.raises(TimeoutError):
        await dropped.result(0.05)


@pytest.mark.usefixtures("database")
async def test_a_job_has_a_session_of_its_own_within_a_block_that_has_one() -> None:
    @job(result_ttl=60)
    async def look() -> int:
        return id(Row.session)

    async with session_scope() as session:
        assert await (await look.enqueue()).result() != id(session)


async def test_the_id_of_the_request_is_carried_over(memory: BaseJobs) -> None:
    seen: asyncio.Queue[object] = asyncio.Queue()

    @job
    async def note() -> None:
        await seen.put((current_request_id(), bool(request_context)))

    class Page(WebHandler):
        async def get(self) -> None:
            await note.enqueue()

    async with TestClient(Application([(r"/", Page)])) as client:
        await client.get("/", headers={"X-Request-ID": "abc-1"})
        assert await asyncio.wait_for(seen.get(), 10) == ("abc-1", False)
    await note.enqueue()
    assert await asyncio.wait_for(seen.get(), 10) == (None, False)


async def test_a_stop_waits_for_jobs_of_this_process(memory: BaseJobs) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    ended: list[int] = []

    @job
    async def later() -> None:
        begun.set()
        await go.wait()
        ended.append(1)

    application = Application([])
    await later.enqueue()
    await begun.wait()
    draining = asyncio.create_task(application.background.drain(20))
    await asyncio.sleep(0)
    go.set()
    await draining
    assert ended == [1]


async def test_what_outlasts_a_stop_is_dropped_and_named(
    memory: BaseJobs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torngas_aio.jobs.memory.CLOSE_SECONDS", 0.05)
    begun = asyncio.Event()

    @job
    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    await hang.enqueue()
    await begun.wait()
    await memory.aclose()
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "A job of default was dropped at the stop."
    ]
    assert await memory.dead() == []
