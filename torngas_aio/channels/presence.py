"""Presence in channels: entries that expire unless their process renews them.

enter(name, member) ─► entry, for 8 s ◄── renewed every 2.5 s for all members of this process
a process that dies renews nothing: its members disappear within 10 s
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
    """The members that this process has in each channel; a member may be present several times.

    Args:
        announce: Publishes that these members of a channel are present for PRESENT_SECONDS; None: do not publish.
        withdraw: Publishes that a member is absent.
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
        """Return this process's members of the channel *name*, sorted."""
        return sorted(self._present.get(name, ()))

    async def enter(self, name: str, member: str) -> None:
        """Make *member* present in the channel *name*. Raises `Unavailable` if the store does not answer."""
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
        """Undo one `enter`; if the store does not answer, the entry expires."""
        if self._forget(name, member) and self._withdraw is not None:
            try:
                await self._withdraw(name, member)
            except Unavailable as exc:
                _outages.report(("presence",), "Presence: a member that left is listed for some more seconds: %s", exc)

    async def aclose(self) -> None:
        """Stop renewing; this process's entries expire."""
        if self._beating is not None:
            await cancel_tasks([self._beating], 1.0)

    def _forget(self, name: str, member: str) -> bool:
        """Decrement the count of *member*; return whether it is now absent."""
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
                    _outages.report(("presence",), "Presence cannot be announced: %s", failed)
                elif failed is not None:  # continue, so that the present members do not expire
                    logger.error("Presence cannot be announced.", exc_info=failed)

    async def _announce_all(self, announce: Callable[[str, Collection[str]], Awaitable[None]], name: str) -> None:
        # RACE: no await between these two lines, or a member that leaves meanwhile is announced again
        if members := tuple(self._present.get(name, ())):
            await announce(name, members)
