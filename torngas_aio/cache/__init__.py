"""Caches behind one contract.

    from torngas_aio.cache import cache, caches, cached

    await cache.set("user:7", name, timeout=60)
    await caches["redis"].get_or_set("top", load_top, 300)

Begin with `torngas_aio.cache.backends.base.BaseCache`.
"""

from torngas_aio.cache.cached import cached
from torngas_aio.cache.registry import cache, caches

__all__ = ["cache", "cached", "caches"]
