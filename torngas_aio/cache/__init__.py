"""Caches behind one contract.

    from torngas_aio.cache import cache, caches, cached

    await cache.set("user:7", name, timeout=60)
    await caches["redis"].get_or_set("top", load_top, 300)

    backends/           the backends that CACHES can name, and their contract
    redis/  memcached/  connections, pools and commands of the two network backends
    registry.py         caches by alias, one instance per event loop
    store.py            the interface of a backend: bytes under finished keys; strict parsing of options and counters
    keys.py             mapping of a caller's key to the key in the store
    serializers.py      values to bytes and back         plain_data.py  checks for plain data
    cached.py           `@cached`
    attempts.py         cache operations around one computed value: one deadline, bounded loaders, background refreshes
    lock.py             a lock shared by all processes
    circuit_breaker.py  the up/down state of a server, and the task that probes a server that is down
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
"""The torngas 1.8 name of the exception raised for an alias that is not in CACHES."""


__getattr__ = former_names(__name__)
