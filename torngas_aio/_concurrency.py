"""Helpers for asyncio: shared computations, limited concurrency, background tasks, calls in threads.

SingleFlight    callers that want the same value: the first computes it, the others wait for its result or error
Places          a limited number of concurrent callers; the others wait, for a limited time
BackgroundTask  work in the background, at most one task at a time
run_in_thread   calls a function in a worker thread
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

_TAKE_OVER = object()


class SingleFlight:
    """The computations in progress, by key; used in one loop."""

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[object, deque[asyncio.Future[Any]]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def run(self, key: object, load: Callable[[], Awaitable[T]]) -> T:
        """Return the result of *load*; while one caller's runs, later callers with *key* wait for its result.

        An error of the loader is raised in its caller and in all waiting ones; the next caller tries again. If the
        caller whose loader runs is cancelled, one of the waiting ones runs its own; a waiting caller that is
        cancelled does not affect the others.
        """
        waiting = self._flights.get(key)
        if waiting is None:
            self._flights[key] = deque()
        else:
            found: T = await self._wait(key, waiting)
            if found is not _TAKE_OVER:
                return found
        return await self._lead(key, load)

    async def _wait(self, key: object, waiting: deque[asyncio.Future[Any]]) -> Any:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None and future.result() is _TAKE_OVER:
                self._pass_on(key)  # cancelled in the same turn in which it was to take over
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
                future.exception()  # retrieved: no warning for a caller cancelled in this turn
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
                future.set_result(_TAKE_OVER)
                return
        del self._flights[key]


class Places:
    """A limit on concurrent use, such as of a pool of connections; used in one loop.

    Args:
        size: The number of places.
    """

    __slots__ = ("_semaphore", "release", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._semaphore = asyncio.Semaphore(size)
        self.release = self._semaphore.release

    async def take(self, seconds: float) -> None:
        """Acquire a place, to be returned by `release()`.

        Raises:
            TimeoutError: No place was free within *seconds*.
        """
        if not self._semaphore.locked():  # PERF: a timeout costs some 8 us; none if there is no wait
            await self._semaphore.acquire()
            return
        async with asyncio.timeout(seconds):
            await self._semaphore.acquire()


class BackgroundTask:
    """One task of its owner, started on demand and ended by `aclose`; used in one loop.

    It runs in a separate context, because it outlives the request that started it.

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
        """Run `work()`, unless an earlier run is still in progress."""
        if not self.is_running:
            self._task = asyncio.get_running_loop().create_task(work(), name=self._name, context=Context())

    async def aclose(self) -> None:
        """Cancel the task and wait for its end, at most `CANCEL_SECONDS`; calling it twice is harmless."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            await cancel_tasks((task,), CANCEL_SECONDS)


async def run_in_thread(call: Callable[..., T], *arguments: object, limiter: anyio.CapacityLimiter | None = None) -> T:
    """Return the result of *call*, which may be the project's own code, with *arguments* in a worker thread.

    A cancelled caller waits until the thread has finished the call.

    Args:
        limiter: The limit of concurrent threads; None for anyio's 40.

    Raises:
        RuntimeError: It raised SystemExit or similar, which would end the thread while the caller waits.
        Exception: Raised by *call*.
    """
    if limiter is None and _is_waited_for.get():
        limiter = anyio.CapacityLimiter(1)  # a separate one: threads that wait for each other's places would deadlock
    return await anyio.to_thread.run_sync(_guarded, call, arguments, limiter=limiter)


def run_in_loop(work: Coroutine[object, None, T]) -> T:
    """Return the result of *work*, awaited in the loop; for code that `run_in_thread` runs.

    Raises:
        RuntimeError: Called in another thread.
        Exception: Raised by *work*.
    """
    return anyio.from_thread.run(_waited_for, work)


async def _waited_for(work: Coroutine[object, None, T]) -> T:
    _is_waited_for.set(True)
    return await work


_is_waited_for: ContextVar[bool] = ContextVar("is_waited_for", default=False)
"""Whether a thread waits for the running code."""


def _guarded(call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    try:
        return call(*arguments)
    except Exception:
        raise
    except BaseException as exc:
        function = getattr(call, "func", call)  # of a partial
        name = getattr(function, "__qualname__", None) or repr(function)
        raise RuntimeError(f"{name} raised {exc!r} in its thread.") from exc
