"""Waiting in code that cannot `await`: a function that a page calls while it is made.

    await in_greenlet(template.render, values) ─► page ─► function ─► wait_for(work) ─► the page's task awaits it
    page made in a worker thread ───────────────────────► function ─► wait_for(work) ─► the loop runs it

Imported only where something of a page may have to wait: greenlet comes with the extra `db`. A switch to a new
greenlet takes some microseconds.
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
    """Return whether `wait_for` works here: below `in_greenlet`, or in a worker thread."""
    if isinstance(getcurrent(), _Greenlet):
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def wait_for(work: Coroutine[object, None, T]) -> T:
    """Return what *work* gives, or raise what it raises; where `can_wait` says so.

    Raises:
        RuntimeError: In a thread that is not one of `run_in_thread`.
    """
    current = getcurrent()
    if isinstance(current, _Greenlet):
        assert current.parent is not None  # it is made with one
        return cast(T, current.parent.switch(_Wanted(work)))
    return run_in_loop(work)


@coroutine
def in_greenlet(call: Callable[..., Coroutine[object, None, T]], *args: object) -> Generator[object, None, T]:
    """Await `call(*args)`, in whose synchronous code `wait_for` may be used; same task, same context.

    A cancellation reaches what is waited for, and from there the code that waits.
    """
    made = _Greenlet(partial(_run, call(*args)), getcurrent())
    made.gr_context = getcurrent().gr_context
    asked = made.switch()
    while not made.dead:
        try:
            answer = (yield from asked.work.__await__()) if isinstance(asked, _Wanted) else (yield asked)
        except BaseException as exc:  # noqa: BLE001  raised where it was asked for
            asked = made.throw(exc)
        else:
            asked = made.switch(answer)
    return cast(T, asked)


class _Greenlet(greenlet):  # type: ignore[misc]  # greenlet is untyped
    """One that hands what it asks for to the greenlet of a task."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `wait_for` asks a task to await; all else that comes out of a greenlet is for the loop."""

    work: Coroutine[object, None, object]


def _run(work: Coroutine[object, None, T]) -> T:
    """Run *work* in the current greenlet, step by step."""
    task: Any = getcurrent().parent
    step: Callable[[], Any] = partial(work.send, None)
    while True:
        try:
            asked = step()
        except StopIteration as done:
            return cast(T, done.value)
        try:
            step = partial(work.send, task.switch(asked))
        except BaseException as exc:  # noqa: BLE001  raised in the coroutine
            step = partial(work.throw, exc)
