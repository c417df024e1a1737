"""What is open must be closed: once, within a time limit, whoever is being cancelled meanwhile.

    close_safely      one resource, to its end, shielded from cancellation and bounded in time
    close_with_loop   a room that opens a pool says so; `close_all` closes what this loop holds

Begin with `close_safely`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

__all__ = ["CLOSE_SECONDS", "Close", "close_all", "close_safely", "close_with_loop", "forget"]

logger = logging.getLogger("torngas_aio.closing")

CLOSE_SECONDS = 5.0
"""How long closing one resource may take before it is abandoned, with an error in the log."""

Close = Callable[[], Awaitable[object]]

_open: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Close]]" = WeakKeyDictionary()


async def close_safely(key: object, close: Close, seconds: float = CLOSE_SECONDS) -> None:
    """Await *close* to its end; what it raises is logged, never raised.

    A caller that is cancelled meanwhile is held until the closing has ended or *seconds* have passed,
    and is then cancelled.
    """
    task = asyncio.ensure_future(_run(key, close, seconds))  # owned here: awaited in every case
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled


def close_with_loop(key: object, close: Close) -> None:
    """Have *close* awaited when the application that runs in this loop shuts down.

    Args:
        key: Names the resource; a second call with the same key replaces the first.
        close: Harmless when called twice.
    """
    _open.setdefault(asyncio.get_running_loop(), {})[key] = close


def forget(key: object) -> None:
    """Take *key* off the list of this loop; nothing happens when it is not on it."""
    _open.get(asyncio.get_running_loop(), {}).pop(key, None)


async def close_all(seconds: float = CLOSE_SECONDS) -> None:
    """Close whatever this loop holds, the last opened first, each within *seconds*."""
    held = _open.get(asyncio.get_running_loop(), {})
    while held:
        key, close = held.popitem()
        await close_safely(key, close, seconds)


async def _run(key: object, close: Close, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await close()
    except TimeoutError:
        logger.error("Closing %r took more than %.0f s; it was abandoned.", key, seconds)
    except Exception:  # a frontier: the other resources must still be closed
        logger.exception("Closing %r failed.", key)
