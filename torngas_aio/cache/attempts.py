"""The cache's part in computing one value: one deadline for all its operations, and none after one that failed.

first look    miss ──► Attempts: look once more, load, store
cache down    counts as a miss ──► a place among the loaders ──► load; nothing is stored
Refreshes     values that are refreshed behind their callers, once for each name
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
"""How many loaders of one cache run at once while it is down: the database behind them must bear the load."""

logger = logging.getLogger("torngas_aio.cache")
_outages = OutageLog(logger, seconds=DEGRADED_SECONDS)


class Loaders:
    """The places for loaders that run because the cache is down; those beyond them wait.

    Args:
        seconds: How long a loader may wait for a place.
    """

    def __init__(self, label: str, seconds: float) -> None:
        self._label = label
        self._seconds = seconds
        self._places = Places(LOADERS_AT_ONCE)

    async def run(self, load: Callable[[], Awaitable[T]]) -> T:
        """Return what *load* returns, once there is a place.

        Raises:
            CacheUnavailable: There was none in time.
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
    """The operations of one computation on a cache, after a first look at it.

    Args:
        label: The cache, as messages name it.
        loaders: Bounds the loaders while it is down.
        seconds: How long all operations may take together.

    Attributes:
        is_down: The cache does not answer; no further operation is tried.
    """

    __slots__ = ("_label", "_left", "_loaders", "is_down")

    def __init__(self, label: str, loaders: Loaders, seconds: float, *, is_down: bool = False) -> None:
        self._label = label
        self._loaders = loaders
        self._left = seconds
        self.is_down = is_down

    async def run(self, call: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Return what *call* returns, *otherwise* when the cache is down or the time is over."""
        if self.is_down:
            return otherwise
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                return await call()
        except CacheUnavailable as exc:
            self.failed(str(exc))
        except TimeoutError:
            self.failed(f"{self._label}: its answers took more than the deadline together")
        finally:
            self._left = max(self._left - (time.monotonic() - began), 0.0)
        return otherwise

    async def load(self, load: Callable[[], Awaitable[T]]) -> T:
        """Return what the loader returns; with the cache down it needs a place."""
        return await (self._loaders.run(load) if self.is_down else load())

    def failed(self, reason: str) -> None:
        """Try no further operation: the cache did not answer, for *reason*."""
        self.is_down = True
        _outages.report(self._label, "Values are computed without the cache: %s", reason)


class Refreshes:
    """The refreshing tasks of one cache; *owner* names it in the log."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def soon(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* behind the caller, unless work of that *name* is being done."""
        if name not in self._tasks:
            context = contextvars.copy_context()
            context.run(enter_request, None)
            task = asyncio.get_running_loop().create_task(self._run(name, work), context=context)
            self._tasks[name] = task  # owned here: it leaves by itself, or aclose() awaits it

    async def aclose(self) -> None:
        """Cancel the work under way and await its end. Twice is harmless."""
        await cancel_tasks(self._tasks.values())

    async def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except CacheUnavailable as exc:
            _outages.report(self._owner, "Kept values are not refreshed: %s", exc)
        except Exception as exc:  # noqa: BLE001  # the task ends here, and no caller awaits it
            _outages.report_error(
                exc, "%s: refreshing %r failed; what is kept stays until it expires.", self._owner, name
            )
        finally:
            self._tasks.pop(name, None)
