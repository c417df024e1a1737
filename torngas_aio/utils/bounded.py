"""A cache for keys chosen by clients, bounded in bytes."""

from collections.abc import Hashable, Sized
from typing import Protocol, TypeVar

__all__ = ["BoundedCache"]

_ENTRY_BYTES = 256  # overhead of an entry, besides twice the size of its key: the key and a value of that size


class _Text(Sized, Hashable, Protocol):
    """str or bytes."""


K = TypeVar("K", bound=_Text)
V = TypeVar("V")


class BoundedCache(dict[K, V]):
    """A dict that is filled by `keep`, and read as any other.

    When full it is cleared. Entries in use are added again by the next request, so useless keys cannot displace them.

    Args:
        max_bytes: Approximate memory limit, assuming that values are as large as their keys.
        max_key: Longest key to store, in characters or bytes.
    """

    __slots__ = ("_left", "_max_bytes", "_max_key")

    def __init__(self, max_bytes: int, max_key: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._max_key = max_key
        self._left = max_bytes

    def keep(self, key: K, value: V) -> None:
        """Store *value* under *key*, unless the key is too long or already present."""
        if len(key) > self._max_key or key in self:
            return
        size = _ENTRY_BYTES + 2 * len(key)
        if size > self._left:
            self.clear()
        self._left -= size
        self[key] = value

    def clear(self) -> None:
        """Remove all entries."""
        super().clear()
        self._left = self._max_bytes
