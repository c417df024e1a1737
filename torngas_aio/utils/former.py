"""Utilities of torngas 1.8 without a counterpart in Python and Tornado; import them from `torngas_aio.utils`.

Null             a null object, which makes checks for None unnecessary
iterbetter       an iterator with forward indexing, a truth value and `first`
request_context  the current request, in any code called by a handler
sleep            a pause that does not block the loop
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Generic, TypeVar, overload

from tornado.httputil import HTTPServerRequest

from torngas_aio.context import current_request
from torngas_aio.exception import OutsideRequest

__all__ = ["IterBetter", "Null", "RequestContext", "iterbetter", "request_context", "sleep"]


class Null:
    """A null object: calls, attributes and items return a `Null` again; assignments and deletions do nothing.

    It is false, empty and equal to every other `Null`. Attributes with two leading underscores raise AttributeError,
    so that `copy`, `pickle` and template engines work.
    """

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> "Null":
        return self

    def __getattr__(self, name: str) -> "Null":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        pass

    def __delattr__(self, name: str) -> None:
        pass

    def __getitem__(self, key: object) -> "Null":
        return self

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __delitem__(self, key: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Null)

    def __hash__(self) -> int:
        return hash(Null)

    def __repr__(self) -> str:
        return "<Null>"

    def __str__(self) -> str:
        return ""


_Item = TypeVar("_Item")
_Default = TypeVar("_Default")


class IterBetter(Generic[_Item]):
    """A lazy, single-pass iterator over *items* with forward indexing.

    It is true if an item is left; the check reads one item ahead and buffers it.
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
        """Return the item at *index*, counted from the first of all items; skipped items are dropped.

        Raises:
            IndexError: The item was read already, or there are too few.
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
        """Return the next item; *default* if none is left."""
        return next(self, default)

    def list(self) -> list[_Item]:
        """Return the remaining items."""
        return list(self)


def iterbetter(items: Iterable[_Item]) -> IterBetter[_Item]:
    """Return *items* as an `IterBetter`."""
    return IterBetter(items)


class RequestContext:
    """Access to the current request; true inside a request, false outside.

    Tasks started by a handler see the request of that handler.
    """

    __slots__ = ()

    @property
    def request(self) -> HTTPServerRequest:
        """The current request.

        Raises:
            OutsideRequest: There is no request: at import, in a start hook of the application, in a script.
        """
        request = current_request()
        if request is None:
            raise OutsideRequest(
                "request_context.request was read outside any request. "
                "Ask `if request_context:` first, or pass the request in."
            )
        return request

    def __bool__(self) -> bool:
        return current_request() is not None


request_context = RequestContext()


async def sleep(seconds: float) -> None:
    """Pause for *seconds* without blocking the loop; `await` it, or `yield` it in a `@gen.coroutine`."""
    await asyncio.sleep(seconds)
