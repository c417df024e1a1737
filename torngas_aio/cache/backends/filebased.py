"""The earlier name of `torngas_aio.cache.backends.filecache`, for settings that have it. Begin there."""

from torngas_aio.cache.backends.filecache import FileBasedCache

__all__ = ["FileBasedCache"]
