"""Caches behind one contract.

    from torngas_aio.cache import cache, caches, cached

    await cache.set("user:7", name, timeout=60)
    await caches["redis"].get_or_set("top", load_top, 300)

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
