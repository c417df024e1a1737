"""An iterator that can also be asked for its first item, its length of nothing, or an item ahead.

Begin with `iterbetter`.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Generic, TypeVar, overload

__all__ = ["IterBetter", "iterbetter"]

_Item = TypeVar("_Item")
_Default = TypeVar("_Default")


class IterBetter(Generic[_Item]):
    """*items*, read once and only as far as asked; indexing goes forwards only.

    It is true when an item is left; asking that reads one item ahead and keeps it.
    """

    def __init__(self, items: Iterable[_Item]) -> None:
        self._rest: Iterator[_Item] = iter(items)
        self._position = 0

    def __iter__(self) -> "IterBetter[_Item]":
        return self

    def __next__(self) -> _Item:
        item = next(self._rest)
        self._position += 1
        return item

    def __bool__(self) -> bool:
        for item in self._rest:
            self._rest = chain((item,), self._rest)
            return True
        return False

    def __getitem__(self, index: int) -> _Item:
        """Return the item at *index*, counted from the first one ever; those before it are dropped.

        Raises:
            IndexError: It was read already, or there are not so many.
        """
        if index < self._position:
            raise IndexError(f"Item {index} was read already; the next one is {self._position}. Use list() first.")
        for item in islice(self, index - self._position, None):
            return item
        raise IndexError(f"There is no item {index}; there were {self._position}.")

    @overload
    def first(self) -> _Item | None: ...
    @overload
    def first(self, default: _Default) -> _Item | _Default: ...
    def first(self, default: object = None) -> object:
        """Return the next item, *default* when none is left."""
        return next(self, default)

    def list(self) -> list[_Item]:
        """Return all that is left."""
        return list(self)


def iterbetter(items: Iterable[_Item]) -> IterBetter[_Item]:
    """Return *items* as an `IterBetter`."""
    return IterBetter(items)
