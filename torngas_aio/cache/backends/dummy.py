"""A cache that stores nothing, for development and for measuring the effect of a cache."""

from typing import ClassVar

from torngas_aio.cache.backends.base import BaseCache

__all__ = ["DummyCache"]


class DummyCache(BaseCache):
    """A cache that checks keys and values as any other does, and stores nothing."""

    is_shared: ClassVar[bool] = False

    async def raw_get(self, key: str) -> bytes | None:
        return None

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        return

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        return True

    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        return False

    async def raw_delete(self, key: str) -> bool:
        return False

    async def raw_incr(self, key: str, delta: int) -> int | None:
        return None

    async def raw_clear(self, head: str) -> None:
        return

    async def raw_ttl(self, key: str) -> float | None:
        return 0.0

    async def raw_keys(self, head: str, pattern: str) -> list[str]:
        return []
