"""Counters in this process for `limits`: each step costs the same however many clients there are.

The library's own store walks over every key at every request, in tasks that are not awaited; here a counter that
has expired goes when it is met, or when a new one needs its place. Begin with `BoundedMemoryStorage`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from math import floor

from limits.aio.storage import SlidingWindowCounterSupport, Storage

__all__ = ["BoundedMemoryStorage"]

MAX_COUNTERS = 100_000


class BoundedMemoryStorage(Storage, SlidingWindowCounterSupport):
    """Fixed windows and sliding windows, at most *max_counters*: a new one replaces the longest untouched."""

    STORAGE_SCHEME = ["async+torngas"]  # noqa: RUF012  # as the library declares it

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        max_counters: int = MAX_COUNTERS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(uri, wrap_exceptions)
        self._max_counters = max_counters
        self._clock = clock
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()  # count, when it expires

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        return self._add(key, expiry, amount)

    async def get(self, key: str) -> int:
        return self._count(key)

    async def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, self._clock()))[1]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        count = len(self._counters)
        self._counters.clear()
        return count

    async def clear(self, key: str) -> None:
        self._counters.pop(key, None)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        # RACE: no await between these lines
        previous, left, current, _ = self._windows(key, expiry)
        if floor(previous * left / expiry + current) + amount > limit:
            return False
        self._add(self._window_key(key, expiry, 0), 2 * expiry, amount)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        return self._windows(key, expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        for back in (0, 1):
            self._counters.pop(self._window_key(key, expiry, back), None)

    def _windows(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        left = expiry - self._clock() % expiry
        previous = self._count(self._window_key(key, expiry, 1))
        return previous, left if previous else 0.0, self._count(self._window_key(key, expiry, 0)), left + expiry

    def _window_key(self, key: str, expiry: int, back: int) -> str:
        return f"{key}/{int(self._clock() // expiry) - back}"

    def _count(self, key: str) -> int:
        count, expires_at = self._counters.get(key, (0, 0.0))
        return count if expires_at > self._clock() else 0

    def _add(self, key: str, expiry: float, amount: int) -> int:
        now = self._clock()
        count, expires_at = self._counters.pop(key, (0, 0.0))
        if expires_at <= now:
            count, expires_at = 0, now + expiry
        self._counters[key] = (count + amount, expires_at)
        while len(self._counters) > self._max_counters:
            self._counters.popitem(last=False)
        return count + amount
