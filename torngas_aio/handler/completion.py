"""What `finish()`, `render()`, `redirect()`, `flush()` and `send_error()` return.

Awaited, the response is completed here, in the caller's task. Left alone, it is completed when the handler
next yields to the loop, or returns.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

__all__ = ["Completion"]


class Completion(Awaitable[None]):
    """A response, or a part of it, on its way out; awaiting it is optional, once or several times."""

    __slots__ = ("_complete",)

    def __init__(self, complete: Callable[[], Awaitable[None]]) -> None:
        self._complete = complete

    def __await__(self) -> Generator[Any, None, None]:
        return self._complete().__await__()
