"""Jobs in tests: recorded instead of sent, run on request, with schedules by a clock that the test controls."""

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
        location: Another instance to share all state with.

    Attributes:
        now: The current time for schedules, in seconds since the epoch; moved by `advance`.
    """

    runs_here = False

    def __init__(self, location: object = "", params: Mapping[str, object] | None = None) -> None:
        super().__init__("", params)
        self.now = time.time()
        self._kept: list[tuple[str, bytes]] = []
        self._later: list[tuple[float, str, bytes]] = []  # with their times
        if isinstance(location, RecordedJobs):  # stays the same when an application closes its backends
            self.__dict__ = location.__dict__  # pyright: ignore[reportGeneralTypeIssues]

    def calls(self, job: Job[Any, Any]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments of waiting calls of *job*, in order of enqueueing: `[((7,), {"now": True})]`.

        Delayed calls come last, ordered by time.

        Raises:
            ArgumentError: *job* is not a job.
        """
        require(_is_job("job", job))
        waiting = [data for _, data in self._kept] + [data for _, _, data in sorted(self._later)]
        messages = [self.formatter.loads(data) for data in waiting]
        found = [job.arguments.restore(each.args, each.kwargs) for each in messages if each.task_name == job.name]
        return [(tuple(args), kwargs) for args, kwargs in found]

    async def run(self) -> int:
        """Run waiting jobs and those that they enqueue, one by one, with immediate retries; return their number.

        Raises:
            JobFailed: A job has failed after all attempts; its error and traceback are logged.
        """
        count, dead = 0, len(self._dead)
        while self._kept:
            queue, data = self._kept.pop(0)
            await asyncio.create_task(run_message(self, queue, data, _nothing))  # in its own context
            count += 1
        if len(self._dead) > dead:
            raise JobFailed(next(reversed(self._dead.values())).error)
        return count

    async def advance(self, seconds: float) -> int:
        """Advance the clock of schedules and delays, and enqueue the jobs that become due; return their number.

        Raises:
            ArgumentError: *seconds* is not a number, or below 0.
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
