"""Closing of resources: once, within a time limit, also while the caller is being cancelled.

close_safely      closes one resource, shielded from cancellation and bounded in time; `close_each` several
await_to_the_end  awaits work that must not be interrupted, and bounds its own time
await_result      the same, but the caller continues with the result and is cancelled after that
bounded           one step of a start, bounded in time
cancel_tasks      cancels tasks that may swallow their cancellation
close_with_loop   registers a resource; `close_all` closes those of this loop
drain_with_loop   registers a task for which a stop waits, as for requests
end_quickly       shortens the exit of the interpreter
is_imposed        distinguishes a cancellation from an error that code has raised itself
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
"""How long closing one resource may take before it is abandoned and an error is logged."""

CANCEL_SECONDS = 1.0
"""How long a cancelled task may take to end before it is abandoned."""

T = TypeVar("T")

Close = Callable[[], Awaitable[object]]

_left_behind: set[asyncio.Task[object]] = set()  # referenced, so that none is destroyed while it is pending

_open: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Close]]" = WeakKeyDictionary()
_draining: "WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[Any]]]" = WeakKeyDictionary()


async def close_safely(key: object, close: Close, seconds: float = CLOSE_SECONDS) -> None:
    """Await *close* to its end; an exception of it is logged, never raised.

    If the caller is cancelled meanwhile, its cancellation is delayed until *close* has ended or *seconds* have
    passed. A *close* that swallows its own cancellation is abandoned.
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
    """Await each of *closings*, pairs of key and close function, as `close_safely` does.

    If the caller is cancelled meanwhile, its cancellation is delayed until after the last one.
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
    """Return the result of *work*, which bounds its own time; a cancellation of the caller is delayed until then.

    Raises:
        CancelledError: The caller was cancelled; *work* has still ended.
        Exception: Raised by *work*.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)  # owned here: awaited in every case
    cancelled = await _wait_in_any_case(task, math.inf)
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn
        raise cancelled
    return task.result()


async def await_result(work: Coroutine[object, None, T], seconds: float = math.inf) -> T:
    """Return the result of *work*; if the caller is cancelled meanwhile, that takes effect at its next await.

    Args:
        seconds: How long the cancellation is delayed; then *work* is cancelled too.

    Raises:
        CancelledError: The caller was cancelled, and *work* has not ended in time.
        Exception: Raised by *work*.
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
            caller.uncancel()  # so that it is counted once
            caller.cancel()
    return task.result()


async def _wait_in_any_case(task: asyncio.Task[object], until: float) -> asyncio.CancelledError | None:
    """Wait for *task* until the loop's time *until* at most; return a cancellation that arrived meanwhile."""
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and loop.time() < until:
        try:
            await asyncio.wait((task,), timeout=None if until == math.inf else until - loop.time())
        except asyncio.CancelledError as exc:
            cancelled = exc
    return cancelled


async def bounded(name: object, work: Close, seconds: float, context: contextvars.Context | None = None) -> None:
    """Await *work* in a separate task for at most *seconds*, even if it swallows its cancellation.

    Args:
        context: The context of the task; None: a copy of the caller's.

    Raises:
        TimeoutError: It took longer; it was cancelled and, if that failed, abandoned.
        RuntimeError: *work* raised SystemExit.
        Exception: Raised by *work*.
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
    """Cancel *tasks* and wait until they have ended; one that swallows two cancellations is logged and abandoned.

    Tasks abandoned earlier are not waited for again. A cancellation of the caller ends the wait.

    Args:
        seconds: For all tasks together; half of it after each cancellation.
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
    """Register *close*, to be awaited when the application that runs in this loop shuts down.

    Args:
        key: Identifies the resource; a second call with the same key replaces the first.
        close: Must be harmless when called twice.
    """
    _open.setdefault(asyncio.get_running_loop(), {})[key] = close


def drain_with_loop(task: asyncio.Task[object]) -> None:
    """Register *task*: a stop of the application in this loop waits for it, within the graceful time."""
    tasks = _draining.setdefault(asyncio.get_running_loop(), set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def tasks_to_drain() -> set[asyncio.Task[object]]:
    """Return the tasks of this loop that were registered by `drain_with_loop` and have not ended."""
    return set(_draining.get(asyncio.get_running_loop(), ()))


def forget(key: object) -> None:
    """Remove *key* from the registry of this loop, if it is in it."""
    _open.get(asyncio.get_running_loop(), {}).pop(key, None)


async def close_all(seconds: float = CLOSE_SECONDS) -> None:
    """Close all registered resources of this loop, the last opened first, each within *seconds*."""
    held = _open.get(asyncio.get_running_loop(), {})
    while held:
        await close_each([held.popitem() for _ in range(len(held))], seconds)


def is_imposed(exc: BaseException) -> bool:
    """Return whether *exc* was imposed from outside on the running code, which must then let it pass.

    That is a cancellation of the current task, or the closing of a coroutine: nothing may be awaited after that. A
    CancelledError or GeneratorExit that code has raised itself is an ordinary error. Must be called by the frame that
    caught *exc*.
    """
    if isinstance(exc, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    # Closing a coroutine raises GeneratorExit at its own await: no deeper frame is in the traceback.
    return isinstance(exc, GeneratorExit) and (exc.__traceback__ is None or exc.__traceback__.tb_next is None)


async def _closed(key: object, close: Close) -> None:
    try:
        await close()
    except BaseException as exc:  # the remaining resources must still be closed
        if is_imposed(exc):
            raise
        logger.exception("Closing %r failed.", key)
        if isinstance(exc, KeyboardInterrupt):
            raise


async def _awaited(name: object, work: Close) -> None:
    try:
        await work()
    except SystemExit as exc:  # it would end the loop at once, with open resources
        raise RuntimeError(f"{name} called sys.exit({exc.code!r}).") from exc


def end_quickly() -> None:
    """Make the interpreter's last garbage collection skip all objects: the system frees their memory anyway.

    It takes 0.5 s of CPU time for an application with a database, for which a replacing process waits.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
