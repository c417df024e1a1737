"""What is open must be closed: once, within a time limit, also while the caller is being cancelled.

close_safely      one resource, to its end, shielded from cancellation and bounded in time; `close_each` several
await_to_the_end  work that must not be cut off half-way, and bounds its own time
await_result      the same, where the caller goes on with the result and is cancelled after that
bounded           one step of a start, bounded in time
cancel_tasks      tasks that may swallow their cancellation
close_with_loop   notes what is to be closed; `close_all` closes what this loop holds
drain_with_loop   a task that a stop gives time to end, as it does requests
end_quickly       the interpreter itself
is_imposed        tells a cancellation from an error that code has raised itself
"""

import asyncio
import atexit
import contextvars
import gc
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

__all__ = [
    "CLOSE_SECONDS",
    "Close",
    "await_result",
    "await_to_the_end",
    "bounded",
    "cancel_tasks",
    "close_all",
    "close_each",
    "close_safely",
    "close_with_loop",
    "drain_with_loop",
    "end_quickly",
    "forget",
    "is_imposed",
    "tasks_to_drain",
]

logger = logging.getLogger("torngas_aio.closing")

CLOSE_SECONDS = 5.0
"""How long closing one resource may take before it is abandoned, with an error in the log."""

CANCEL_SECONDS = 1.0
"""How long what was cancelled late may take to end before it is left behind."""

T = TypeVar("T")

Close = Callable[[], Awaitable[object]]

_left_behind: set[asyncio.Task[object]] = set()  # held, so that none is destroyed while it is pending

_open: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Close]]" = WeakKeyDictionary()
_draining: "WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[Any]]]" = WeakKeyDictionary()


async def close_safely(key: object, close: Close, seconds: float = CLOSE_SECONDS) -> None:
    """Await *close* to its end; what it raises is logged, never raised.

    A caller that is cancelled meanwhile is held until the closing has ended or *seconds* have passed,
    and is then cancelled. A closing that swallows its own cancellation is left behind.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(_closed(key, close))  # owned here: awaited, or cancelled, in every case
    cancelled = await _wait_in_any_case(task, loop.time() + seconds)
    if not task.done():
        logger.error("Closing %r took more than %.0f s; it was abandoned.", key, seconds)
        task.set_name(f"that closes {key!r}")
        await cancel_tasks((task,), CANCEL_SECONDS)
    if cancelled is not None:
        raise cancelled


async def close_each(closings: Iterable[tuple[object, Close]], seconds: float = CLOSE_SECONDS) -> None:
    """Await every one of *closings*, a key and what closes it, as `close_safely` does.

    A caller that is cancelled meanwhile is cancelled after the last of them.
    """
    cancelled: asyncio.CancelledError | None = None
    for key, close in closings:
        try:
            await close_safely(key, close, seconds)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled


async def await_to_the_end(work: Coroutine[object, None, T]) -> T:
    """Return what *work*, which bounds its own time, returns; a caller that is cancelled meanwhile is held until then.

    Raises:
        CancelledError: The caller was cancelled; *work* has ended all the same.
        Exception: What *work* raised.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)  # owned here: awaited in every case
    cancelled = await _wait_in_any_case(task, math.inf)
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen
        raise cancelled
    return task.result()


async def await_result(work: Coroutine[object, None, T], seconds: float = math.inf) -> T:
    """Return what *work* returns; a caller that is cancelled meanwhile is cancelled at its next await instead.

    Args:
        seconds: How long that is put off; then *work* is cancelled, too.

    Raises:
        CancelledError: The caller was cancelled, and *work* has not ended in time.
        Exception: What *work* raised.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)  # owned here: awaited, or cancelled, in every case
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        await _wait_in_any_case(task, loop.time() + seconds)
        if not task.done():
            await cancel_tasks((task,), CANCEL_SECONDS)
            raise
        if (caller := asyncio.current_task()) is not None:
            caller.uncancel()  # counted once
            caller.cancel()
    return task.result()


async def _wait_in_any_case(task: asyncio.Task[object], until: float) -> asyncio.CancelledError | None:
    """Wait for *task*, at most until the loop's time is *until*; return the cancellation that came meanwhile."""
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and loop.time() < until:
        try:
            await asyncio.wait((task,), timeout=None if until == math.inf else until - loop.time())
        except asyncio.CancelledError as exc:
            cancelled = exc
    return cancelled


