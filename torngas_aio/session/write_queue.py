"""Concurrent writes to one session: changes are merged; none is lost or applied twice.

request 1 ─ leader: read ► apply ► compare-and-set; changed meanwhile (by another process)? apply again
request 2 ┐
request 3 ┴ wait; when the leader is done, one of them leads and writes the changes of all in one operation
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from torngas_aio._cleanup import await_to_the_end
from torngas_aio.cache.serializers import Serializer
from torngas_aio.cache.store import Versioned
from torngas_aio.exception import CacheUnavailable, SerializationError, ValueTooLarge
from torngas_aio.session.changes import Changes, Record
from torngas_aio.session.record_store import RecordStore

__all__ = ["WriteQueue"]

MAX_TRIES = 10_000
"""Failed compare-and-sets in a row after which a write is given up."""

_TAKE_OVER = object()


@dataclass(slots=True)
class _Waiter:
    changes: Changes
    future: "asyncio.Future[object]"

    def end(self, is_kept: bool) -> None:
        """Let the waiting save return *is_kept*; no effect if it was cancelled."""
        if not self.future.done():
            self.future.set_result(is_kept)

    def fail(self, error: Exception) -> None:
        """Let the waiting save raise *error*."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # mark it as retrieved, in case the waiter is cancelled in this loop turn


@dataclass(slots=True)
class _Line:
    """The queue of writers of one session.

    Attributes:
        seen: The stored bytes as last read or written; None if they must be read again.
        record: The parsed *seen*, if available; used once.
    """

    seen: Versioned | None
    record: Record | None = None
    waiting: list[_Waiter] = field(default_factory=list[_Waiter])


class WriteQueue:
    """The queues of writers in one process, by session."""

    def __init__(self, record_store: RecordStore, serializer: Serializer, most_bytes: int) -> None:
        self._record_store = record_store
        self._most_bytes = most_bytes
        self._serializer = serializer
        self._lines: dict[str, _Line] = {}

    async def write(self, key: str, seen: Versioned | None, changes: Changes, record: Record | None = None) -> bool:
        """Apply *changes* to the record under *key*; return False if it is gone (it is not created again).

        Args:
            seen: The record as the request read it, None if that is outdated.
            record: The parsed *seen*; the call modifies it.

        Raises:
            CacheUnavailable: The store failed; all writers whose changes were merged get the same error.
            ValueTooLarge, SerializationError: The record with *changes* cannot be stored; other callers' changes are.
        """
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(seen, record)
            return await self._lead(key, line, changes)
        waiter = _Waiter(changes, asyncio.get_running_loop().create_future())
        line.waiting.append(waiter)
        outcome = await self._wait(key, line, waiter)
        if outcome is not _TAKE_OVER:
            return bool(outcome)
        followers, line.waiting = [other for other in line.waiting if other is not waiter], []
        return await self._lead(key, line, changes, followers)

    async def _wait(self, key: str, line: _Line, waiter: _Waiter) -> object:
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter in line.waiting:
                line.waiting.remove(waiter)
            future = waiter.future
            if not future.cancelled() and future.exception() is None and future.result() is _TAKE_OVER:
                self._pass_on(key, line)  # cancelled in the same loop turn in which it became leader
            raise

    async def _lead(self, key: str, line: _Line, changes: Changes, followers: Sequence[_Waiter] = ()) -> bool:
        seen, line.seen = line.seen, None  # unknown if this attempt fails
        try:
            if not followers:
                return await self._commit(key, line, seen, [changes])
            # Shielded: a cancelled leader could not report to its followers whether their changes were written.
            return await await_to_the_end(self._commit_and_notify(key, line, seen, changes, followers))
        finally:
            self._pass_on(key, line)

    async def _commit_and_notify(
        self, key: str, line: _Line, seen: Versioned | None, changes: Changes, followers: Sequence[_Waiter]
    ) -> bool:
        try:
            is_kept = await self._commit(key, line, seen, [changes, *(follower.changes for follower in followers)])
        except (ValueTooLarge, SerializationError):
            for follower in followers:
                await self._commit_alone(key, line, follower)
            return await self._commit(key, line, None, [changes])
        except Exception as exc:
            for follower in followers:
                follower.fail(exc)
            raise
        for follower in followers:
            follower.end(is_kept)
        return is_kept

    async def _commit_alone(self, key: str, line: _Line, follower: _Waiter) -> None:
        """Write one follower's changes alone, because the merged changes cannot be written."""
        try:
            follower.end(await self._commit(key, line, None, [follower.changes]))
        except Exception as exc:  # noqa: BLE001 - its own save raises it
            follower.fail(exc)

    async def _commit(self, key: str, line: _Line, seen: Versioned | None, batch: list[Changes]) -> bool:
        record, line.record = line.record, None
        if seen is None:
            seen, record = await self._record_store.read(key), None
        for _ in range(MAX_TRIES):
            if seen is not None and record is None:
                record = Record.load(seen.data, self._serializer)
            if seen is None or record is None:
                return False
            for changes in batch:
                changes.apply(record)
            data = record.dump(self._serializer, self._most_bytes, len(seen.data))
            swap = await self._record_store.swap(key, data, seen.token, record.idle_seconds)
            if swap.is_done:
                line.seen = swap.current
                return True
            seen, record = swap.current, None
        raise CacheUnavailable(
            f"{self._record_store.label}: {MAX_TRIES} compare-and-sets of one session were lost in a row."
        )

    def _pass_on(self, key: str, line: _Line) -> None:
        """Make the first waiter the leader; it stays in the queue until it collects the others."""
        for waiter in line.waiting:
            if not waiter.future.done():
                waiter.future.set_result(_TAKE_OVER)
                return
        del self._lines[key]
