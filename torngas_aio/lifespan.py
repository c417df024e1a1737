"""The life of an application: opened in order, closed in reverse, each step bounded in time.

    open   step 1 > step 2 > step 3        a step that fails closes those before it
    close  step 3 > step 2 > step 1        a step that fails or hangs is logged; the rest still close

    Background   tasks that outlive their request: owned, their errors logged, cancelled at the end

Begin with `Lifespan`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from torngas_aio._closing import close_safely

__all__ = ["Background", "Lifespan"]

logger = logging.getLogger("torngas_aio.lifespan")

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
        """Run the closing of every opened step in reverse; faults are logged, none is raised."""
        if self._opening is not None and self._opening.get_loop() is asyncio.get_running_loop():
            with suppress(Exception):
                await asyncio.shield(self._opening)
        self.is_open = False
        await self._close_opened()

    async def _open_steps(self) -> None:
        for name, open_step, close_step in self._steps:
            try:
                if open_step is not None:
                    async with asyncio.timeout(self.step_seconds):
                        await open_step()
            except BaseException as exc:
                if isinstance(exc, TimeoutError):
                    exc.add_note(f"{name} took more than {self.step_seconds:g} s to open.")
                await self._close_opened()
                raise
            if close_step is not None:
                self._opened.append((name, close_step))
        self.is_open = True

    async def _close_opened(self) -> None:
        while self._opened:
            name, close = self._opened.pop()
            await close_safely(name, close, self.step_seconds)

    def _forget_opening(self, opening: asyncio.Future[None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # seen: whoever waited has it


class Background:
    """Tasks that outlive the request that started them; the application owns them.

    An error is logged with its traceback; `close` cancels what still runs and waits for it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any, name: str | None = None) -> None:
        """Start `function(*args)` in a task of the running loop; returns at once."""
        title = name or str(getattr(function, "__qualname__", function))
        task = asyncio.get_running_loop().create_task(_run(title, function, *args), name=title)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel every task of this loop and wait until each has ended."""
        loop = asyncio.get_running_loop()
        while tasks := [task for task in self._tasks if task.get_loop() is loop and not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _run(title: str, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
    try:
        await function(*args)
    except Exception:  # a frontier: nobody awaits a background task's result
        logger.exception("The background task %s failed.", title)
