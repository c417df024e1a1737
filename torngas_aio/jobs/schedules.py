"""Schedules: the times at which a job is due, and its enqueueing at these times.

    every worker computes the ticks ── atomically sets a key (job, time), if absent, and puts the job ──► queue

There is no leader: a tick that one worker misses is put by another.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from taskiq import TaskiqMessage

from torngas_aio._job_events import tell_jobs
from torngas_aio.exception import Fault, Unavailable
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.logger import OutageLog
from torngas_aio.utils.kinds import fault, text

__all__ = ["CATCH_UP_SECONDS", "Schedule", "check_cron", "check_zone", "put_due", "run_schedules"]

logger = logging.getLogger("torngas_aio.jobs")
_outages = OutageLog(logger)

CATCH_UP_SECONDS = 60.0
LATE_SECONDS = 5.0
"""Tolerated lateness of a tick if missed ticks are not caught up, in seconds; an event loop can be busy."""

MAX_CAUGHT_UP = 1000
"""Maximum number of missed ticks put for one job, the latest ones; a day of one-second ticks would block workers."""

LOOK_SECONDS = 5.0
"""Maximum seconds between two looks at the clock, which may be adjusted."""

KEPT_SECONDS = 24 * 3600.0
"""Seconds for which a put tick is remembered, in addition to the time within which it may be caught up."""


def check_cron(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a cron expression that is due at some time."""
    if not isinstance(value, str):
        yield from text(path, value)
        return
    try:
        next(CronSim(value, datetime.now(UTC)))
    except (CronSimError, ValueError, StopIteration) as exc:
        yield fault(path, value, f"{str(exc) or 'it is never due'}. Write five fields, such as '*/5 * * * *'.")


def check_zone(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is the name of a time zone."""
    if not isinstance(value, str):
        yield from text(path, value)
        return
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        yield fault(path, value, "no such time zone. Write one such as 'Europe/Berlin'.")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which a job is due.

    Attributes:
        cron: Five fields, or six with seconds first, as in Debian's cron; "" with *every*.
        zone: The time zone of *cron*.
        every: Seconds from one tick to the next, counted from 1970; 0 with *cron*.
        catch_up: Maximum lateness in seconds at which a missed tick is still put.
    """

    cron: str
    zone: ZoneInfo
    every: float
    catch_up: float

    def __str__(self) -> str:
        return f"every {self.every:g} s" if self.every else f"{self.cron} {self.zone.key}"

    def ticks(self, after: float) -> Iterator[float]:
        """Yield the times later than *after* at which the job is due, as seconds since 1970."""
        if self.every:
            number = int(after // self.every)
            for each in itertools.count(number + 1):
                yield each * self.every
        # SPEC: cron(8) of Debian. At daylight-saving changes, a time in the skipped hour is due after it; a time in
        # the repeated hour is due once, except for wildcards.
        for moment in CronSim(self.cron, datetime.fromtimestamp(after, self.zone)):
            tick = moment.timestamp()
            if tick > after:  # within the repeated hour the first occurrence comes again
                yield tick

    def after(self, moment: float) -> float:
        """Return the first tick after *moment*."""
        return next(self.ticks(moment))


class ScheduledJob(Protocol):
    """A job that has a schedule, as `declaring` makes it."""

    name: str
    queue: str

    @property
    def schedule(self) -> Schedule | None: ...
    def message(self, *, tick: float) -> TaskiqMessage: ...


async def put_due(backend: BaseJobs, job: ScheduledJob, since: float, now: float) -> int:
    """Put *job* on its queue for each tick after *since*, up to *now*, that was not put yet; return their number.

    Ticks later than the schedule's `catch_up` are skipped, and so are all but the last MAX_CAUGHT_UP.
    """
    schedule = job.schedule
    assert schedule is not None
    start = max(since, now - max(schedule.catch_up, LATE_SECONDS))
    ticks = _latest_ticks(schedule, start, now)
    skipped = ticks.popleft() if len(ticks) > MAX_CAUGHT_UP else None
    count = 0
    for tick in ticks:
        message = job.message(tick=tick)
        data = backend.formatter.dumps(message).message
        if await backend.put_once(job.name, tick, schedule.catch_up + KEPT_SECONDS, job.queue, data):
            count += 1
            tell_jobs("enqueued", job.name, message)
            if skipped is not None and tick == ticks[0]:  # else another worker has put it, and perhaps earlier ones
                _log_skipped(job.name, schedule, start, skipped)
    return count


def _latest_ticks(schedule: Schedule, start: float, now: float) -> deque[float]:
    """Return the ticks after *start* and up to *now*, at most the last MAX_CAUGHT_UP + 1."""
    span = float(MAX_CAUGHT_UP)  # ticks are at least one second apart
    while True:
        since = max(start, now - span)
        ticks = itertools.takewhile(lambda tick: tick <= now, schedule.ticks(since))
        found = deque(ticks, MAX_CAUGHT_UP + 1)
        if len(found) > MAX_CAUGHT_UP or since == start:
            return found
        span *= 2


def _log_skipped(name: str, schedule: Schedule, *span: float) -> None:
    first, last = (datetime.fromtimestamp(each, schedule.zone).isoformat(" ", "seconds") for each in span)
    logger.warning(
        "The job %s (%s) has missed its times since %s. Those up to %s are skipped, the last %d are made up for.",
        *(name, schedule, first, last, MAX_CAUGHT_UP),
    )


async def run_schedules(backend: BaseJobs, scheduled: Collection[ScheduledJob]) -> None:
    """Put each of *scheduled* when it is due, until cancelled."""
    since: dict[str, float] = {}
    while True:
        now = time.time()
        try:
            for job in scheduled:
                if job.name not in since:  # times before the schedule existed are not caught up
                    since[job.name] = await backend.first_seen(job.name, now)
                await put_due(backend, job, since[job.name], now)
                since[job.name] = now
        except Unavailable as exc:
            _outages.report((backend.alias, "schedules"), "Schedules of jobs wait: %s", exc)
            await asyncio.sleep(1.0)
        else:
            pause = min(job.schedule.after(now) for job in scheduled if job.schedule is not None) - time.time()
            await asyncio.sleep(min(max(pause, 0.0), LOOK_SECONDS))
