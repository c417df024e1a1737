"""Files of static directories: their headers, the content of small ones, and open large ones.

FileCache   an LRU cache, bounded in bytes; an entry is valid while `os.stat` finds the file unchanged
StaticFile  one file in the state in which it was read
OpenFile    a descriptor to send from
"""

import datetime as dt
import hashlib
import os
import stat as stat_module
import time
from collections import OrderedDict
from collections.abc import Hashable

from torngas_aio.exception import ConfigError

__all__ = ["CODINGS", "DEFAULT_CACHE_BYTES", "FileCache", "Mark", "OpenFile", "StaticFile", "mark_of"]

DEFAULT_CACHE_BYTES = 32 * 1024 * 1024
"""Default size of an application's `FileCache`."""

CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""Content codings by preference, with the file suffix of each."""

Mark = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of change of content and inode: differs for another file or other content."""

_SHARE = 64  # one file may use this fraction (1/64) of the cache
_OVERHEAD = 1024  # bytes of an entry beside its content
_TICK = 0.02  # seconds: two changes within a tick of the system's clock may have the same times
# PERF: called on the loop: 2.5 us, against 70 us in a thread; `static_in_threads` is for slow file systems
_stat, _access = os.stat, os.access
_OPENING = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def mark_of(stat: os.stat_result) -> Mark:
    """Return values that distinguish a file from a later one of the same name."""
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class OpenFile:
    """An open regular file; closed by `close`, at the latest with its last reference.

    Args:
        path: With every symbolic link resolved: links are not followed, and pipes not waited for.
        folder: The descriptor of the folder that *path* is relative to; None: the current one.

    Raises:
        OSError: It cannot be opened; FileNotFoundError also if *path* is not a regular file any more.
    """

    def __init__(self, path: str, folder: int | None = None) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, _OPENING, dir_fd=folder)
        self.stat = os.fstat(self.descriptor)
        if not stat_module.S_ISREG(self.stat.st_mode):
            raise FileNotFoundError(path)

    def read(self, size: int, offset: int) -> bytes:
        """Return up to *size* bytes from *offset*; b"" at the end."""
        os.lseek(self.descriptor, offset, os.SEEK_SET)
        return os.read(self.descriptor, size)

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close


