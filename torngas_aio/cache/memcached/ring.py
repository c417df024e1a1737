"""Consistent hashing: which of several servers holds a key.

    each server stands at 160 points of a circle; a key belongs to the next point clockwise

When a server is added to n others, one key in n + 1 moves, all of them to it; every process with the same servers,
in any order, finds the same one. Begin with `Ring`.
"""

import bisect
import hashlib
from collections.abc import Callable, Sequence

__all__ = ["Ring"]

POINTS = 160


class Ring:
    """The servers of one cache.

    Args:
        names: The servers' names, each different.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        placed = sorted((_place(f"{name}#{point}"), name) for name in names for point in range(POINTS))
        self._places = [place for place, _ in placed]
        self._owners = [name for _, name in placed]

    def owner(self, key: str, is_out: Callable[[str], bool] | None = None) -> str:
        """Return the name of the server that holds *key*.

        Args:
            is_out: Tells servers that are passed over for the next on the circle; when all are, the first counts.
        """
        if len(self._names) == 1:
            return self._names[0]
        start = bisect.bisect(self._places, _place(key)) % len(self._places)
        first = self._owners[start]
        if is_out is None or not is_out(first):
            return first
        around = dict.fromkeys(self._owners[start:] + self._owners[:start])
        return next((name for name in around if not is_out(name)), first)


def _place(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
