"""Jobs under test: kept instead of sent, run when the test says so, schedules by a clock that the test moves."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from torngas_aio.exception import Fault, JobFailed
from torngas_aio.jobs.declaring import Job
from torngas_aio.jobs.memory import MemoryJobs
from torngas_aio.jobs.worker import run_message, scheduled_of
from torngas_aio.utils.kinds import duration, fault, require

__all__ = ["RecordedJobs"]


class RecordedJobs(MemoryJobs):
    """The backend of the fixture `job_queue`.

    Args:
        location: Another one, of which this is to be a second name.

    Attributes:
        now: The time of the schedules, as seconds since 1970; `advance` moves it.
    """

    runs_here = False

    def __init__(self, location: object = "", params: Mapping[str, object] | None = None) -> None:
        super().__init__("", params)
        self.now = time.time()
        self._kept: list[tuple[str, bytes]] = []
        self._later: list[tuple[float, str, bytes]] = []  # with their times
        if isinstance(location, RecordedJobs):  # an application that ends closes its backends: all are one
            self.__dict__ = location.__dict__  # pyright: ignore[reportGeneralTypeIssues]

    def calls(self, job: Job[Any, Any]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments that *job* waits with, in the order of its enqueueing: `[((7,), {"now": True})]`.

        Those that are delayed come last, by their times.

        Raises:
            ArgumentError: *job* is none.
        """
        require(_is_job("job", job))
        waiting = [data for _, data in self._kept] + [data for _, _, data in sorted(self._later)]
        messages = [self.formatter.loads(data) for data in waiting]
        found = [job.arguments.restore(each.args, each.kwargs) for each in messages if each.task_name == job.name]
        return [(tuple(args), kwargs) for args, kwargs in found]

    async def run(self) -> int:
        """Run what waits and what that enqueues, one after the other, further attempts at once; return how many ran.

        Raises:
            JobFailed: A job has failed for good; its error is in the log, with its traceback.
        """
        count, dead = 0, len(self._dead)
        while self._kept:
            queue, data = self._kept.pop(0)
            await asyncio.create_task(run_message(self, queue, data, _nothing))  # a context of its own
            count += 1
        if len(self._dead) > dead:
            raise JobFailed(next(reversed(self._dead.values())).error)
        return count

    async def advance(self, seconds: float) -> int:
        """Move the clock of schedules and delays, and enqueue what becomes due; return how many jobs that were.

        Raises:
            ArgumentError: *seconds* is no number from 0 on.
        """
        require(duration(0)("seconds", seconds))
        until = self.now + seconds
        due = [
            (tick, job.queue, self.formatter.dumps(job.message(tick=tick)).message)
            for job in scheduled_of(self.alias)
            if job.schedule is not None
            for tick in takewhile(lambda tick: tick <= until, job.schedule.ticks(self.now))
        ]
        due += [each for each in self._later if each[0] <= until]
        self._later = [each for each in self._later if each[0] > until]
        self._kept += [(queue, data) for _, queue, data in sorted(due, key=lambda each: each[0])]
        self.now = until
        return len(due)

    async def put(self, queue: str, data: bytes, delay: float = 0.0) -> None:
        if delay > 0:
            self._later.append((self.now + delay, queue, data))
        else:
            self._kept.append((queue, data))

    async def put_again(self, queue: str, data: bytes, delay: float) -> None:
        self._kept.append((queue, data))


def _is_job(path: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, Job):
        yield fault(path, value, "must be a function with @job.")


async def _nothing() -> None:
    return
