"""A cache whose keys clients choose: bounded in bytes, whatever they send."""

from collections.abc import Hashable, Sized
from typing import Protocol, TypeVar

__all__ = ["BoundedCache"]

_ENTRY_BYTES = 256  # of an entry beside the bytes of its key, twice: the key and a value of its size


class _Text(Sized, Hashable, Protocol):
    """str or bytes."""


K = TypeVar("K", bound=_Text)
V = TypeVar("V")


class BoundedCache(dict[K, V]):
    """A dict that is asked as any other, and filled by `keep`.

    When it is full it is emptied: entries in use come back with their next request, so junk cannot lock them out.

    Args:
        max_bytes: About how much memory its entries may take, with values of the size of their keys.
        max_key: The longest key that is kept, in characters or bytes.
    """

    __slots__ = ("_left", "_max_bytes", "_max_key")

    def __init__(self, max_bytes: int, max_key: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._max_key = max_key
        self._left = max_bytes

    def keep(self, key: K, value: V) -> None:
        """Keep *value* under *key*, unless the key is too long, or is there."""
        if len(key) > self._max_key or key in self:
            return
        size = _ENTRY_BYTES + 2 * len(key)
        if size > self._left:
            self.clear()
        self._left -= size
        self[key] = value

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._left = self._max_bytes
