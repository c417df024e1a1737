"""In-process jobs, the default: they run in the process that enqueues them, and are lost if it dies.

On shutdown the application waits for them within its graceful period.
"""

import asyncio
import itertools
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from torngas_aio._cleanup import cancel_tasks, drain_with_loop
from torngas_aio.exception import ConfigError
from torngas_aio.jobs.base import BaseJobs, DeadJob
from torngas_aio.utils.kinds import whole

__all__ = ["MemoryJobs"]

logger = logging.getLogger("torngas_aio.jobs")

CLOSE_SECONDS = 3.0
MAX_KEPT = 1000
"""Maximum number of dead letters, and of results; the oldest are dropped."""


class MemoryJobs(BaseJobs):
    """Jobs that run in this process.

    OPTIONS: CONCURRENCY, the maximum number of running jobs (100).
    """

    own_options = frozenset({"CONCURRENCY"})
    runs_here = True

    def __init__(self, location: Any = "", params: Mapping[str, object] | None = None) -> None:
        super().__init__(location, params)
        concurrency = self.options.get("CONCURRENCY", 100)
        ConfigError.gather(whole(1)(f"JOBS[{self.alias!r}]['OPTIONS']['CONCURRENCY']", concurrency), code="TGA401")
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._delayed: set[asyncio.Task[None]] = set()  # not due yet: shutdown does not wait for them
        self._waiting: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._dead: OrderedDict[str, DeadJob] = OrderedDict()
        self._numbers = itertools.count(1)
        self._ticks: dict[str, float] = {}  # the last tick put, by name; ticks are put in order
        self._seen: dict[str, float] = {}
        self._results: OrderedDict[str, bytes] = OrderedDict()
        self._new_result = asyncio.Event()

    async def put(self, queue: str, data: bytes, delay: float = 0.0) -> None:
        task = self._start(queue, data, delay)
        if delay > 0:
            self._delayed.add(task)
        else:
            drain_with_loop(task)

    async def put_again(self, queue: str, data: bytes, delay: float) -> None:
        drain_with_loop(self._start(queue, data, delay))

    async def put_once(self, name: str, tick: float, keep: float, queue: str, data: bytes) -> bool:
        if tick <= self._ticks.get(name, float("-inf")):
            return False
        self._ticks[name] = tick
        await self.put(queue, data)
        return True

    async def first_seen(self, name: str, now: float) -> float:
        return self._seen.setdefault(name, now)

    async def bury(self, queue: str, data: bytes, error: str) -> None:
        number = str(next(self._numbers))
        self._dead[number] = DeadJob(number, queue, data, error, time.time())
        if len(self._dead) > MAX_KEPT:
            self._dead.popitem(last=False)

    async def dead(self, limit: int = 1000) -> list[DeadJob]:
        return list(itertools.islice(self._dead.values(), limit))

    async def revive(self, ids: Collection[str]) -> int:
        found = [self._dead.pop(each) for each in ids if each in self._dead]
        for each in found:
            await self.put(each.queue, each.data)
        return len(found)

    async def keep_result(self, job_id: str, data: bytes, seconds: float) -> None:
        self._results[job_id] = data
        asyncio.get_running_loop().call_later(seconds, self._results.pop, job_id, None)
        if len(self._results) > MAX_KEPT:
            self._results.popitem(last=False)
        self._new_result.set()
        self._new_result = asyncio.Event()

    async def fetch_result(self, job_id: str, seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                while job_id not in self._results:
                    await self._new_result.wait()
        except TimeoutError:
            return None
        return self._results[job_id]

    async def sizes(self, queues: Collection[str] = ()) -> dict[str, tuple[int, int]]:
        names = sorted({*queues, *(+self._waiting + self._running)})
        return {name: (self._waiting[name], self._running[name]) for name in names}

    async def aclose(self) -> None:
        if self._delayed:
            logger.error("%d delayed jobs were dropped at the stop.", len(self._delayed))
            await cancel_tasks(self._delayed, 1.0)
            self._delayed.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in self._tasks:
            logger.error("A %s was dropped at the stop.", task.get_name())
        await cancel_tasks(self._tasks, 1.0)

    def _start(self, queue: str, data: bytes, delay: float) -> asyncio.Task[None]:
        self._waiting[queue] += 1
        task = asyncio.get_running_loop().create_task(self._run(queue, data, delay), name=f"job of {queue}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, queue: str, data: bytes, delay: float) -> None:
        from torngas_aio.jobs.worker import run_message  # imported here: the worker module depends on the backends

        try:
            await asyncio.sleep(delay)
            task = asyncio.current_task()
            if task in self._delayed:
                self._delayed.discard(task)
                drain_with_loop(task)
            async with self._slots:
                self._waiting[queue] -= 1
                self._running[queue] += 1
                try:
                    await run_message(self, queue, data, lambda: None)
                finally:
                    self._running[queue] -= 1
        except Exception:  # a boundary: the end of the task
            logger.exception("A job of the queue %r could not be ended.", queue)
