"""Caches behind one contract.

    from torngas_aio.cache import cache, caches, cached

    await cache.set("user:7", name, timeout=60)
    await caches["redis"].get_or_set("top", load_top, 300)

    backends/           what CACHES can name, and the contract
    redis/  memcached/  what two of the backends are built of
    registry.py         caches by alias, one instance for each loop
    store.py            what a backend implements: bytes under finished keys; options and counters, read strictly
    keys.py             from a caller's key to the key in the store
    serializers.py      values to bytes and back         plain_data.py  which of them are plain data
    cached.py           `@cached`
    attempts.py         the cache's part in computing one value: one deadline, bounded loaders, refreshes behind callers
    lock.py             a lock that all processes share
    circuit_breaker.py  whether a server is down, and the task that finds out when it is back
    lru.py              entries in memory                file_store.py entries in a directory

Begin with `torngas_aio.cache.backends.base.BaseCache`.
"""

from torngas_aio._former_names import former_names
from torngas_aio.cache.cached import cached
from torngas_aio.cache.registry import cache, caches, close_caches
from torngas_aio.exception import UnknownAlias

__all__ = [
    "DEFAULT_CACHE_ALIAS",
    "DEFAULT_DUMMY_ALIAS",
    "DEFAULT_MEMCACHED_ALIAS",
    "DEFAULT_REDIS_ALIAS",
    "InvalidCacheBackendError",
    "cache",
    "cached",
    "caches",
    "close_caches",
]

DEFAULT_CACHE_ALIAS = "default"
DEFAULT_REDIS_ALIAS = "default_redis"
DEFAULT_MEMCACHED_ALIAS = "default_memcache"
DEFAULT_DUMMY_ALIAS = "dummy"

InvalidCacheBackendError = UnknownAlias
"""What an alias that CACHES does not have raises, by its name in torngas 1.8."""


__getattr__ = former_names(__name__)
