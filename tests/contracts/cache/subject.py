"""Differences between the backends of the contract suite.

Begin with `Subject`; to add a backend, write a fixture `subject_NAME` and add its name to `conftest.NAMES`.
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
    """A clock that the test advances."""

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
        make: Opens another cache on the same store; the fixture closes all of them.
        wait: Lets seconds pass: advances the test's clock, or sleeps if the store has its own.
        unit: Resolution of expiry, in seconds; tests use small multiples of it.
        keeps: Whether the store stores values at all.
        can_ttl, can_list: Whether `ttl` and `keys` are supported.
        max_value_bytes: The largest value that must fit.
        clear_seconds: How long other processes may still read values removed by `clear`.
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
