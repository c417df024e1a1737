"""Jobs through Redis streams: one server, a sentinel-monitored master, or a cluster.

    <prefix>:q:<queue>         one stream per queue; its group "workers" holds the jobs that were taken and not done
    <prefix>:later             jobs not yet due, sorted by their due time
    <prefix>:alive:<worker>    heartbeat of a worker; once it expires, other workers take over its jobs
    <prefix>:dead              dead letters          also :queues  :tick:  :seen:  :result:

A message is removed from its stream when its job is done or its next attempt is stored. All keys of a prefix are in one
slot of a cluster. Redis replicates asynchronously: jobs that a master accepted just before it died may be lost, unless
REPLICAS sets how many replicas must have them.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from torngas_aio._cleanup import cancel_tasks
from torngas_aio.cache.redis.client import CLIENT_OPTIONS, RedisClient
from torngas_aio.cache.redis.native import CONNECTION_FAULTS
from torngas_aio.exception import ConfigError, Unavailable
from torngas_aio.jobs.base import BaseJobs, DeadJob, TakenMessage
from torngas_aio.logger import OutageLog
from torngas_aio.utils.kinds import fault, whole
from torngas_aio.utils.narrowing import is_dict

__all__ = ["RedisJobs"]

logger = logging.getLogger("torngas_aio.jobs")
_outages = OutageLog(logger)

GROUP = "workers"
BLOCK_SECONDS = 1.0
"""Blocking time of one read of the queues, in seconds; shutdown may have to wait for it."""

BEAT_SECONDS = 2.0
ALIVE_SECONDS = 12.0
"""Seconds without a heartbeat after which a worker counts as dead."""

SWEEP_SECONDS = 3.0
"""Seconds between two searches for dead workers; a worker without a heartbeat in two of them is treated as dead."""

MAX_DELIVERIES = 5
"""Number of dead workers after which their job becomes a dead letter, because it may be the cause."""

MOVED_AT_ONCE = 100
"""Maximum number of due jobs that one command moves to their queues."""

MAX_DEAD = 10_000
"""Maximum number of dead letters; the oldest are dropped."""

_OPTIONS = {"KEY_PREFIX": "jobs", "REPLICAS": 0}

_DONE = """
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])
"""
_GIVE_BACK = """
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if #found > 0 and redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 1 then
    redis.call('XADD', KEYS[1], '*', unpack(found[1][2]))
    redis.call('XDEL', KEYS[1], ARGV[2])