async def bounded(name: object, work: Close, seconds: float, context: contextvars.Context | None = None) -> None:
    """Await *work* in a task of its own for at most *seconds*, also where it swallows its cancellation.

    Args:
        context: What the task runs in; None: a copy of the caller's.

    Raises:
        TimeoutError: It took longer; it was cancelled and, if need be, left behind.
        RuntimeError: *work* raised SystemExit.
        Exception: What *work* raised.
    """
    task = asyncio.get_running_loop().create_task(_awaited(name, work), name=f"of {name}", context=context)
    try:
        await asyncio.wait((task,), timeout=seconds)
    finally:
        is_late = not task.done()
        if is_late:
            await cancel_tasks((task,), CANCEL_SECONDS)
    if is_late:
        raise TimeoutError(f"{name} took more than {seconds:g} s.")
    task.result()


async def cancel_tasks(tasks: Iterable[asyncio.Task[object]], seconds: float = CLOSE_SECONDS) -> None:
    """Cancel *tasks* and wait until they have ended; one that swallows two cancellations is named and left behind.

    Those that were left behind before are not waited for again.

    A caller that is cancelled meanwhile waits no longer.

    Args:
        seconds: For all of them together; half of it after each cancellation.
    """
    waiting = set(tasks) - _left_behind
    for _ in range(2):
        if not waiting:
            return
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=seconds / 2)
    for task in waiting:
        logger.error("The task %s was cancelled twice and does not end; it is left behind.", task.get_name())
        _left_behind.add(task)
        task.add_done_callback(_left_behind.discard)


def close_with_loop(key: object, close: Close) -> None:
    """Have *close* awaited when the application that runs in this loop shuts down.

    Args:
        key: Names the resource; a second call with the same key replaces the first.
        close: Harmless when called twice.
    """
    _open.setdefault(asyncio.get_running_loop(), {})[key] = close


def drain_with_loop(task: asyncio.Task[object]) -> None:
    """Have a stop of the application that runs in this loop wait for *task*, within the graceful time."""
    tasks = _draining.setdefault(asyncio.get_running_loop(), set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def tasks_to_drain() -> set[asyncio.Task[object]]:
    """Return the tasks of this loop that were given to `drain_with_loop` and have not ended."""
    return set(_draining.get(asyncio.get_running_loop(), ()))


def forget(key: object) -> None:
    """Take *key* off the list of this loop; nothing happens when it is not on it."""
    _open.get(asyncio.get_running_loop(), {}).pop(key, None)


async def close_all(seconds: float = CLOSE_SECONDS) -> None:
    """Close whatever this loop holds, the last opened first, each within *seconds*."""
    held = _open.get(asyncio.get_running_loop(), {})
    while held:
        await close_each([held.popitem() for _ in range(len(held))], seconds)


def is_imposed(exc: BaseException) -> bool:
    """Return whether *exc* was put upon the running code from outside, and so must pass.

    That is a cancellation of the current task, or the closing of a coroutine: nothing may be awaited after that. A
    CancelledError or GeneratorExit that code raised itself is an error like any other. To be called by the frame that
    caught *exc*.
    """
    if isinstance(exc, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    # A coroutine that is closed gets a GeneratorExit of its own at its own await: no deeper frame has raised it.
    return isinstance(exc, GeneratorExit) and (exc.__traceback__ is None or exc.__traceback__.tb_next is None)


async def _closed(key: object, close: Close) -> None:
    try:
        await close()
    except BaseException as exc:  # the other resources must still be closed
        if is_imposed(exc):
            raise
        logger.exception("Closing %r failed.", key)
        if isinstance(exc, KeyboardInterrupt):
            raise


async def _awaited(name: object, work: Close) -> None:
    try:
        await work()
    except SystemExit as exc:  # it would leave the loop at once, and nothing that is open be closed
        raise RuntimeError(f"{name} called sys.exit({exc.code!r}).") from exc


def end_quickly() -> None:
    """Have the interpreter's last collection of garbage go through nothing: the system frees all of it anyway.

    It takes an application with a database 0.5 s of CPU time, in which the process that takes its place waits.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