class StaticFile:
    """A file in the state in which it was read.

    Attributes:
        path: With every symbolic link resolved.
        name: The requested path, whose target is checked to find out whether the file has changed.
        size: Of its content, in bytes.
        content: None for a file that is too large to be cached.
        version: The SHA-512 of the content; None if unknown.
        coding: The content coding, "" for none.
        packed: The same file in other codings; None for one that cannot be read.
        varies: Whether the client's Accept-Encoding decides which file is served.
        modified: When the content was last changed, in whole seconds.
        fields: The response headers about the file; None until they were built.
        is_settled: Whether any later change is certain to change the mark.
        was_used: Whether the cache has returned it since its last turn to be evicted.
    """

    __slots__ = (
        *("coding", "content", "fields", "is_settled", "mark", "modified", "name", "packed"),
        *("path", "size", "stat", "varies", "version", "was_used"),
    )

    def __init__(self, path: str, stat: os.stat_result, coding: str = "") -> None:
        self.path = self.name = path
        self.stat = stat
        self.mark = mark_of(stat)
        self.size = stat.st_size
        self.modified = dt.datetime.fromtimestamp(int(stat.st_mtime), dt.UTC)
        self.fields: dict[str, str] | None = None
        self.content: bytes | None = None
        self.version: str | None = None
        self.coding = coding
        self.packed: dict[str, StaticFile | None] = {}
        self.varies = False
        self.is_settled = True
        self.was_used = False

    @classmethod
    def read(cls, path: str, max_content: int, coding: str = "") -> "StaticFile":
        """Return the file *path*, with its content if that is at most *max_content* bytes; blocks.

        Raises:
            OSError: The file cannot be read.
        """
        source = OpenFile(path)
        try:
            file = cls(path, source.stat, coding)
            if file.size <= max_content:
                with os.fdopen(os.dup(source.descriptor), "rb") as stream:
                    file.content = stream.read(file.size)
                file.size = len(file.content)
                file.version = hashlib.sha512(file.content).hexdigest()
            after = os.fstat(source.descriptor)
            file.is_settled = mark_of(after) == file.mark and time.time() > max(after.st_mtime, after.st_ctime) + _TICK
            return file
        finally:
            source.close()

    @property
    def etag(self) -> str | None:
        """The entity tag, different for each coding."""
        if self.version is None:
            return None
        return f'"{self.version}-{self.coding}"' if self.coding else f'"{self.version}"'

    def is_current(self) -> bool:
        """Return whether the file is unchanged since it was read; one `os.stat`."""
        try:
            return mark_of(_stat(self.name)) == self.mark
        except (OSError, ValueError):
            return False

    def current(self, codings: list[str]) -> "StaticFile | None":
        """Return `best`; None if it, the file, or a variant that would be preferred has changed since it was read."""
        if not (self.is_settled and self.is_current()):
            return None
        for coding in codings:
            if coding not in self.packed:
                if _access(self.path + CODINGS[coding], os.F_OK):
                    return None
            elif (packed := self.packed[coding]) is not None:
                if not (packed.is_settled and packed.is_current()):
                    return None
                if self._is_replaced_by(packed):
                    return packed
        return self

    def best(self, codings: list[str]) -> "StaticFile":
        """Return the first available of *codings*, else the file itself; variants older than the file are ignored."""
        for coding in codings:
            packed = self.packed.get(coding)
            if packed is not None and self._is_replaced_by(packed):
                return packed
        return self

    def _is_replaced_by(self, packed: "StaticFile") -> bool:
        return packed.stat.st_mtime_ns >= self.stat.st_mtime_ns


class FileCache:
    """Files by the requested names.

    Args:
        max_bytes: Of all content together; 0 disables the cache. One file may use a 64th of it.
        in_threads: Whether the `os.stat` of a cached file, and sending it, also run in worker threads: for network file
            systems, where they may be slow.

    Raises:
        ConfigError: *max_bytes* is not a non-negative integer.
    """

    def __init__(self, max_bytes: int, *, in_threads: bool = False) -> None:
        if type(max_bytes) is not int or max_bytes < 0:
            raise ConfigError(
                f"TORNADO_CONF['static_cache_bytes'] = {max_bytes!r}: give a number of bytes; 0 keeps none.",
                code="TGA104",
            )
        self.in_threads = in_threads
        self.max_bytes = max_bytes
        self.max_content = max_bytes // _SHARE
        self.used_bytes = 0
        self._files: OrderedDict[Hashable, StaticFile] = OrderedDict()

    def get(self, key: Hashable) -> StaticFile | None:
        """Return the file cached under *key*, or None."""
        file = self._files.get(key)
        if file is not None:
            file.was_used = True
        return file

    def keep(self, key: Hashable, file: StaticFile) -> None:
        """Cache *file* under *key*, evicting those that were not used for longest. Called by the loop only."""
        self._drop(key)
        self._files[key] = file
        self.used_bytes += _cost(file)
        while self.used_bytes > self.max_bytes:
            self._evict()

    def clear(self) -> None:
        """Remove every file."""
        self._files.clear()
        self.used_bytes = 0

    def _evict(self) -> None:
        """Remove the oldest file, or make it the newest if it was used since this was last its turn."""
        key, file = next(iter(self._files.items()))
        if file.was_used:
            file.was_used = False
            self._files.move_to_end(key)
        else:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        file = self._files.pop(key, None)
        if file is not None:
            self.used_bytes -= _cost(file)


def _cost(file: StaticFile) -> int:
    own = len(file.content or b"") + 2 * len(file.path) + _OVERHEAD
    return own + sum(_cost(packed) for packed in file.packed.values() if packed is not None)
