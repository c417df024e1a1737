"""The life of an application: opened in order, closed in reverse, each step bounded in time.

open   step 1 > step 2 > step 3        a step that fails closes those before it
close  step 3 > step 2 > step 1        a step that fails or hangs is logged; the rest still close

Background   tasks that outlive their request: owned, their errors logged, given time at the stop, then cancelled
StopEvent    tells handlers and streams that the server stops
"""

import asyncio
import contextvars
import functools
import inspect
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from torngas_aio._cleanup import CLOSE_SECONDS, bounded, cancel_tasks, close_each, is_imposed, tasks_to_drain
from torngas_aio.errorpage.masking import Showing
from torngas_aio.exception import NotCallableError
from torngas_aio.logger import OutageLog
from torngas_aio.utils.text import escape_controls

__all__ = ["Background", "Lifespan", "StopEvent"]

logger = logging.getLogger("torngas_aio.lifespan")
_outages = OutageLog(logger)

Step = Callable[[], Awaitable[Any]]


class Lifespan:
    """What must be opened before the first request and closed after the last.

    May be opened again after it was closed, in the same loop or another.

    Args:
        step_seconds: How long one step may take; an opening that takes longer is a `TimeoutError`.
    """

    def __init__(self, step_seconds: float = 30.0) -> None:
        self.step_seconds = step_seconds
        self.is_open = False
        self._steps: list[tuple[str, Step | None, Step | None]] = []
        self._opened: list[tuple[str, Step]] = []
        self._opening: asyncio.Future[None] | None = None

    def add(self, name: str, open: Step | None = None, close: Step | None = None) -> None:  # noqa: A002  the pair's names
        """Append a step; steps already open are not run again.

        Args:
            name: Says in the log which step failed.
            close: Run if `open` succeeded, or if there is no `open`.
        """
        self._steps.append((name, open, close))

    async def open(self) -> None:
        """Run every step's opening, once: callers that arrive meanwhile wait for the same opening.

        Raises:
            Exception: What a step raised; the steps before it have been closed again.
        """
        if self.is_open:
            return
        if self._opening is not None and self._opening.get_loop() is asyncio.get_running_loop():
            await asyncio.shield(self._opening)
            return
        # One task of its own: a first request that is cancelled must not take the opening with it.
        self._opening = asyncio.ensure_future(self._open_steps())
        self._opening.add_done_callback(self._forget_opening)
        await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Run the closing of every opened step in reverse; faults are logged, none is raised.

        An opening that is still going on is cancelled.
        """
        if self._opening is not None and self._opening.get_loop() is asyncio.get_running_loop():
            self._opening.cancel()
            await asyncio.wait((self._opening,), timeout=self.step_seconds)
        self.is_open = False
        await self._close_opened()

    async def _open_steps(self) -> None:
        context = contextvars.copy_context()  # of all steps: what one sets the next one sees
        for name, open_step, close_step in self._steps:
            try:
                if open_step is not None:
                    await bounded(name, open_step, self.step_seconds, context)
            except BaseException:
                await self._close_opened()
                raise
            if close_step is not None:
                self._opened.append((name, close_step))
        self.is_open = True

    async def _close_opened(self) -> None:
        opened, self._opened = self._opened[::-1], []
        await close_each(opened, self.step_seconds)

    def _forget_opening(self, opening: asyncio.Future[None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # seen: every caller that waited has it


class StopEvent(asyncio.Event):
    """An event whose truth is whether it is set: `while not stopping`, `await stopping.wait()`."""

    def __bool__(self) -> bool:
        return self.is_set()


class Background:
    """Tasks that outlive the request that started them; the application owns them.

    An error is logged with its traceback. At a stop they get what is left of the graceful time; `close` then cancels
    what still runs.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[object], functools.partial[Any]] = {}  # with the call that each runs
        self._services: set[asyncio.Task[object]] = set()

    def start_soon(
        self, function: Callable[..., Awaitable[object]], *args: object, name: str | None = None, daemon: bool = False
    ) -> None:
        """Start `function(*args)` in a task of the running loop; returns at once.

        Args:
            name: What the log calls the task; the function's own name.
            daemon: It runs for as long as the application does: a stop cancels it without waiting for its end.

        Raises:
            NotCallableError: *function* is a coroutine, as for `create_task`, or cannot be called for another reason.
        """
        if not callable(function):
            if inspect.iscoroutine(function):
                function.close()  # else Python warns that it was never awaited
            raise NotCallableError(
                f"start_soon() takes a function and its arguments, not {function!r}: "
                "write start_soon(send, x), not start_soon(send(x))."
            )
        call = functools.partial(function, *args)  # of a partial, it is one with the arguments of both
        title = name or str(getattr(call.func, "__qualname__", type(call.func).__qualname__))
        task = asyncio.get_running_loop().create_task(_run(title, function, *args), name=title)
        if daemon:
            self._services.add(task)
            task.add_done_callback(self._services.discard)
        else:
            self._tasks[task] = call
            task.add_done_callback(self._forget)

    def __len__(self) -> int:
        return len(self._tasks) + len(self._services)

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Yield the tasks that run, daemons last."""
        yield from (*self._tasks, *self._services)

    async def drain(self, seconds: float) -> None:
        """Wait until the tasks of this loop that are not daemons have ended, those that they start included, and the
        jobs that run in this process. The log says at once for which.

        Args:
            seconds: For all of them together; what runs longer goes on running.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        waited_for = [*map(self._shown, _running(self._tasks, loop)), *(each.get_name() for each in tasks_to_drain())]
        if waited_for and seconds > 0:
            logger.info(
                "The stop waits up to %.3g s for background tasks: %s. What runs as long as the application is to be "
                "started with daemon=True.",
                seconds, ", ".join(waited_for),
            )  # fmt: skip
        while (tasks := {*_running(self._tasks, loop), *tasks_to_drain()}) and (left := until - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Cancel every task of this loop; what that drops is logged, by name and with its arguments.

        A task that swallows its cancellation is cancelled once more, named in the log and left behind.

        Args:
            seconds: How long the tasks may take to end.
        """
        loop = asyncio.get_running_loop()
        dropped = _running(self._tasks, loop)
        for task in dropped:
            logger.error("The background task %s was dropped at the stop.", self._shown(task))
            self._forget(task)
        await cancel_tasks({*dropped, *_running(self._services, loop)}, seconds)

    def _shown(self, task: asyncio.Task[object]) -> str:
        return f"{task.get_name()}({_shown_arguments(self._tasks[task])})"

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.pop(task, None)


def _running(tasks: Iterable[asyncio.Task[object]], loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[object]]:
    return [task for task in tasks if task.get_loop() is loop and not task.done()]


def _shown_arguments(call: "functools.partial[Any]") -> str:
    """The arguments of *call*, masked where the value or the parameter's name sounds secret."""
    showing = Showing(max_chars=200)
    shown = [showing.text(value, name) for value, name in zip(call.args, _names_of(call.func), strict=False)]
    shown += [f"{name}={showing.text(value, name)}" for name, value in call.keywords.items()]
    return escape_controls(", ".join(shown))


def _names_of(function: Callable[..., object]) -> Iterator[str | None]:
    """The names of the positional parameters of *function*, then None without end."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, or no function
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return itertools.chain((each.name for each in parameters if each.kind in positional), itertools.repeat(None))


async def _run(title: str, function: Callable[..., Awaitable[object]], *args: object) -> None:
    try:
        await function(*args)
    except BaseException as exc:  # a boundary: a background task's result is not awaited
        if is_imposed(exc):
            raise
        _outages.report_error(exc, "The background task %s failed.", title)
        if isinstance(exc, KeyboardInterrupt):
            raise
