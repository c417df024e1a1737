"""The stores' servers, for the backends' own tests."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.services.memcached import MemcachedServer
from torngas_aio.cache.backends.memcached import MemcachedCache

MakeMemcached = Callable[..., MemcachedCache]


@pytest.fixture
async def make_memcached(memcached_servers: list[MemcachedServer]) -> AsyncIterator[MakeMemcached]:
    """Caches on the three servers of the session, closed after the test."""
    made: list[MemcachedCache] = []

    def open_cache(**params: Any) -> MemcachedCache:
        made.append(MemcachedCache([server.address for server in memcached_servers], params))
        return made[-1]

    yield open_cache
    for cache in made:
        await cache.close()
