"""Calls in worker threads that come back in every case. Begin with `run_in_thread`."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

__all__ = ["run_in_thread"]

_Result = TypeVar("_Result")


async def run_in_thread(
    call: Callable[..., _Result], *arguments: object, limiter: anyio.CapacityLimiter | None = None
) -> _Result:
    """Return what *call*, which may be the project's own code, returns for *arguments* in a worker thread.

    A caller that is cancelled waits until the thread is done with it.

    Args:
        limiter: How many threads there may be; None for anyio's 40.

    Raises:
        RuntimeError: It raised SystemExit or the like, by which the thread would end and the caller wait for ever.
        Exception: What it raised.
    """
    return await anyio.to_thread.run_sync(_guarded, call, arguments, limiter=limiter)


def _guarded(call: Callable[..., _Result], arguments: tuple[object, ...]) -> _Result:
    try:
        return call(*arguments)
    except Exception:
        raise
    except BaseException as exc:
        function = getattr(call, "func", call)  # of a partial
        name = getattr(function, "__qualname__", None) or repr(function)
        raise RuntimeError(f"{name} raised {exc!r} in its thread.") from exc
