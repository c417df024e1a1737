"""What the metrics page says of jobs, by their declared names; and how long it asks for their queues."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.operations.test_metrics import made, scraped, value
from tests.polling import until
from torngas_aio import Application
from torngas_aio._cleanup import close_all
from torngas_aio.handler import WebHandler
from torngas_aio.jobs import declaring, job, jobs
from torngas_aio.jobs.running import run_message
from torngas_aio.operations import job_metrics
from torngas_aio.operations.job_metrics import QueueSizes
from torngas_aio.operations.metrics import add_metrics
from torngas_aio.testing import TestClient


@pytest.fixture(autouse=True)
async def _declared(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(declaring, "declared", {})
    monkeypatch.setattr("torngas_aio.jobs.running.declared", declaring.declared)
    monkeypatch.setattr("torngas_aio.jobs.worker.declared", declaring.declared)
    monkeypatch.setattr("torngas_aio.jobs.running.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(job_metrics, "ASK_EVERY_SECONDS", 0.0)
    yield
    await close_all()


async def test_jobs_are_counted_by_name_from_their_queue_to_their_end() -> None:
    go = asyncio.Event()

    @job(name="mail", queue="post")
    async def mail(number: int) -> None:
        await go.wait()

    @job(name="fails", retries=1)
    async def fails() -> None:
        raise ValueError("secret of the job")

    class Enqueues(WebHandler):
        async def get(self) -> None:
            for number in range(3):
                await mail.enqueue(number)
            await fails.enqueue()
            self.finish("sent")

    application = Application([("/", Enqueues, {}, "front")])
    add_metrics(application)
    async with TestClient(application) as client:
        await client.get("/")
        while value(found := await scraped(client), "jobs_total", job="fails", event="dead") != 1:
            await asyncio.sleep(0.01)
        assert value(found, "jobs_running", worker="0", job="mail") == 3
        assert value(found, "job_queue_jobs", jobs="default", queue="post", state="running") == 3
        assert value(found, "job_store_up", jobs="default") == 1
        assert [
            value(found, "jobs_total", job="fails", event=event)
            for event in ("enqueued", "started", "failed", "retried", "dead", "succeeded")
        ] == [1, 2, 2, 1, 1, None]
        assert value(found, "job_seconds_count", job="fails") == 2
        go.set()
        while value(found := await scraped(client), "jobs_total", job="mail", event="succeeded") != 3:
            await asyncio.sleep(0.01)
        assert value(found, "jobs_running", worker="0", job="mail") is None
        assert not [key for key in found if "secret" in str(key)]


async def test_a_name_from_the_store_that_is_not_declared_is_no_label() -> None:
    application = Application([])
    counts = add_metrics(application)
    async with TestClient(application):
        for number in range(50):
            data = b'{"task_id": "1", "task_name": "evil%d", "labels": {"queue_name": "q"}, "args": [], "kwargs": {}}'
            await run_message(jobs["default"], "q", data % number, lambda: None)
        assert counts.peek()["jobs"] == {"(none)": {"dead": 50}}


async def test_a_job_that_its_worker_gives_back_does_not_run_any_more() -> None:
    started = asyncio.Event()

    @job(name="long")
    async def long() -> None:
        started.set()
        await asyncio.sleep(60)

    application = Application([])
    counts = add_metrics(application)
    async with TestClient(application):
        data = jobs["default"].formatter.dumps(long.message()).message
        running = asyncio.create_task(run_message(jobs["default"], "default", data, lambda: None))
        await started.wait()
        assert counts.now()["jobs"] == {"long": 1}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert counts.now()["jobs"] == {}
        assert counts.peek()["jobs"]["long"]["given back"] == 1


async def test_a_store_that_does_not_answer_holds_no_scrape_up(monkeypatch: pytest.MonkeyPatch) -> None:
    @job(name="any")
    async def any_job() -> None: ...

    asked = []

    async def sizes(*args: Any) -> Any:
        asked.append(1)
        await asyncio.Event().wait()

    monkeypatch.setattr("torngas_aio.jobs.memory.MemoryJobs.sizes", sizes)
    monkeypatch.setattr(job_metrics, "DEADLINE_SECONDS", 0.01)
    async with TestClient(made()) as client:
        found = await scraped(client)
        assert value(found, "job_store_up", jobs="default") == 0
        assert not [key for key in found if "queue_jobs" in key[0]]
    monkeypatch.setattr(job_metrics, "ASK_EVERY_SECONDS", 60.0)
    sizes_of = QueueSizes(is_alone=True)
    assert await asyncio.gather(*(sizes_of.ask() for _ in range(5))) == [{"default": None}] * 5
    assert len(asked) == 2


async def test_without_jobs_nothing_is_asked_and_nothing_listens() -> None:
    from torngas_aio._job_events import job_listeners

    application = made()
    async with TestClient(application):
        await until(lambda: job_listeners)
        assert await QueueSizes(is_alone=True).ask() == {}
    assert not job_listeners
