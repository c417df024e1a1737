"""What several test modules of this folder use."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.exception import CacheUnavailable

NETWORK = ("raw_get", "raw_set", "raw_add", "raw_touch", "raw_delete", "raw_read", "raw_swap", "raw_drop",
           "raw_get_many", "raw_delete_many")  # fmt: skip


class RemoteCache(LocMemCache):
    """A store behind a pretended network: counts round trips, can be down, takes its time."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.trips: list[str] = []
        self.is_down = False
        self.fails_after = 10**9

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._trip(name, found) if name in NETWORK else found

    def _trip(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        async def serve(*args: Any) -> Any:
            self.trips.append(name)
            await asyncio.sleep(0)
            if self.is_down or len(self.trips) > self.fails_after:
                raise CacheUnavailable("CACHES['far'] at 10.9.9.9:6379: no answer within 2 s.")
            answer = await operation(*args)
            await asyncio.sleep(0)
            return answer

        return serve


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> RemoteCache:
    cache = RemoteCache(request.node.nodeid)
    cache.alias = request.node.name  # reports of outages are limited for each: another test's must not hold one back
    return cache