end
"""
_MOVE_DUE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4])
for _, member in ipairs(due) do
    local at = string.find(member, '\\n', 1, true)
    if at then
        redis.call('XADD', ARGV[2] .. string.sub(member, 1, at - 1), '*', 'd', string.sub(member, at + 1))
    else
        redis.call('XADD', ARGV[3], '*', 'q', '', 'd', member, 'e', 'it names no queue', 't', ARGV[1])
    end
    redis.call('ZREM', KEYS[1], member)
end
return #due
"""
_PUT_ONCE = """
if redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then
    redis.call('XADD', KEYS[2], '*', 'd', ARGV[2])
    return 1
end
return 0
"""
_REVIVE = """
local found = redis.pcall('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if found.err or #found == 0 then return 0 end
local fields = {}
for i = 1, #found[1][2], 2 do fields[found[1][2][i]] = found[1][2][i + 1] end
if (fields['q'] or '') == '' then return 0 end
redis.call('XADD', ARGV[1] .. fields['q'], '*', 'd', fields['d'])
return redis.call('XDEL', KEYS[1], ARGV[2])
"""
_MAKE_GROUP = """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
"""
_SIZE = """
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
return {redis.call('XLEN', KEYS[1]), pending.err and 0 or pending[1]}
"""
_FORGET = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
"""


_Entry = tuple[str, bytes, bytes]
"""A job taken from a queue: the queue, the id and the message."""


class RedisJobs(BaseJobs):
    """The jobs backend on Redis, for `torngas-aio worker`.

    LOCATION and OPTIONS as for `torngas_aio.cache.backends.rediscache`; further OPTIONS: KEY_PREFIX ("jobs") and
    REPLICAS (0), the number of replicas that must have a job before `enqueue` returns.
    """

    own_options = CLIENT_OPTIONS.union(_OPTIONS)

    def __init__(self, location: Any = "", params: Mapping[str, object] | None = None) -> None:
        super().__init__(location, params)
        own = {**_OPTIONS, **self.options}
        client = {"SETTING": "JOBS", "ALIAS": self.alias, "OPTIONS": self.options}
        self._new_client = partial(RedisClient, location, client)
        self._redis = self._new_client()
        self._deadline = self._redis.where.deadline
        self._replicas = own["REPLICAS"]
        where = f"JOBS[{self.alias!r}]['OPTIONS']"
        faults = [*whole(0)(f"{where}['REPLICAS']", self._replicas)]
        if not isinstance(own["KEY_PREFIX"], str) or not own["KEY_PREFIX"] or {"{", "}"} & set(own["KEY_PREFIX"]):
            faults.append(fault(f"{where}['KEY_PREFIX']", own["KEY_PREFIX"], "must be text without braces."))
        ConfigError.gather(faults, code="TGA401")
        self._prefix = f"{{{own['KEY_PREFIX']}}}"  # the braces keep all keys in one slot of a cluster
        self._worker = uuid.uuid4().hex
        self._queues: tuple[str, ...] = ()
        self._slots = 1
        self._held: set[tuple[str, bytes]] = set()  # queue and id of the jobs taken and not done
        self._taken_over: deque[_Entry] = deque()
        self._reading: asyncio.Task[list[_Entry]] | None = None
        self._maintenance: asyncio.Task[None] | None = None
        self._heartbeat: _Heartbeat | None = None
        self._is_closing = False

    # ------------------------------------------------------------------ enqueueing

    async def put(self, queue: str, data: bytes, delay: float = 0.0) -> None:
        if not self._replicas:
            await self.put_again(queue, data, delay)
        else:
            wait = "WAIT", self._replicas, int(self._deadline * 500)
            _, count = await self._redis.ask_all(self._prefix, self._placing(queue, data, delay), wait)
            if count < self._replicas:
                raise Unavailable(
                    f"{self._redis.label}: {count} of {self._replicas} replicas have the job; it may run."
                )

    async def put_again(self, queue: str, data: bytes, delay: float) -> None:
        # Without WAIT: replicas receive this command before the one that removes the present attempt.
        await self._ask(*self._placing(queue, data, delay))

    def _placing(self, queue: str, data: bytes, delay: float) -> tuple[Any, ...]:
        if delay > 0:
            return "ZADD", f"{self._prefix}:later", time.time() + delay, queue.encode() + b"\n" + data
        return "XADD", self._queue(queue), "*", "d", data

    async def put_once(self, name: str, tick: float, keep: float, queue: str, data: bytes) -> bool:
        keys = f"{self._prefix}:tick:{name}:{tick:.3f}", self._queue(queue)
        return bool(await self._ask("EVAL", _PUT_ONCE, 2, *keys, int(keep * 1000), data))

    async def first_seen(self, name: str, now: float) -> float:
        key = f"{self._prefix}:seen:{name}"
        _, found = await self._redis.ask_all(self._prefix, ("SET", key, repr(now), "NX"), ("GET", key))
        return float(found)

    async def bury(self, queue: str, data: bytes, error: str) -> None:
        fields = "q", queue, "d", data, "e", error, "t", repr(time.time())
        await self._ask("XADD", f"{self._prefix}:dead", "MAXLEN", "~", MAX_DEAD, "*", *fields)

    async def dead(self, limit: int = 1000) -> list[DeadJob]:
        found = await self._ask("XRANGE", f"{self._prefix}:dead", "-", "+", "COUNT", limit)
        return [
            DeadJob(number.decode(), each[b"q"].decode(), each[b"d"], each[b"e"].decode(), float(each[b"t"]))
            for number, each in ((number, _fields(flat)) for number, flat in found)
        ]

    async def revive(self, ids: Collection[str]) -> int:
        key, queues = f"{self._prefix}:dead", self._queue("")
        return sum([await self._ask("EVAL", _REVIVE, 1, key, queues, each) for each in ids])

    async def keep_result(self, job_id: str, data: bytes, seconds: float) -> None:
        key = f"{self._prefix}:result:{job_id}"
        await self._redis.ask_all(self._prefix, ("RPUSH", key, data), ("PEXPIRE", key, int(seconds * 1000)))

    async def fetch_result(self, job_id: str, seconds: float) -> bytes | None:
        key, until = f"{self._prefix}:result:{job_id}", time.monotonic() + seconds
        while True:
            block = max(min(self._deadline / 2, until - time.monotonic()), 0.01)
            try:
                found: bytes | None = await self._redis.client.blmove(key, key, block, "LEFT", "LEFT")
            except CONNECTION_FAULTS as exc:
                raise Unavailable(f"{self._redis.label} at {self._redis.address}: no result was read: {exc}.") from exc
            if found is not None or time.monotonic() >= until:
                return found

    async def sizes(self, queues: Collection[str] = ()) -> dict[str, tuple[int, int]]:
        known = {name.decode() for name in await self._ask("SMEMBERS", f"{self._prefix}:queues")}
        found: dict[str, tuple[int, int]] = {}
        for name in sorted(known.union(queues)):
            length, running = await self._ask("EVAL", _SIZE, 1, self._queue(name), GROUP)
            found[name] = (length - running, running)
        return found

    async def count_later(self) -> int:
        return int(await self._ask("ZCARD", f"{self._prefix}:later"))

    async def ping(self) -> None:
        """Return when every node has answered. Raises `Unavailable` if one does not answer in time."""
        await self._redis.ping()

    async def aclose(self) -> None:
        await self.close_worker()
        await self._redis.close()

    # ------------------------------------------------------------------ workers

    async def open_worker(self, queues: Collection[str], concurrency: int) -> None:
        self._queues, self._slots, self._is_closing = tuple(queues), concurrency, False
        await self._make_groups()
        self._heartbeat = _Heartbeat(self._new_client, f"{self._prefix}:alive:{self._worker}")
        self._maintenance = asyncio.create_task(self._maintain(), name=f"jobs {self.alias}")

    async def listen(self) -> AsyncGenerator[TakenMessage, None]:
        """Yield the jobs of the worker's queues, one per free slot; jobs taken over from dead workers come first."""
        waiting: deque[_Entry] = deque()
        while True:
            try:
                while not (waiting or self._taken_over):
                    # redis-py's cluster client swallows cancellations, so shutdown waits for the read instead
                    self._reading = asyncio.create_task(self._read(), name=f"jobs {self.alias} read")
                    waiting.extend(await asyncio.shield(self._reading))
            except CONNECTION_FAULTS as exc:
                _outages.report((self.alias,), "Jobs %r cannot be read: %s", self.alias, exc)
                await asyncio.sleep(0.2)
                if "NOGROUP" in str(exc):  # lost in a failover, or by FLUSHDB
                    with contextlib.suppress(Unavailable):
                        await self._make_groups()
                continue
            queue, number, data = (self._taken_over or waiting).popleft()
            ack, release = partial(self.finish, queue, number), partial(self.release, queue, number)
            yield TakenMessage(data=data, queue=queue, ack=ack, release=release)

    async def close_worker(self) -> None:
        if self._maintenance is None or self._is_closing:
            return
        self._is_closing = True
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=self._deadline + 1.0)
            self._reading.add_done_callback(lambda reading: reading.cancelled() or reading.exception())  # retrieved
        await cancel_tasks([self._maintenance, *([] if self._reading is None else [self._reading])], 1.0)
        for queue, number in tuple(self._held):
            await self._give_back(queue, number)
        self._held.clear()
        if self._heartbeat is not None:
            await self._heartbeat.stop()

    async def _read(self) -> list[_Entry]:
        """Return waiting jobs, at most as many as there are free slots; block for a moment if there are none."""
        streams = {self._queue(queue): ">" for queue in self._queues}
        free = max(self._slots - len(self._held), 1)
        count = max(free // len(streams), 1)
        block = max(int(min(self._deadline / 2, BLOCK_SECONDS) * 1000), 1)
        found = await self._redis.client.xreadgroup(GROUP, self._worker, streams, count=count, block=block)
        taken: list[_Entry] = [
            (name.decode().removeprefix(self._queue("")), number, fields.get(b"d", b""))
            for name, entries in _by_stream(found)
            for number, fields in entries
        ]
        random.shuffle(taken)  # fairness if there are more queues than slots
        self._held.update((queue, number) for queue, number, _ in taken[:free])
        for queue, number, _ in taken[free:]:
            await self._give_back(queue, number)
        return taken[:free]

    async def _give_back(self, queue: str, number: bytes) -> None:
        with contextlib.suppress(Unavailable):  # then a worker takes it over later
            await self._ask("EVAL", _GIVE_BACK, 1, self._queue(queue), GROUP, number)

    async def finish(self, queue: str, number: bytes) -> None:
        """Remove a finished job from its queue, retrying while Redis is down; finally give up, and it runs again."""
        until = time.monotonic() + ALIVE_SECONDS
        try:
            while True:
                try:
                    await self._ask("EVAL", _DONE, 1, self._queue(queue), GROUP, number)
                    return
                except Unavailable:
                    if time.monotonic() > until:
                        raise
                    await asyncio.sleep(0.2)
        finally:
            self.release(queue, number)

    def release(self, queue: str, number: bytes) -> None:
        """Make a taken job run again, here or elsewhere, unless it was removed from its queue."""
        self._held.discard((queue, number))

    async def _maintain(self) -> None:
        """Move due jobs to their queues, and take over the jobs of dead workers."""
        suspects: set[bytes] = set()
        swept_at = 0.0
        while not self._is_closing:
            try:
                moving = "EVAL", _MOVE_DUE, 1, f"{self._prefix}:later"
                keys = self._queue(""), f"{self._prefix}:dead"
                while await self._ask(*moving, repr(time.time()), *keys, MOVED_AT_ONCE) == MOVED_AT_ONCE:
                    pass
                if time.monotonic() - swept_at > SWEEP_SECONDS:
                    suspects = await self._sweep(suspects)
                    swept_at = time.monotonic()
            except Unavailable as exc:
                suspects = set()  # heartbeats could not be read meanwhile, so start again
                _outages.report((self.alias,), "Jobs %r cannot be maintained: %s", self.alias, exc)
            await asyncio.sleep(1.0)

    async def _sweep(self, suspects: set[bytes]) -> set[bytes]:
        """Take over the jobs of those *suspects* that are still without a heartbeat; return the new suspects."""
        dead: set[bytes] = set()
        for queue in self._queues:
            for each in await self._ask("XINFO", "CONSUMERS", self._queue(queue), GROUP):
                name: bytes = _fields(each)[b"name"]
                if name == self._worker.encode():
                    await self._take_over(queue, name)
                elif not await self._ask("EXISTS", f"{self._prefix}:alive:".encode() + name):
                    dead.add(name)
                    if name in suspects:
                        await self._take_over(queue, name)
                        await self._ask("EVAL", _FORGET, 1, self._queue(queue), GROUP, name)
        return dead

    async def _take_over(self, queue: str, name: bytes) -> None:
        """Take the idle jobs of the worker *name*; for this worker itself, jobs whose delivery it never received."""
        stream, count = self._queue(queue), self._slots + 1
        idle = int(ALIVE_SECONDS * 500)
        pending = await self._ask("XPENDING", stream, GROUP, "IDLE", idle, "-", "+", count, name)
        for number, _, _, deliveries in pending:
            if (queue, number) in self._held or len(self._held) >= self._slots:
                continue
            # The idle time makes sure that of two workers one gets it.
            for _, fields in await self._ask("XCLAIM", stream, GROUP, self._worker, idle, number):
                data = _fields(fields).get(b"d", b"")
                if deliveries >= MAX_DELIVERIES:
                    await self.bury(queue, data, f"its workers have died {MAX_DELIVERIES} times")
                    await self._ask("EVAL", _DONE, 1, stream, GROUP, number)
                else:
                    self._held.add((queue, number))
                    self._taken_over.append((queue, number, data))

    async def _make_groups(self) -> None:
        await self._ask("SADD", f"{self._prefix}:queues", *self._queues)
        for queue in self._queues:
            await self._ask("EVAL", _MAKE_GROUP, 1, self._queue(queue), GROUP)

    async def _ask(self, *words: Any) -> Any:
        return await self._redis.ask(self._prefix, *words)

    def _queue(self, queue: str) -> str:
        return f"{self._prefix}:q:{queue}"


class _Heartbeat:
    """The heartbeat of a worker, sent from its own thread, so that a job blocking the event loop does not stop it."""

    def __init__(self, make_client: Callable[[], RedisClient], key: str) -> None:
        self._make_client = make_client
        self._key = key
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="jobs heartbeat", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Stop the thread, and delete the heartbeat."""
        with contextlib.suppress(RuntimeError):  # the thread's loop has ended
            self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join, 5.0)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._beat())
        finally:
            self._loop.close()

    async def _beat(self) -> None:
        redis, milliseconds = self._make_client(), int(ALIVE_SECONDS * 1000)
        try:
            while not self._stopping.is_set():
                with contextlib.suppress(Unavailable):
                    # PEXPIRE first: a Redis out of memory rejects SET, and without a heartbeat the worker's jobs
                    # would also run elsewhere.
                    if not await redis.ask(self._key, "PEXPIRE", self._key, milliseconds):
                        await redis.ask(self._key, "SET", self._key, 1, "PX", milliseconds)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), BEAT_SECONDS)
            with contextlib.suppress(Unavailable):
                await redis.ask(self._key, "DEL", self._key)
        finally:
            await redis.close()


def _by_stream(found: Any) -> Iterator[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Yield each stream and its entries; RESP3 returns a dict, with the entries in a further list."""
    for name, entries in found.items() if is_dict(found) else found or ():
        yield name, entries[0] if entries and isinstance(entries[0], list) else entries


def _fields(flat: list[Any]) -> dict[bytes, Any]:
    """Return the fields of an entry, which Redis returns as a flat list."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
