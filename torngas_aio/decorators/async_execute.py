"""Plain functions, run in threads and awaited like coroutines.

    call ──> future for the caller; PoolExhausted if THREADS_MAX_WAITING calls are waiting
         └─> task of this loop: wait for one of THREADS_NUM slots ─> thread ─> result ─> future, callback

    the caller is cancelled …            the function
    before it has a slot                 does not run
    while it runs                        runs to its end and keeps its slot; its result is dropped, an error logged

A thread cannot be interrupted, so a cancelled caller does not wait for it. At shutdown running functions get the time
limit for closing one resource; waiting ones are dropped.
"""

import asyncio
import functools
import inspect
import logging
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeGuard, TypeVar
from weakref import WeakKeyDictionary

import anyio

from torngas_aio._cleanup import close_with_loop, is_imposed
from torngas_aio._concurrency import run_in_thread
from torngas_aio.exception import ArgumentError, PoolExhausted
from torngas_aio.settings_manager import settings

__all__ = ["async_execute"]

logger = logging.getLogger("torngas_aio.async_execute")

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def async_execute(function: Callable[_Parameters, _Result]) -> Callable[..., asyncio.Future[_Result]]:
    """Return a function that runs *function* in a thread and returns a future.

    The future is awaited, or yielded in a `@gen.coroutine`. The thread runs in a copy of the caller's context, which
    includes the current request.

    Decorates functions, methods, static and class methods. Calls accept one additional keyword argument:

        callback: Called in the loop with the result, plain or async; not after an error or a cancellation.

    A decorated function that waits, through the loop, for another one occupies two slots; if all slots are occupied
    that way, they deadlock.

    Raises:
        ArgumentError: *function* is a coroutine function, which needs no thread.
        PoolExhausted: On a call while THREADS_MAX_WAITING calls wait for a thread; the response is 503.
        RuntimeError: On a call without a running loop, such as in another decorated function.
    """
    if _is_descriptor(function):
        return type(function)(async_execute(function.__func__))
    name = getattr(function, "__qualname__", None) or repr(function)
    if inspect.iscoroutinefunction(function):
        raise ArgumentError(f"{name} is async already: await it, without @async_execute.")

    @functools.wraps(function)
    def start(
        *args: Any, callback: Callable[[_Result], object] | None = None, **kwargs: Any
    ) -> asyncio.Future[_Result]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                f"{name} runs in a thread of the loop's, and no loop runs here. "
                f"Inside a thread, call {name}.__wrapped__ instead."
            ) from None
        return _threads_of(loop).start(functools.partial(function, *args, **kwargs), callback, name)

    return start


class _Threads:
    """The thread limit of one loop, and its running and waiting tasks."""

    def __init__(self, places: int, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._limiter = anyio.CapacityLimiter(places)
        self._unlimited = anyio.CapacityLimiter(math.inf)
        self._waiting: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()

    def start(
        self, call: Callable[[], _Result], callback: Callable[[_Result], object] | None, name: str
    ) -> asyncio.Future[_Result]:
        if len(self._waiting) >= self._max_waiting + self._limiter.available_tokens:  # new tasks count as waiting
            raise PoolExhausted(
                f"{name}: all {self._limiter.total_tokens:g} threads (THREADS_NUM) are in use and "
                f"{self._max_waiting} calls (THREADS_MAX_WAITING) wait for one."
            )
        if not self._waiting and not self._running:
            close_with_loop("the threads of async_execute", self.drain)
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(call, callback, result, name))  # owned by the two sets
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: result.cancel())  # if dropped before it ran, cancel its waiter too
        result.add_done_callback(lambda _: task in self._waiting and task.cancel())
        return result

    async def drain(self) -> None:
        """Cancel waiting tasks and await running ones."""
        for task in list(self._waiting):
            task.cancel()
        await self.settle()

    async def settle(self) -> None:
        """Await all tasks started so far, including callbacks."""
        tasks = self._waiting | self._running
        if tasks:
            await asyncio.wait(tasks)

    async def _run(
        self,
        call: Callable[[], _Result],
        callback: Callable[[_Result], object] | None,
        result: asyncio.Future[_Result],
        name: str,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        async with self._limiter:
            self._waiting.discard(task)
            self._running.add(task)
            try:
                # The slot is held by this task, not by `run_sync`: it must not be freed if the caller is cancelled.
                value = await run_in_thread(call, limiter=self._unlimited)
            except Exception as exc:  # a boundary: passed to the caller, or logged
                if result.cancelled() or callback is not None:
                    logger.exception("%s failed in its thread.", name)
                if not result.done():
                    result.set_exception(exc)
                    if callback is not None:
                        result.exception()  # read: with a callback the future need not be awaited
                return
        if result.cancelled():
            return
        result.set_result(value)
        if callback is not None:
            await _call_back(callback, value, name)


async def _call_back(callback: Callable[[_Result], object], value: _Result, name: str) -> None:
    try:
        answer = callback(value)
        if inspect.isawaitable(answer):
            await answer
    except BaseException as exc:  # a boundary: a callback is not awaited; sys.exit would end the loop
        if is_imposed(exc):
            raise
        logger.exception("The callback of %s failed.", name)


_by_loop: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads]" = WeakKeyDictionary()


def _threads_of(loop: asyncio.AbstractEventLoop) -> _Threads:
    threads = _by_loop.get(loop)
    if threads is None:
        threads = _by_loop[loop] = _Threads(int(settings.THREADS_NUM), int(settings.THREADS_MAX_WAITING))
    return threads


def _is_descriptor(function: object) -> "TypeGuard[staticmethod[..., Any]]":
    """Return whether *function* is a `staticmethod` or `classmethod` object."""
    return isinstance(function, staticmethod | classmethod)
