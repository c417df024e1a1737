"""Awaiting coroutines in synchronous functions that a template calls during rendering.

    await in_greenlet(template.render, values) ─► page ─► function ─► wait_for(work) ─► the page's task awaits it
    page rendered in a worker thread ───────────────────► function ─► wait_for(work) ─► the loop runs it

Imported only if a page needs it, since greenlet comes with the extra `db`. A switch to a new greenlet takes a few
microseconds.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from types import coroutine
from typing import Any, TypeVar, cast

from torngas_aio._concurrency import run_in_loop

try:
    from greenlet import getcurrent, greenlet
except ImportError as exc:
    raise ImportError(
        "A UI module with `async def render` needs greenlet: pip install greenlet", name=exc.name
    ) from exc

__all__ = ["can_wait", "in_greenlet", "wait_for"]

T = TypeVar("T")


def can_wait() -> bool:
    """Return whether `wait_for` works here: inside `in_greenlet`, or in a worker thread."""
    if isinstance(getcurrent(), _Greenlet):
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def wait_for(work: Coroutine[object, None, T]) -> T:
    """Wait for *work* and return its result, or raise its exception; requires `can_wait()`.

    Raises:
        RuntimeError: The thread was not started by `run_in_thread`.
    """
    current = getcurrent()
    if isinstance(current, _Greenlet):
        assert current.parent is not None  # set by `in_greenlet`
        return cast(T, current.parent.switch(_AwaitRequest(work)))
    return run_in_loop(work)


@coroutine
def in_greenlet(call: Callable[..., Coroutine[object, None, T]], *args: object) -> Generator[object, None, T]:
    """Await `call(*args)`, in the same task and context; synchronous code inside may use `wait_for`.

    A cancellation is raised in the awaited coroutine, and then in the code that waits for it.
    """
    made = _Greenlet(partial(_run, call(*args)), getcurrent())
    made.gr_context = getcurrent().gr_context
    yielded = made.switch()
    while not made.dead:
        try:
            result = (yield from yielded.work.__await__()) if isinstance(yielded, _AwaitRequest) else (yield yielded)
        except BaseException as exc:  # noqa: BLE001  raised in the waiting code
            yielded = made.throw(exc)
        else:
            yielded = made.switch(result)
    return cast(T, yielded)


class _Greenlet(greenlet):  # type: ignore[misc]  # greenlet is untyped
    """A greenlet that passes awaitables to the greenlet of its task."""


@dataclass(frozen=True, slots=True)
class _AwaitRequest:
    """A coroutine that `wait_for` passes to the task; other objects from a greenlet are futures for the loop."""

    work: Coroutine[object, None, object]


def _run(work: Coroutine[object, None, T]) -> T:
    """Run *work* in the current greenlet, step by step."""
    task: Any = getcurrent().parent
    step: Callable[[], Any] = partial(work.send, None)
    while True:
        try:
            yielded = step()
        except StopIteration as done:
            return cast(T, done.value)
        try:
            step = partial(work.send, task.switch(yielded))
        except BaseException as exc:  # noqa: BLE001  raised in the coroutine
            step = partial(work.throw, exc)
