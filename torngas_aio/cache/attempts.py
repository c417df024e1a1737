"""Cache operations around one computed value: they share one deadline, and stop after the first failure.

first lookup  miss ──► Attempts: look up again, load, store
cache down    treated as a miss ──► wait for a loader slot ──► load; nothing is stored
Refreshes     values refreshed in background tasks, at most one task per name
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from torngas_aio._cleanup import cancel_tasks
from torngas_aio._concurrency import Places
from torngas_aio.context import enter_request
from torngas_aio.exception import CacheUnavailable
from torngas_aio.logger import DEGRADED_SECONDS, OutageLog

__all__ = ["LOADERS_AT_ONCE", "Attempts", "Loaders", "Refreshes"]

T = TypeVar("T")

LOADERS_AT_ONCE = 32
"""Concurrent loaders per cache while the cache is down; the limit protects the database that they query."""

logger = logging.getLogger("torngas_aio.cache")
_outages = OutageLog(logger, seconds=DEGRADED_SECONDS)


class Loaders:
    """A limit on the loaders that run because the cache is down; further loaders wait for a slot.

    Args:
        label: The cache's name in messages.
        seconds: How long a loader may wait for a slot.
    """

    def __init__(self, label: str, seconds: float) -> None:
        self._label = label
        self._seconds = seconds
        self._places = Places(LOADERS_AT_ONCE)

    async def run(self, load: Callable[[], Awaitable[T]]) -> T:
        """Wait for a slot, then return the result of *load*.

        Raises:
            CacheUnavailable: No slot became free in time.
        """
        try:
            await self._places.take(self._seconds)
        except TimeoutError:
            raise CacheUnavailable(
                f"{self._label} is down, and the {LOADERS_AT_ONCE} loaders that may run in its place were busy for "
                f"{self._seconds:g} s."
            ) from None
        try:
            return await load()
        finally:
            self._places.release()


class Attempts:
    """The cache operations of one computation, after its first lookup.

    Args:
        label: The cache's name in messages.
        loaders: The limit on loaders while the cache is down.
        seconds: How long all operations may take together.

    Attributes:
        is_down: True once the cache did not answer; further operations are skipped.
    """

    __slots__ = ("_label", "_left", "_loaders", "is_down")

    def __init__(self, label: str, loaders: Loaders, seconds: float, *, is_down: bool = False) -> None:
        self._label = label
        self._loaders = loaders
        self._left = seconds
        self.is_down = is_down

    async def run(self, call: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Return the result of *call*, or *otherwise* if the cache is down or the deadline has passed."""
        if self.is_down:
            return otherwise
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                return await call()
        except CacheUnavailable as exc:
            self.failed(str(exc))
        except TimeoutError:
            self.failed(f"{self._label}: its operations together exceeded the deadline")
        finally:
            self._left = max(self._left - (time.monotonic() - began), 0.0)
        return otherwise

    async def load(self, load: Callable[[], Awaitable[T]]) -> T:
        """Return the loader's result; while the cache is down, wait for a slot first."""
        return await (self._loaders.run(load) if self.is_down else load())

    def failed(self, reason: str) -> None:
        """Skip all further operations: the cache did not answer, for *reason*."""
        self.is_down = True
        _outages.report(self._label, "Values are computed without the cache: %s", reason)


class Refreshes:
    """The background refresh tasks of one cache; *owner* names the cache in the log."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def soon(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work* in a background task, unless a task for *name* is running."""
        if name not in self._tasks:
            context = contextvars.copy_context()
            context.run(enter_request, None)
            task = asyncio.get_running_loop().create_task(self._run(name, work), context=context)
            self._tasks[name] = task  # owned here: it removes itself when done, or aclose() cancels and awaits it

    async def aclose(self) -> None:
        """Cancel the running tasks and await them. Calling it twice is harmless."""
        await cancel_tasks(self._tasks.values())

    async def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except CacheUnavailable as exc:
            _outages.report(self._owner, "Cached values are not refreshed: %s", exc)
        except Exception as exc:  # noqa: BLE001  # the task ends here, and no caller awaits it
            _outages.report_error(
                exc, "%s: refreshing %r failed; the cached value stays until it expires.", self._owner, name
            )
        finally:
            self._tasks.pop(name, None)
