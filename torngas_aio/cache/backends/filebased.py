"""The former name of `torngas_aio.cache.backends.filecache`, for settings that use it."""

from torngas_aio.cache.backends.filecache import FileBasedCache

__all__ = ["FileBasedCache"]
