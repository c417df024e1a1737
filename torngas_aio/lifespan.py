"""The lifespan of an application: opened in order, closed in reverse, each step bounded in time.

open   step 1 > step 2 > step 3        if a step fails, the earlier ones are closed
close  step 3 > step 2 > step 1        a step that fails or hangs is logged; the others are still closed

Background   tasks that outlive their request: owned, errors logged, waited for at the stop, then cancelled
StopEvent    notifies handlers and streams that the server stops
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
    """Steps before the first request and after the last.

    It may be opened again after it was closed, in the same loop or another.

    Args:
        step_seconds: How long one step may take; an opening that takes longer raises `TimeoutError`.
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
            name: Identifies a failed step in the log.
            close: Run if `open` succeeded, or if there is no `open`.
        """
        self._steps.append((name, open, close))

    async def open(self) -> None:
        """Run every step's opening, once: concurrent callers wait for the same opening.

        Raises:
            Exception: Raised by a step; the earlier steps have been closed again.
        """
        if self.is_open:
            return
        if self._opening is not None and self._opening.get_loop() is asyncio.get_running_loop():
            await asyncio.shield(self._opening)
            return
        # A separate task: if the first request is cancelled, the opening must continue.
        self._opening = asyncio.ensure_future(self._open_steps())
        self._opening.add_done_callback(self._forget_opening)
        await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Run the closing of every opened step in reverse; errors are logged, none is raised.

        An opening in progress is cancelled.
        """
        if self._opening is not None and self._opening.get_loop() is asyncio.get_running_loop():
            self._opening.cancel()
            await asyncio.wait((self._opening,), timeout=self.step_seconds)
        self.is_open = False
        await self._close_opened()

    async def _open_steps(self) -> None:
        context = contextvars.copy_context()  # shared: variables set by one step are visible to the next
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
            opening.exception()  # retrieved: every waiting caller has raised it


class StopEvent(asyncio.Event):
    """An event that is true when set: `while not stopping`, `await stopping.wait()`."""

    def __bool__(self) -> bool:
        return self.is_set()


class Background:
    """Tasks that outlive the request that started them; the application owns them.

    An error is logged with its traceback. A stop waits for them within the graceful time; `close` then cancels the
    remaining ones.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[object], functools.partial[Any]] = {}  # with the call of each
        self._services: set[asyncio.Task[object]] = set()

    def start_soon(
        self, function: Callable[..., Awaitable[object]], *args: object, name: str | None = None, daemon: bool = False
    ) -> None:
        """Start `function(*args)` in a task of the running loop; returns at once.

        Args:
            name: The task's name in the log; by default the function's.
            daemon: The task runs as long as the application: a stop cancels it without waiting for its end.

        Raises:
            NotCallableError: *function* is a coroutine, as for `create_task`, or not callable.
        """
        if not callable(function):
            if inspect.iscoroutine(function):
                function.close()  # otherwise Python warns that it was never awaited
            raise NotCallableError(
                f"start_soon() accepts a function and its arguments, not {function!r}: "
                "write start_soon(send, x), not start_soon(send(x))."
            )
        call = functools.partial(function, *args)  # merges the arguments if *function* is a partial
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
        """Wait until the tasks of this loop that are not daemons, and those that they start, have ended, as well as the
        jobs that run in this process. Their names are logged at the beginning.

        Args:
            seconds: For all of them together; tasks that take longer continue to run.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        waited_for = [*map(self._show, _running(self._tasks, loop)), *(each.get_name() for each in tasks_to_drain())]
        if waited_for and seconds > 0:
            logger.info(
                "The stop waits up to %.3g s for background tasks: %s. What runs as long as the application is to be "
                "started with daemon=True.",
                seconds, ", ".join(waited_for),
            )  # fmt: skip
        while (tasks := {*_running(self._tasks, loop), *tasks_to_drain()}) and (left := until - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Cancel every task of this loop; dropped tasks are logged by name with their arguments.

        A task that swallows its cancellation is cancelled once more, logged and abandoned.

        Args:
            seconds: How long the tasks may take to end.
        """
        loop = asyncio.get_running_loop()
        dropped = _running(self._tasks, loop)
        for task in dropped:
            logger.error("The background task %s was dropped at the stop.", self._show(task))
            self._forget(task)
        await cancel_tasks({*dropped, *_running(self._services, loop)}, seconds)

    def _show(self, task: asyncio.Task[object]) -> str:
        return f"{task.get_name()}({_show_arguments(self._tasks[task])})"

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.pop(task, None)


def _running(tasks: Iterable[asyncio.Task[object]], loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[object]]:
    return [task for task in tasks if task.get_loop() is loop and not task.done()]


def _show_arguments(call: "functools.partial[Any]") -> str:
    """Return the arguments of *call*, masked if the value or the parameter's name sounds secret."""
    showing = Showing(max_chars=200)
    shown = [showing.text(value, name) for value, name in zip(call.args, _names_of(call.func), strict=False)]
    shown += [f"{name}={showing.text(value, name)}" for name, value in call.keywords.items()]
    return escape_controls(", ".join(shown))


def _names_of(function: Callable[..., object]) -> Iterator[str | None]:
    """Return the names of the positional parameters of *function*, followed by None endlessly."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, or not a function
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
