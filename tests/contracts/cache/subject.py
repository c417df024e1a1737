"""What differs between the backends that the contract suite runs on.

Begin with `Subject`; a backend joins the suite by a fixture `subject_NAME` and its name in `conftest.NAMES`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from torngas_aio.cache.backends.base import BaseCache

__all__ = ["Clock", "MakeCache", "Subject"]


class MakeCache(Protocol):
    def __call__(self, **params: object) -> BaseCache:
        """Return a cache on this test's own store; *params* as in CACHES (TIMEOUT, KEY_PREFIX, OPTIONS, ...)."""


class Clock:
    """A clock that the test winds on."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    async def wind(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True, slots=True)
class Subject:
    """One backend under test.

    Attributes:
        make: Opens another cache on the same store; all are closed by the fixture.
        wait: Lets seconds pass: winds the clock where there is one, waits where the store has its own.
        unit: The shortest life that the store keeps to, in seconds; tests of expiry use small multiples.
        keeps: Whether the store keeps anything at all.
        can_ttl, can_list: Whether `ttl` and `keys` work.
        max_value_bytes: The largest value that must fit.
        clear_seconds: How long another process may still see what `clear` removed.
    """

    make: MakeCache
    wait: Callable[[float], Awaitable[None]]
    unit: float = 1.0
    keeps: bool = True
    can_ttl: bool = True
    can_list: bool = True
    takes_spaces: bool = True
    max_value_bytes: int = 4_000_000
    clear_seconds: float = 0.0
