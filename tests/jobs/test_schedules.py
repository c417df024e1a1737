"""When jobs are due, and that each time is put once."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.jobs.conftest import worker_of
from tests.polling import until
from torngas_aio import Application
from torngas_aio.exception import ConfigError
from torngas_aio.jobs import BaseJobs, job
from torngas_aio.jobs.registry import make_jobs
from torngas_aio.jobs.schedules import Schedule, put_due
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

BERLIN = "Europe/Berlin"


def schedule(cron: str | None = None, **options: Any) -> Schedule:
    async def due() -> None: ...

    found = job(cron=cron, **options)(due).schedule
    assert found is not None
    return found


def times(cron: str, tz: str, start: str, count: int) -> list[str]:
    """The next times in *tz* after *start*, local as well."""
    after = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(tz)).timestamp()
    found = itertools.islice(schedule(cron, tz=tz).ticks(after), count)
    return [datetime.fromtimestamp(tick, ZoneInfo(tz)).strftime("%d %H:%M %z") for tick in found]


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        # 29 March 2026: 02:00 +0100 is 03:00 +0200.
        ("30 2 * * *", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0 * * * *", "2026-03-29T01:00", ["29 03:00 +0200", "29 04:00 +0200"]),
        ("*/30 * * * *", "2026-03-29T01:00", ["29 01:30 +0100", "29 03:00 +0200"]),
        # 25 October 2026: 03:00 +0200 is 02:00 +0100.
        ("30 2 * * *", "2026-10-24T12:00", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("*/30 * * * *", "2026-10-25T02:00", ["25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"]),
        ("0 3 * * *", "2026-10-25T01:00", ["25 03:00 +0100", "26 03:00 +0100"]),
    ],
)
def test_cron_at_a_time_change(cron: str, start: str, expected: list[str]) -> None:
    assert times(cron, BERLIN, start, len(expected)) == expected


@pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 * * * *", "0 * * * *", "15 1-4 * * *"])
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_ticks_are_the_same_from_wherever_they_are_counted(cron: str, day: str) -> None:
    found = schedule(cron, tz=BERLIN)
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(BERLIN)).timestamp()
    expected = list(itertools.takewhile(lambda tick: tick < start + 6 * 3600, found.ticks(start)))
    assert sorted(set(expected)) == expected
    minutes = [start + 60 * number for number in range(6 * 60)]
    assert sorted({tick for minute in minutes if (tick := found.after(minute)) < start + 6 * 3600}) == expected
    assert all(found.after(minute) > minute for minute in minutes)


def test_every_is_counted_from_1970_so_that_all_workers_agree() -> None:
    found = schedule(every=30)
    assert list(itertools.islice(found.ticks(1000.5), 3)) == [1020, 1050, 1080]
    assert found.after(1020) == 1050


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cron": "* * * *"}, "Wrong number"),
        ({"cron": "61 * * * *"}, "minute"),
        ({"cron": "0 0 31 2 *"}, "day-of-month"),
        ({"cron": "* * * * *", "every": 3}, "not both"),
        ({"cron": "9" * 5000 + " * * * *"}, "Exceeds"),
        ({"cron": 5}, "must be a string"),
        ({"every": 0}, "from 1 to"),
        ({"every": float("nan")}, "from 1 to"),
        ({"every": "30"}, "from 1 to"),
        ({"every": True}, "from 1 to"),
        ({"cron": "* * * * *", "tz": 3}, "must be a string"),
        ({"cron": "* * * * *", "tz": "x" * 5000}, "no such time zone"),
        ({"every": 3, "catch_up": float("inf")}, "from 0 to"),
        ({"cron": "* * * * *", "tz": "Berlin"}, "no such time zone"),
        ({"cron": "* * * * *", "tz": "../etc/passwd"}, "no such time zone"),
        ({"every": 3, "catch_up": -1}, "from 0 to"),
        ({"tz": "UTC"}, "go with"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(options: dict[str, Any], told: str) -> None:
    async def function() -> None: ...

    with pytest.raises(ConfigError, match=told):
        job(**options)(function)


def test_a_job_with_a_schedule_needs_no_arguments() -> None:
    async def function(number: int) -> None: ...

    with pytest.raises(ConfigError, match="need defaults"):
        job(every=3)(function)


async def test_each_tick_is_put_once_by_many_workers(backend: BaseJobs) -> None:
    @job(every=1, catch_up=3600)
    async def tick() -> None: ...

    start = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    others = [backend if backend.runs_here else make_jobs("default", settings.JOBS["default"]) for _ in range(3)]
    counts = await asyncio.gather(*(put_due(each, tick, start, start + 100) for each in others))
    assert sum(counts) == 100
    assert await put_due(backend, tick, start, start + 100) == 0
    for each in others:
        await each.aclose()


async def test_what_is_too_late_is_left_out(memory: BaseJobs) -> None:
    @job(every=10, catch_up=60)
    async def caught() -> None: ...

    @job(every=10, catch_up=0)
    async def skipped() -> None: ...

    assert await put_due(memory, caught, 1_000_000, 1_001_001) == 6
    assert await put_due(memory, skipped, 1_000_000, 1_001_001) == 1
    assert await put_due(memory, skipped, 1_000_000, 1_001_009) == 0


DAY = 24 * 3600.0
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("options", "count", "first"),
    [
        ({"every": 1}, 1000, NOON - 999),
        ({"every": 2.5}, 1000, NOON - 999 * 2.5),
        ({"cron": "* * * * * *"}, 1000, NOON - 999),
        ({"cron": "* * * * * *", "tz": BERLIN}, 1000, NOON - 999),
        ({"cron": "*/7 * * * * *"}, 1000, None),
        ({"cron": "* * 3 * * *"}, 1000, NOON - 8 * 3600 - 1000),
        ({"cron": "* * * * *"}, 1000, NOON - 999 * 60),
        ({"cron": "*/2 * * * *"}, 720, NOON - 719 * 120),
        ({"every": DAY / 1000}, 1000, NOON - 999 * DAY / 1000),
        ({"cron": "0 * * * *"}, 24, NOON - 23 * 3600),
    ],
    ids=str,
)
async def test_of_many_missed_ticks_the_last_are_put(
    memory: BaseJobs,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    options: Any,
    count: int,
    first: float | None,
) -> None:
    put: list[float] = []

    async def put_once(name: str, tick: float, *_: Any) -> bool:
        put.append(tick)
        return True

    monkeypatch.setattr(memory, "put_once", put_once)

    @job(catch_up=DAY, **options)
    async def due() -> None: ...

    assert due.schedule is not None
    assert await put_due(memory, due, NOON - 10 * DAY, NOON) == count
    missed = list(itertools.takewhile(lambda tick: tick <= NOON, due.schedule.ticks(NOON - DAY)))
    assert put == missed[-count:]
    assert first in {None, put[0]}
    told = [record.getMessage() for record in caplog.records]
    if len(missed) == count:
        assert told == []
        return
    (line,) = told
    last = datetime.fromtimestamp(missed[-count - 1], due.schedule.zone).isoformat(" ", "seconds")
    assert f"Those up to {last} are skipped" in line
    assert due.name in line
    assert "the last 1000 are made up for" in line


@pytest.mark.parametrize("catch_up", [10 * 365 * DAY, 60])
async def test_ticks_long_ago_cost_nothing(memory: BaseJobs, catch_up: float) -> None:
    @job(cron="* * * * * *", catch_up=catch_up)
    async def due() -> None: ...

    assert await put_due(memory, due, NOON - catch_up, NOON) == min(catch_up, 1000)


async def test_missed_ticks_are_told_of_by_the_worker_that_makes_up_for_them(
    backend: BaseJobs, caplog: pytest.LogCaptureFixture
) -> None:
    @job(every=1, catch_up=DAY)
    async def tick() -> None: ...

    others = [backend if backend.runs_here else make_jobs("default", settings.JOBS["default"]) for _ in range(3)]
    counts = await asyncio.gather(*(put_due(each, tick, NOON - DAY, NOON) for each in others))
    assert sum(counts) == 1000
    assert await put_due(backend, tick, NOON - DAY, NOON + 1) == 1
    assert len([record for record in caplog.records if "are skipped" in record.getMessage()]) == 1
    for each in others:
        await each.aclose()


async def test_a_worker_puts_what_is_due(backend: BaseJobs) -> None:
    seen: list[int] = []

    @job(every=1)
    async def tick() -> None:
        seen.append(1)

    async def ticked() -> None:
        await until(lambda: len(seen) >= 2)

    if backend.runs_here:
        async with TestClient(Application([])):
            await asyncio.wait_for(ticked(), 20)
    else:
        async with worker_of(backend, ["default"]):
            await asyncio.wait_for(ticked(), 20)
