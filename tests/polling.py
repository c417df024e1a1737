"""Waiting for what no event tells: another process's work, a server's view of a connection.

Begin with `until`; what tells by an event or a future is awaited itself.
"""

import asyncio
import contextlib
import inspect
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["until", "until_still", "wait_until"]

SECONDS = 30.0
"""Long enough for a machine that is busy with other things; what comes, comes much earlier."""


async def until(
    is_so: Callable[[], Any], seconds: float = SECONDS, *, accepts: tuple[type[Exception], ...] = ()
) -> Any:
    """Return what *is_so* returns, or the awaitable that it returns gives, once that is true.

    Args:
        is_so: Asked again and again, with pauses of up to 20 ms.
        seconds: After which the test fails.
        accepts: Exceptions of *is_so* that mean "not yet".

    Raises:
        TimeoutError: It was not so in time.
    """
    pauses = _pauses()
    async with asyncio.timeout(seconds):
        while True:
            found = None
            with contextlib.suppress(*accepts):
                answer = is_so()
                found = await answer if inspect.isawaitable(answer) else answer
            if found:
                return found
            await asyncio.sleep(next(pauses))


async def until_still(count: Callable[[], int], pause: float = 0.2) -> int:
    """Return what *count* gives, once it has been the same for *pause* seconds."""
    seen = None
    while (found := count()) != seen:
        seen = found
        await asyncio.sleep(pause)
    return found


def wait_until(is_so: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """As `until`, for tests and threads without a loop."""
    pauses, deadline = _pauses(), time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"It was not so within {seconds} s.")
        time.sleep(next(pauses))
    return found


def _pauses() -> Iterator[float]:
    yield from (0.001, 0.002, 0.005, 0.01)
    yield from itertools.repeat(0.02)
