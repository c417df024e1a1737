"""Single flight: many callers want one value, one of them computes it.

    first caller   leads: runs the loader in its own task
    the others     wait for its result, or its error
    leader gone    (cancelled) the longest-waiting other leads instead

Begin with `SingleFlight.run`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ["SingleFlight"]

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
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
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
