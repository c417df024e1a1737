"""A sentinel-monitored Redis: its current master, by query and by the sentinels' messages.

    connect       all sentinels are queried, the newest configuration counts; the server's ROLE must be master
    +try-failover, +failover-state-...   connections are dropped; new ones wait for the end of the failover
    +switch-master                       connections to the former master are dropped; new ones lead to the new one

In a planned failover the former master accepts writes for about ten seconds, which are then lost; only the sentinels'
messages announce the failover in time to avoid that.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError

from torngas_aio._cleanup import CANCEL_SECONDS, cancel_tasks
from torngas_aio.cache.redis.location import RedisLocation

__all__ = ["SentinelPool", "SentinelWatch"]

logger = logging.getLogger("torngas_aio.cache")

Node = tuple[str, int]
Moved = Callable[[Node | None, str], Awaitable[None]]

SILENCE_SECONDS = 5.0
"""Seconds without a message after which a sentinel is pinged; after as long again it counts as unreachable."""

AGAIN_SECONDS = 0.5
"""Seconds before reconnecting to an unreachable sentinel."""

LONGEST_FAILOVER = 10.0
"""Maximum seconds for which a failover holds back new connections, if no message announces its end."""

STRAGGLER_SECONDS = 0.05
"""Seconds to wait for the remaining sentinels once a majority has answered."""

_BEGINS = ("+try-failover", "+failover-state-select-slave", "+failover-state-send-slaveof-noone")
_FAILS = ("-failover-abort-not-elected", "-failover-abort-no-good-slave", "-failover-abort-slave-timeout")
_SWITCH = "+switch-master"


class SentinelWatch:
    """A subscription to the messages of every sentinel of *location*, in one event loop, once started.

    Attributes:
        sentinels: redis-py's sentinel client, which finds the master.
        master: The master's address as last reported by a sentinel, None before that.
    """

    def __init__(self, location: RedisLocation) -> None:
        self._location = location
        share = location.deadline / (len(location.nodes) + 1)  # a frozen sentinel leaves time to ask the others
        asking = dict[str, Any](socket_timeout=share, socket_connect_timeout=share, retry=Retry(NoBackoff(), 0))
        self._arguments = {**asking, **location.sentinel_arguments}
        self.sentinels = cast(Any, _Sentinels)(location.nodes, sentinel_kwargs=self._arguments)
        self.master: Node | None = None
        self._listeners: list[Moved] = []
        self._begun = 0  # failovers
        self._settled = asyncio.Event()
        self._settled.set()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def on_move(self, listener: Moved) -> None:
        """Register *listener*; it is awaited with the new master (None when a failover begins) and the reason."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Start listening; no effect if already started."""
        if not self._tasks:
            create = asyncio.get_running_loop().create_task  # in a new context: the tasks outlive the request
            self._tasks = [create(self._listen_on(node), context=Context()) for node in self._location.nodes]

    @property
    def is_settled(self) -> bool:
        """True while no failover is in progress."""
        return self._settled.is_set()

    async def settled(self) -> None:
        """Wait until no failover is in progress."""
        await self._settled.wait()

    async def aclose(self) -> None:
        """Stop listening. Calling it twice is harmless."""
        tasks, self._tasks = self._tasks, []
        await cancel_tasks(tasks)
        if self._timer is not None:
            self._timer.cancel()
        await self.sentinels.aclose()

    # Listening to one sentinel

    async def _listen_on(self, node: Node) -> None:
        while True:
            try:
                await self._listen(node)
            except (RedisError, OSError, TimeoutError) as exc:
                logger.debug("The sentinel at %s:%d is not reachable: %s", *node, exc)
            except Exception:  # the task continues: the next attempt may succeed
                logger.exception("Listening to the sentinel at %s:%d failed.", *node)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, node: Node) -> None:
        client: Any = Redis(host=node[0], port=node[1], **self._arguments)
        async with client, client.pubsub() as channel:
            await channel.subscribe(*_BEGINS, *_FAILS, _SWITCH)
            await self._compare()  # messages from before the subscription are not repeated
            is_silent = False
            while True:
                message = await channel.get_message(ignore_subscribe_messages=False, timeout=SILENCE_SECONDS)
                if message is not None:
                    is_silent = False
                    if message["type"] == "message":
                        await self._on_message(_text(message["channel"]), _text(message["data"]).split())
                elif is_silent:
                    raise TimeoutError("no answer to a PING")
                else:
                    is_silent = True
                    await channel.ping()

    async def _compare(self) -> None:
        """Query the master; ignore the result if a failover has begun meanwhile."""
        begun = self._begun
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            master = await self.sentinels.discover_master(self._location.service)
            if self.sentinels.is_failing_over:
                await self._begin()
            elif self._begun == begun:
                await self._move(master)

    async def _on_message(self, channel: str, words: list[str]) -> None:
        service = self._location.service
        if channel == _SWITCH and words[:1] == [service] and len(words) == 5:
            await self._switch((words[3], int(words[4])))
        elif words[:2] == ["master", service]:
            await (self._begin() if channel in _BEGINS else self._end())

    async def _begin(self) -> None:
        """Handle the start of a failover: writes that the master acknowledges from now on may be lost."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LONGEST_FAILOVER, self._settled.set)
        self._begun += 1
        if self._settled.is_set():
            self._settled.clear()
            logger.warning("Redis at %s: the sentinels replace the master.", self._location.name)
            await self._notify(None, "the sentinels are replacing the master")

    async def _end(self) -> None:
        self._settled.set()

    async def _switch(self, master: Node) -> None:
        if master != self.master:  # else another sentinel reports the same switch
            self._settled.set()
        await self._move(master)

    async def _move(self, master: Node) -> None:
        former, self.master = self.master, master
        if former is not None and former != master:
            logger.warning("Redis at %s: the master is now %s:%d.", self._location.name, *master)
            self._settled.set()  # not for the first known master: that report does not end a failover
        if former != master:
            await self._notify(master, "the sentinels have named another master")

    async def _notify(self, master: Node | None, reason: str) -> None:
        for listener in self._listeners:
            await listener(master, reason)


class _Sentinels(Sentinel):
    """redis-py's sentinel client, changed to query all sentinels: a single one may not know of a failover yet."""

    is_failing_over = False
    """Whether a sentinel reported a failover in progress in the last query."""

    async def discover_master(self, service_name: str) -> Node:
        states = [each[service_name] for each in await self._ask() if service_name in each]
        self.is_failing_over = any("failover_in_progress" in str(state.get("flags", "")) for state in states)
        newest = max((_epoch(state) for state in states), default=0)
        for state in states:
            if _epoch(state) == newest and cast(Any, self).check_master_state(state, service_name):
                return state["ip"], state["port"]
        raise MasterNotFoundError(f"no sentinel knows a master {service_name!r} that is up")

    async def _ask(self) -> list[dict[str, Any]]:
        """Return the sentinels' replies; once a majority has answered, wait only briefly for the others."""
        create: Any = asyncio.get_running_loop().create_task
        tasks: list[asyncio.Task[Any]] = [create(each.sentinel_masters()) for each in self.sentinels]
        try:
            pending = set(tasks)
            while pending and sum(map(_has_answered, tasks)) <= len(tasks) // 2:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                await asyncio.wait(pending, timeout=STRAGGLER_SECONDS)
            return [task.result() for task in tasks if _has_answered(task)]
        finally:
            await cancel_tasks(tasks, CANCEL_SECONDS)


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """A blocking pool of connections to the master: callers wait when it is full.

    Args:
        location: A location of the kind "sentinel".
        watch: Finds the master, and holds back connections during a failover.
    """

    def __init__(self, location: RedisLocation, watch: SentinelWatch, **arguments: object) -> None:
        self._watch = watch
        kind = _MasterSSLConnection if location.is_tls else _MasterConnection
        make = cast(Any, super()).__init__
        make(location.service, watch.sentinels, connection_class=kind, is_master=True, **arguments)

    async def get_master_address(self) -> Any:
        await self._watch.settled()
        self._watch.start()
        return await cast(Any, super()).get_master_address()

    @property
    def is_settled(self) -> bool:
        """True while no failover is in progress."""
        return self._watch.is_settled


class _AsksForRole:
    """A connection mixin that refuses servers that are not masters."""

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        connection = cast(Any, self)
        await cast(Any, super()).on_connect_check_health(check_health)
        await connection.send_command("ROLE", check_health=False)
        try:
            role = await connection.read_response(disable_decoding=True)
        except NoPermissionError:
            role = ["master"]  # the user may not run ROLE; rely on the sentinels
        if _text(role[0]) != "master":
            raise RedisConnectionError(f"{connection.host}:{connection.port} is a replica, not the master")
        if not connection.connection_pool.is_settled:
            raise RedisConnectionError("the sentinels are replacing the master")


class _MasterConnection(_AsksForRole, SentinelManagedConnection):
    pass


class _MasterSSLConnection(_AsksForRole, SentinelManagedSSLConnection):
    pass


def _epoch(state: dict[str, Any]) -> int:
    return int(state.get("config-epoch", 0))


def _has_answered(task: "asyncio.Future[Any]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
