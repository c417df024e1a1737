"""A task that works behind its callers, at most one at a time. Begin with `BackgroundTask.start`."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from torngas_aio._cleanup import CANCEL_SECONDS, cancel_tasks

__all__ = ["BackgroundTask"]


class BackgroundTask:
    """One task of its owner, started on demand and ended by `aclose`; used in one loop.

    It runs in a context of its own, because it outlives the request that happened to start it.

    Args:
        name: Of the task, for the log.
    """

    __slots__ = ("_name", "_task")

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[Any] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the task has been started and has not ended."""
        return self._task is not None and not self._task.done()

    def start(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run `work()`, unless an earlier run has not ended yet."""
        if not self.is_running:
            self._task = asyncio.get_running_loop().create_task(work(), name=self._name, context=Context())

    async def aclose(self) -> None:
        """Cancel the task and wait for its end, at most `CANCEL_SECONDS`; twice is harmless."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            await cancel_tasks((task,), CANCEL_SECONDS)
