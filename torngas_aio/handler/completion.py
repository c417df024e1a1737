"""What `finish()`, `render()`, `redirect()`, `flush()` and `send_error()` return.

Awaited, the response is completed here, in the caller's task. Left alone, it is completed when the handler
next yields to the loop, or returns.
"""

from collections.abc import Awaitable, Generator, Iterator
from typing import Any

__all__ = ["Completion"]


_NOTHING: Iterator[Any] = iter(())


class Completion(Awaitable[None]):
    """A response, or a part of it, on its way out; awaiting it is optional, once or several times."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]  # of nothing, where nothing is to be awaited
        handler = self._handler
        is_complete = handler._is_sent and not handler._is_pending and handler._completion is None
        if is_complete and handler.request.connection.is_drained:
            # PERF: the usual case of a handler without hooks: no coroutine, -0.9 us a request (benchmarks, plain)
            return _NOTHING
        completed: Generator[Any, None, None] = handler._complete_and_drain().__await__()
        return completed
