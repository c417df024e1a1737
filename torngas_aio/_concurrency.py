"""Asyncio beyond the standard library: shared computations, bounded places, tasks behind callers, calls in threads.

SingleFlight    many callers want one value; the first computes it, the others wait for its result or its error
Places          a bounded number of callers at a time; the others wait, for a bounded time
BackgroundTask  works behind its callers, at most one at a time
run_in_thread   a call in a worker thread that comes back in every case
run_in_loop     the way back: such a thread waits for a coroutine
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from torngas_aio._cleanup import CANCEL_SECONDS, cancel_tasks

__all__ = ["BackgroundTask", "Places", "SingleFlight", "run_in_loop", "run_in_thread"]

T = TypeVar("T")

_YOU_LEAD = object()


class SingleFlight:
    """The computations of one process that are under way, by key; used in one loop."""

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[object, deque[asyncio.Future[Any]]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def run(self, key: object, load: Callable[[], Awaitable[T]]) -> T:
        """Return what *load* returns; while one caller's runs, later callers with *key* wait for it.

        An error of the loader reaches its leader and everyone who waited; the next caller tries again. A
        leader that is cancelled passes the lead to one of the others, whose own loader then runs; a waiter
        that is cancelled leaves the rest alone.
        """
        waiting = self._flights.get(key)
        if waiting is None:
            self._flights[key] = deque()
        else:
            found: T = await self._wait(key, waiting)
            if found is not _YOU_LEAD:
                return found
        return await self._lead(key, load)

    async def _wait(self, key: object, waiting: deque[asyncio.Future[Any]]) -> Any:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None and future.result() is _YOU_LEAD:
                self._pass_on(key)  # cancelled in the very turn in which the lead came to it
            raise

    async def _lead(self, key: object, load: Callable[[], Awaitable[T]]) -> T:
        try:
            value = await load()
        except asyncio.CancelledError:
            self._pass_on(key)
            raise
        except BaseException as exc:
            for future in self._land(key):
                future.set_exception(exc)
                future.exception()  # seen: a waiter cancelled in this turn leaves no warning behind
            raise
        for future in self._land(key):
            future.set_result(value)
        return value

    def _land(self, key: object) -> list[asyncio.Future[Any]]:
        return [future for future in self._flights.pop(key) if not future.done()]

    def _pass_on(self, key: object) -> None:
        waiting = self._flights[key]
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(_YOU_LEAD)
                return
        del self._flights[key]


class Places:
    """The places of a pool of connections, or of whatever may run only so often at once; used in one loop.

    Args:
        size: How many there are.
    """

    __slots__ = ("_semaphore", "release", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._semaphore = asyncio.Semaphore(size)
        self.release = self._semaphore.release

    async def take(self, seconds: float) -> None:
        """Take a place, which `release()` gives back.

        Raises:
            TimeoutError: None came free within *seconds*.
        """
        if not self._semaphore.locked():  # PERF: no timeout, which costs some 8 us, where nothing is waited for
            await self._semaphore.acquire()
            return
        async with asyncio.timeout(seconds):
            await self._semaphore.acquire()


class BackgroundTask:
    """One task of its owner, started on demand and ended by `aclose`; used in one loop.

    It runs in a context of its own, because it outlives the request that happened to start it.

    Args:
        name: Of the task, for the log.
    """

    __slots__ = ("_name", "_task")

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[object] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the task has been started and has not ended."""
        return self._task is not None and not self._task.done()

    def start(self, work: Callable[[], Coroutine[object, None, object]]) -> None:
        """Run `work()`, unless an earlier run has not ended yet."""
        if not self.is_running:
            self._task = asyncio.get_running_loop().create_task(work(), name=self._name, context=Context())

    async def aclose(self) -> None:
        """Cancel the task and wait for its end, at most `CANCEL_SECONDS`; twice is harmless."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            await cancel_tasks((task,), CANCEL_SECONDS)


async def run_in_thread(call: Callable[..., T], *arguments: object, limiter: anyio.CapacityLimiter | None = None) -> T:
    """Return what *call*, which may be the project's own code, returns for *arguments* in a worker thread.

    A caller that is cancelled waits until the thread is done with it.

    Args:
        limiter: How many threads there may be; None for anyio's 40.

    Raises:
        RuntimeError: It raised SystemExit or the like, by which the thread would end and the caller wait for ever.
        Exception: What it raised.
    """
    if limiter is None and _is_waited_for.get():
        limiter = anyio.CapacityLimiter(1)  # its own: threads that wait for one another's places would wait for ever
    return await anyio.to_thread.run_sync(_guarded, call, arguments, limiter=limiter)


def run_in_loop(work: Coroutine[object, None, T]) -> T:
    """Return what *work* gives, awaited in the loop meanwhile; for code that `run_in_thread` runs.

    Raises:
        RuntimeError: In another thread.
        Exception: What it raised.
    """
    return anyio.from_thread.run(_waited_for, work)


async def _waited_for(work: Coroutine[object, None, T]) -> T:
    _is_waited_for.set(True)
    return await work


_is_waited_for: ContextVar[bool] = ContextVar("is_waited_for", default=False)
"""Whether a thread waits for what runs."""


def _guarded(call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    try:
        return call(*arguments)
    except Exception:
        raise
    except BaseException as exc:
        function = getattr(call, "func", call)  # of a partial
        name = getattr(function, "__qualname__", None) or repr(function)
        raise RuntimeError(f"{name} raised {exc!r} in its thread.") from exc
