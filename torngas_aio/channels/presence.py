"""Who is present in a channel: entries that expire unless their process says again that they are there.

enter(name, member) ─► entry, for 8 s ◄── said again every 2.5 s for all that this process has
a process that dies says nothing more: its members are gone within 10 s
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

from torngas_aio._cleanup import cancel_tasks
from torngas_aio.exception import Unavailable
from torngas_aio.logger import OutageLog

__all__ = ["PRESENT_SECONDS", "Presence"]

logger = logging.getLogger("torngas_aio.channels")
_outages = OutageLog(logger)

BEAT_SECONDS = 2.5
PRESENT_SECONDS = 8.0


class Presence:
    """The members that this process has in each channel; a member may be there several times.

    Args:
        announce: Says that these members of a channel are there for PRESENT_SECONDS; None: no process else is to know.
        withdraw: Says that one is not.
    """

    def __init__(
        self,
        announce: Callable[[str, Collection[str]], Awaitable[None]] | None = None,
        withdraw: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        self._announce = announce
        self._withdraw = withdraw
        self._present: dict[str, Counter[str]] = {}
        self._beating: asyncio.Task[None] | None = None

    def members(self, name: str) -> list[str]:
        """Return those of this process, sorted."""
        return sorted(self._present.get(name, ()))

    async def enter(self, name: str, member: str) -> None:
        """Have *member* present in the channel *name*. Raises `Unavailable` where the store does not answer."""
        self._present.setdefault(name, Counter())[member] += 1
        if self._announce is not None:
            if self._beating is None or self._beating.done():
                self._beating = asyncio.create_task(self._beat(self._announce), name="presence")
            try:
                await self._announce(name, [member])
            except BaseException:
                self._forget(name, member)
                raise

    async def leave(self, name: str, member: str) -> None:
        """Undo one `enter`; where the store does not answer, the entry expires."""
        if self._forget(name, member) and self._withdraw is not None:
            try:
                await self._withdraw(name, member)
            except Unavailable as exc:
                _outages.report(("presence",), "Presence: a member that left is told for some seconds more: %s", exc)

    async def aclose(self) -> None:
        """End; what this process had expires."""
        if self._beating is not None:
            await cancel_tasks([self._beating], 1.0)

    def _forget(self, name: str, member: str) -> bool:
        """Count *member* once less; return whether it is there no more."""
        present = self._present.get(name, Counter())
        present[member] -= 1
        if present[member] > 0:
            return False
        del present[member]
        if not present:
            self._present.pop(name, None)
        return True

    async def _beat(self, announce: Callable[[str, Collection[str]], Awaitable[None]]) -> None:
        while self._present:
            await asyncio.sleep(BEAT_SECONDS)
            said = (self._announce_all(announce, name) for name in tuple(self._present))
            for failed in await asyncio.gather(*said, return_exceptions=True):
                if isinstance(failed, Unavailable):
                    _outages.report(("presence",), "Presence cannot be told: %s", failed)
                elif failed is not None:  # those that are here must not expire for it
                    logger.error("Presence cannot be told.", exc_info=failed)

    async def _announce_all(self, announce: Callable[[str, Collection[str]], Awaitable[None]], name: str) -> None:
        # RACE: no await between these two lines, or who leaves meanwhile is announced once more
        if members := tuple(self._present.get(name, ())):
            await announce(name, members)
