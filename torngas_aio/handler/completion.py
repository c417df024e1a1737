"""What `finish()`, `render()`, `redirect()`, `flush()` and `send_error()` return.

Awaited, the response is completed here, in the caller's task. Left alone, it is completed when the handler
next yields to the loop, or returns.
"""

from collections.abc import Awaitable, Generator
from typing import Any

__all__ = ["Completion"]


class Completion(Awaitable[None]):
    """A response, or a part of it, on its way out; awaiting it is optional, once or several times."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __await__(self) -> Generator[Any, None, None]:
        completed: Generator[Any, None, None] = self._handler._complete_and_drain().__await__()
        return completed
