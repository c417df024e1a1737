"""What several test modules of this folder use."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from torngas_aio.cache.backends.memcached import MemcachedCache

Make = Callable[..., MemcachedCache]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Caches with short deadlines and eager probes, closed after the test."""
    made: list[MemcachedCache] = []

    def open_cache(location: object, **options: Any) -> MemcachedCache:
        settings = {"DEADLINE": 0.3, "RETRY_SECONDS": 0.01, **options}
        made.append(MemcachedCache(location, {"ALIAS": "main", "KEY_PREFIX": "faults", "OPTIONS": settings}))
        return made[-1]

    yield open_cache
    for cache in made:
        await cache.close()
