"""The fixture `job_queue`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from torngas_aio import Application, WebHandler
from torngas_aio.exception import ArgumentError, JobFailed
from torngas_aio.jobs import job
from torngas_aio.testing import TestClient
from torngas_aio.testing.jobs import RecordedJobs

seen: list[object] = []


@job(retries=2)
async def greet(name: str, *, loud: bool = False) -> None:
    seen.append(name)
    if name == "first" and seen.count("first") < 3:
        raise ValueError("again")
    if name == "never":
        raise ValueError("no such luck")
    if name == "more":
        await greet.enqueue("last", loud=True)


@job(cron="30 2 * * *", tz="Europe/Berlin")
async def nightly() -> None:
    seen.append("nightly")


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


class Page(WebHandler):
    async def get(self) -> None:
        await greet.enqueue("more")


async def test_what_a_request_enqueues_waits_until_it_is_run(job_queue: RecordedJobs) -> None:
    async with TestClient(Application([(r"/", Page)])) as client:
        await client.get("/")
    assert job_queue.calls(greet) == [(("more",), {})]
    assert job_queue.calls(nightly) == []
    assert seen == []
    assert await job_queue.run() == 2
    assert seen == ["more", "last"]
    assert await job_queue.run() == 0


async def test_further_attempts_run_at_once_and_a_failure_is_raised(job_queue: RecordedJobs) -> None:
    await greet.enqueue("first")
    assert await job_queue.run() == 3
    await greet.enqueue("never")
    with pytest.raises(JobFailed, match="no such luck"):
        await job_queue.run()


async def test_schedules_are_advanced(job_queue: RecordedJobs) -> None:
    job_queue.now = datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp()
    assert await job_queue.advance(3600) == 0
    assert await job_queue.advance(3 * 24 * 3600) == 3
    assert await job_queue.run() == 3
    assert seen == ["nightly"] * 3


async def test_delayed_jobs_are_advanced(job_queue: RecordedJobs) -> None:
    job_queue.now = datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp()  # `nightly` is not due within the hour
    await greet.enqueue_in(3600, "later")
    await greet.enqueue_in(60, "soon")
    await greet.enqueue("now")
    assert [args for args, _ in job_queue.calls(greet)] == [("now",), ("soon",), ("later",)]
    await job_queue.run()
    assert seen.count("now") == 1
    assert await job_queue.advance(59) == 0
    assert await job_queue.advance(1) == 1
    await job_queue.run()
    assert await job_queue.advance(3540) == 1
    assert job_queue.calls(greet) == [(("later",), {})]


@pytest.mark.parametrize("seconds", ["60", None, timedelta(days=1), float("nan"), float("inf"), -5, True])
async def test_a_clock_that_cannot_be_moved_so_says_it(job_queue: RecordedJobs, seconds: Any) -> None:
    with pytest.raises(ArgumentError, match="seconds"):
        await job_queue.advance(seconds)
    with pytest.raises(ArgumentError, match="@job"):
        job_queue.calls("greet")  # type: ignore[arg-type]
