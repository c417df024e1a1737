"""The awaitable that `finish()`, `render()`, `redirect()`, `flush()` and `send_error()` return.

Awaited, the response is completed here, in the caller's task. Left alone, it is completed when the handler
next yields to the loop, or returns.
"""

from collections.abc import Awaitable, Generator, Iterator
from typing import Any

__all__ = ["COMPLETED", "Completion"]

_NOTHING: Iterator[Any] = iter(())


class Completion(Awaitable[None]):
    """A response, or a part of it, on its way out; awaiting it is optional, once or several times."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __await__(self) -> Generator[Any, None, None]:
        waiting: Generator[Any, None, None] = self._handler._complete_and_drain().__await__()
        return waiting


class _Completed(Completion):
    """A response that has left, with no hook to run after it.

    PERF: one for all: neither an object nor a coroutine for each (benchmarks, plain).
    """

    __slots__ = ()

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]  # of nothing: nothing is to be awaited
        return _NOTHING


COMPLETED: Completion = _Completed(None)
