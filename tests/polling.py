"""Polling for conditions without an event: another process's work, a server's view of a connection.

Begin with `until`. Events and futures are awaited directly, not polled.
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
"""Default timeout, generous for a busy machine; conditions are usually met much earlier."""


async def until(
    is_so: Callable[[], Any], seconds: float = SECONDS, *, accepts: tuple[type[Exception], ...] = ()
) -> Any:
    """Call *is_so*, awaiting its result if necessary, until that is true; return it.

    Args:
        is_so: The condition, called at intervals of up to 20 ms.
        seconds: The timeout.
        accepts: Exceptions of *is_so* that count as false.

    Raises:
        TimeoutError: The condition was not met in time.
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
    """Return the result of *count* once it has not changed for *pause* seconds."""
    seen = None
    while (found := count()) != seen:
        seen = found
        await asyncio.sleep(pause)
    return found


def wait_until(is_so: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Poll as `until` does, in tests and threads without an event loop."""
    pauses, deadline = _pauses(), time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"The condition was not met within {seconds} s.")
        time.sleep(next(pauses))
    return found


def _pauses() -> Iterator[float]:
    yield from (0.001, 0.002, 0.005, 0.01)
    yield from itertools.repeat(0.02)
