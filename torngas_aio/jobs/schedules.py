"""Schedules: at which times a job is due, and who enqueues it then.

    every worker computes the ticks ── a key of (job, time) that only one can set, and the job with it ──► queue

There is no leader: what one worker does not put the next one does. Begin with `run_schedules`.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from torngas_aio.exception import ConfigError, Unavailable
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.logger import OutageLog

__all__ = ["Schedule", "put_due", "run_schedules"]

logger = logging.getLogger("torngas_aio.jobs")
_outages = OutageLog(logger)

CATCH_UP_SECONDS = 60.0
LATE_SECONDS = 5.0
"""How late a tick may be put where nothing is caught up; a loop can be busy."""

LOOK_SECONDS = 5.0
"""How often the clock is looked at, at least: it may be set."""

KEPT_SECONDS = 24 * 3600.0
"""How long it is remembered that a tick was put, beyond the time within which it may be caught up."""

MAX_TICKS = 1000
"""Ticks of one job that are put at once."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is due.

    Attributes:
        cron: Five fields, or six with seconds first, as in Debian's cron; "" with *every*.
        zone: In which cron's times are.
        every: Seconds from one tick to the next, counted from 1970; 0 with *cron*.
        catch_up: Ticks that are late by no more seconds than this are put all the same.
    """

    cron: str
    zone: ZoneInfo
    every: float
    catch_up: float

    @classmethod
    def of(cls, cron: str | None, tz: str | None, every: float | None, catch_up: float | None) -> Self | None:
        """Return the schedule that the options of `@job` mean, None for none.

        Raises:
            ConfigError: They cannot work.
        """
        if cron is None and every is None:
            if tz is not None or catch_up is not None:
                raise ConfigError("tz= and catch_up= go with cron= or every=.", code="TGA701")
            return None
        if cron is not None and every is not None:
            raise ConfigError("write cron= or every=, not both.", code="TGA701")
        if every is not None and not 1 <= every < float("inf"):
            raise ConfigError(f"every={every!r}: write seconds, at least 1.", code="TGA701")
        late = CATCH_UP_SECONDS if catch_up is None else catch_up
        if not 0 <= late < float("inf"):
            raise ConfigError(f"catch_up={catch_up!r}: write seconds, 0 or more.", code="TGA701")
        try:
            zone = ZoneInfo(tz or "UTC")
        except (ValueError, OSError, LookupError):
            raise ConfigError(
                f"tz={tz!r}: no such time zone. Write one such as 'Europe/Berlin'.", code="TGA701"
            ) from None
        found = cls(cron or "", zone, float(every or 0.0), late)
        try:
            found.after(time.time())
        except (CronSimError, StopIteration) as exc:
            told = str(exc) or "it is never due"
            raise ConfigError(
                f"cron={cron!r}: {told}. Write five fields, such as '*/5 * * * *'.", code="TGA701"
            ) from None
        return found

    def __str__(self) -> str:
        return f"every {self.every:g} s" if self.every else f"{self.cron} {self.zone.key}"

    def ticks(self, after: float) -> Iterator[float]:
        """Yield the times later than *after* at which the job is due, as seconds since 1970."""
        if self.every:
            number = int(after // self.every)
            for each in itertools.count(number + 1):
                yield each * self.every
        # SPEC: cron(8) of Debian. What falls into an hour that is left out is due after it; what falls into one that
        # comes twice is due once, but for wildcards.
        for moment in CronSim(self.cron, datetime.fromtimestamp(after, self.zone)):
            tick = moment.timestamp()
            if tick > after:  # within an hour that comes twice the first one is told again
                yield tick

    def after(self, moment: float) -> float:
        """Return the first tick after *moment*."""
        return next(self.ticks(moment))


async def put_due(backend: BaseJobs, job: Any, since: float, now: float) -> int:
    """Put *job* on its queue for each tick after *since* and up to *now* that is not put yet; return how many were.

    Ticks that are later than their schedule catches up are left out.
    """
    schedule: Schedule = job.schedule
    start = max(since, now - max(schedule.catch_up, LATE_SECONDS))
    due = itertools.takewhile(lambda tick: tick <= now, itertools.islice(schedule.ticks(start), MAX_TICKS))
    count = 0
    for tick in due:
        message = job.message(tick=tick)
        data = backend.formatter.dumps(message).message
        count += await backend.put_once(job.name, tick, schedule.catch_up + KEPT_SECONDS, job.queue, data)
    return count


async def run_schedules(backend: BaseJobs, scheduled: Collection[Any]) -> None:
    """Put each of *scheduled* when it is due, until this is cancelled."""
    since: dict[str, float] = {}
    while True:
        now = time.time()
        try:
            for job in scheduled:
                if job.name not in since:  # what was due before there was the schedule is not caught up
                    since[job.name] = await backend.first_seen(job.name, now)
                await put_due(backend, job, since[job.name], now)
                since[job.name] = now
        except Unavailable as exc:
            _outages.report((backend.alias, "schedules"), "Schedules of jobs wait: %s", exc)
            await asyncio.sleep(1.0)
        else:
            pause = min(job.schedule.after(now) for job in scheduled) - time.time()
            await asyncio.sleep(min(max(pause, 0.0), LOOK_SECONDS))
