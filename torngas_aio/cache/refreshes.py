"""Work that refreshes kept values behind their callers, once for each name.

    soon(name, work)   no work of that name under way? a task, outside the caller's request; its error is logged
    aclose()           cancels what is under way and awaits it

Begin with `Refreshes.soon`.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable

from torngas_aio.context import enter_request
from torngas_aio.exception import CacheUnavailable
from torngas_aio.logger import DEGRADED_SECONDS, OutageLog

__all__ = ["Refreshes"]

logger = logging.getLogger("torngas_aio.cache")
_outages = OutageLog(logger, seconds=DEGRADED_SECONDS)


class Refreshes:
    """The refreshing tasks of one cache; *owner* names it in the log."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def soon(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* behind the caller, unless work of that *name* is being done."""
        if name not in self._tasks:
            context = contextvars.copy_context()
            context.run(enter_request, None)
            task = asyncio.get_running_loop().create_task(self._run(name, work), context=context)
            self._tasks[name] = task  # owned here: it leaves by itself, or aclose() awaits it

    async def aclose(self) -> None:
        """Cancel the work under way and await its end. Twice is harmless."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except CacheUnavailable as exc:
            _outages.report(self._owner, "Kept values are not refreshed: %s", exc)
        except Exception:  # the task ends here, and no caller awaits it
            logger.exception("%s: refreshing %r failed; what is kept stays until it expires.", self._owner, name)
        finally:
            self._tasks.pop(name, None)
