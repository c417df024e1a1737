"""Jobs within the process: how many run at a time, what a stop drops, and what is kept in bounds.

What every backend does is in `test_jobs.py`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.polling import until
from torngas_aio._cleanup import tasks_to_drain
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.jobs import job
from torngas_aio.jobs import memory as module
from torngas_aio.jobs.memory import MemoryJobs


@pytest.fixture
async def backend(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MemoryJobs]:
    made = MemoryJobs("", {"ALIAS": "here", "OPTIONS": {"CONCURRENCY": 2}})
    yield made
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.0)
    await made.aclose()


class Gate:
    """A job that waits to be let through; notes how many are inside."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.inside = 0
        self.most = 0
        self.ended = 0

        @job(queue="gated", retries=0)
        async def pass_through() -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.may_end.wait()
                self.ended += 1
            finally:
                self.inside -= 1

        self.job = pass_through

    def message(self, backend: MemoryJobs) -> bytes:
        return backend.formatter.dumps(self.job.message()).message


async def test_only_so_many_run_at_a_time(backend: MemoryJobs) -> None:
    gate = Gate()
    for _ in range(5):
        await backend.put("gated", gate.message(backend))
    await until(lambda: gate.inside == 2)
    assert await backend.sizes(["gated", "idle"]) == {"gated": (3, 2), "idle": (0, 0)}
    gate.may_end.set()
    await until(lambda: gate.ended == 5)
    assert gate.most == 2
    await until(lambda: not backend._tasks)
    assert await backend.sizes() == {}


async def test_a_delayed_job_waits_without_a_slot(backend: MemoryJobs) -> None:
    gate = Gate()
    for _ in range(4):
        await backend.put("gated", gate.message(backend), delay=3600)
    await backend.put("gated", gate.message(backend))
    await until(lambda: gate.inside == 1)
    assert await backend.sizes() == {"gated": (4, 1)}
    gate.may_end.set()


async def test_no_stop_waits_for_a_time_that_has_not_come(
    backend: MemoryJobs, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    await backend.put("gated", gate.message(backend), delay=3600)
    await backend.put("gated", gate.message(backend), delay=0.01)
    assert tasks_to_drain() == set()
    await until(lambda: gate.inside == 1)
    (task,) = tasks_to_drain()
    gate.may_end.set()
    await task
    async with asyncio.timeout(1):
        await backend.aclose()
    assert caplog.messages == ["1 delayed jobs were dropped at the stop."]


async def test_a_stop_of_the_application_waits_for_them(backend: MemoryJobs) -> None:
    gate = Gate()
    await backend.put("gated", gate.message(backend))
    (task,) = tasks_to_drain()
    await until(lambda: gate.inside == 1)
    gate.may_end.set()
    await task
    assert gate.ended == 1


async def test_what_does_not_end_in_time_is_dropped_and_named(
    backend: MemoryJobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.01)
    gate = Gate()
    await backend.put("gated", gate.message(backend))
    await until(lambda: gate.inside == 1)
    await backend.aclose()
    assert (gate.inside, gate.ended) == (0, 0)
    assert "A job of gated was dropped at the stop." in caplog.messages
    await backend.aclose()


async def test_dead_letters_and_results_are_the_newest_ones(
    backend: MemoryJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    for number in range(5):
        await backend.bury("mail", b"%d" % number, "failed")
        await backend.keep_result(f"job {number}", b"%d" % number, 60)
    assert [each.data for each in await backend.dead()] == [b"2", b"3", b"4"]
    assert [each.data for each in await backend.dead(2)] == [b"2", b"3"]
    assert await backend.fetch_result("job 1", 0) is None
    assert await backend.fetch_result("job 2", 0) == b"2"


async def test_a_dead_letter_is_revived_once(backend: MemoryJobs) -> None:
    gate = Gate()
    gate.may_end.set()
    await backend.bury("gated", gate.message(backend), "failed")
    (dead,) = await backend.dead()
    assert await backend.revive([dead.id, dead.id, "unknown"]) == 1
    await until(lambda: gate.ended == 1)
    assert await backend.dead() == []


async def test_all_who_wait_for_a_result_get_it(backend: MemoryJobs) -> None:
    waiting = [asyncio.create_task(backend.fetch_result("a", 30)) for _ in range(3)]
    other = asyncio.create_task(backend.fetch_result("never", 30))
    await asyncio.sleep(0)
    await backend.keep_result("b", b"no", 60)
    await backend.keep_result("a", b"yes", 60)
    assert await asyncio.gather(*waiting) == [b"yes"] * 3
    assert not other.done()
    other.cancel()


async def test_a_day_of_ticks_takes_no_memory(backend: MemoryJobs) -> None:
    gate = Gate()
    gate.may_end.set()
    for tick in (1.0, 1.0, 2.0, 1.0, 3.0):
        await backend.put_once("report", tick, 60, "gated", gate.message(backend))
    assert await backend.put_once("other", 1.0, 60, "gated", gate.message(backend))
    assert backend._ticks == {"report": 3.0, "other": 1.0}
    await until(lambda: gate.ended == 4)


async def test_a_message_that_cannot_be_ended_is_told(
    backend: MemoryJobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any) -> None:
        raise OSError("no dead letters either")

    monkeypatch.setattr(backend, "bury", fail)
    await backend.put("gated", b"no message")
    await until(lambda: not backend._tasks)
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.getMessage() == "A job of the queue 'gated' could not be ended."
    assert await backend.sizes() == {}


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "2", None])
async def test_a_concurrency_that_is_no_number_above_0_is_refused(concurrency: Any) -> None:
    with pytest.raises(ConfigError, match=r"JOBS\['here'\]\['OPTIONS'\]\['CONCURRENCY'\] = "):
        MemoryJobs("", {"ALIAS": "here", "OPTIONS": {"CONCURRENCY": concurrency}})


async def test_it_needs_no_worker(backend: MemoryJobs) -> None:
    with pytest.raises(ArgumentError, match=r"JOBS\['here'\] runs its jobs where they are enqueued"):
        backend.listen()
