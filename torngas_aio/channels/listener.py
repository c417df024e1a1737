"""A process's pub/sub connections to Redis: one for each server in use, reconnected automatically.

    one server, or a sentinel-monitored master         SUBSCRIBE, PSUBSCRIBE
    a cluster                                           SSUBSCRIBE, at the node that holds the channel's slot

    hear(keys) ──► the line to each key's node ── subscribes to wanted keys, unsubscribes the others ──► server
    server ── after a connection loss make_up(keys) first ──► deliver(kind, words)

The loss of a line affects only its own keys. When a slot moves to another node, the former node sends SUNSUBSCRIBE for
its keys; subscribing there again returns MOVED with the new node.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import MovedError

from torngas_aio._cleanup import cancel_tasks
from torngas_aio.cache.redis.client import RedisClient
from torngas_aio.cache.redis.native import CONNECTION_FAULTS, Node, discover, node_client
from torngas_aio.logger import OutageLog
from torngas_aio.utils.narrowing import is_list

__all__ = ["Key", "Listener"]

logger = logging.getLogger("torngas_aio.channels")
_outages = OutageLog(logger)

PING_SECONDS = 5.0
"""Idle seconds after which a connection is pinged; without a reply within as many seconds it counts as lost."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

Key = tuple[str, str]
"""A subscription: the letter before SUBSCRIBE ("", "P" or "S"), and the channel or pattern."""


class Listener:
    """The subscriptions of one process, and the connections that they need.

    Args:
        redis: The client, for the servers' location.
        is_wanted: Returns whether a key still has subscribers.
        deliver: Called with each message: its kind, the channel or pattern, and further words.
        make_up: Called with keys subscribed again after a connection loss, before further messages are delivered.
    """

    def __init__(
        self,
        redis: RedisClient,
        is_wanted: Callable[[Key], bool],
        deliver: Callable[..., None],
        make_up: Callable[[Collection[Key]], Awaitable[None]],
    ) -> None:
        self.redis = redis
        self.is_wanted = is_wanted
        self.deliver = deliver
        self.make_up = make_up
        self.is_cluster = redis.where.kind == "cluster"
        self.lost: set[Key] = set()
        self._waiting: dict[Key, asyncio.Future[None]] = {}
        self._homes: dict[Key, _Line] = {}
        self._lines: dict[Node | None, _Line] = {}
        self._slots: list[Node | None] = []
        self._learning = asyncio.Lock()

    async def hear(self, keys: Iterable[Key]) -> None:
        """Subscribe to *keys*; return once the servers have confirmed.

        Raises:
            RedisError, RedisClusterException, OSError, TypeError: A subscription failed.
        """
        if self.is_cluster and not self._slots:
            await self.learn()
        for key in keys:
            node = self.node_of(key)
            if key in self._homes:
                self._homes[key].look_at(key)
            elif self.is_cluster and node is None:
                raise ConnectionError("some of the cluster's slots have no node")
            else:
                self.give(key, node)
        loop = asyncio.get_running_loop()
        for waiter in [self._waiting.setdefault(key, loop.create_future()) for key in keys if not self.is_heard(key)]:
            await asyncio.shield(waiter)  # other callers may wait for it as well

    def leave(self, keys: Iterable[Key]) -> None:
        """Unsubscribe from those of *keys* that are no longer wanted."""
        for key in keys:
            if key in self._homes:
                self._homes[key].look_at(key)

    def is_heard(self, key: Key) -> bool:
        """Return whether a server has confirmed the subscription to *key* on an open connection."""
        return key in self._homes and key in self._homes[key].subscribed

    def give(self, key: Key, node: Node | None) -> None:
        """Assign *key* to the line to *node*."""
        line = self._lines.get(node)
        if line is None:
            line = self._lines[node] = _Line(self, node)
        self._homes[key] = line
        line.look_at(key)

    def node_of(self, key: Key) -> Node | None:
        """Return the node that holds the slot of *key*; None without a cluster, or for a slot without a node."""
        return self._slots[_slot(key)] if self.is_cluster else None

    async def learn(self) -> None:
        """Load a cluster's slot map, once for concurrent callers; raises as `discover` does."""
        known, where = self._slots, self.redis.where
        async with self._learning:
            if self._slots is known:
                nodes = dict.fromkeys([*filter(None, self._lines), *where.nodes])
                self._slots = await discover(where, list(nodes), where.deadline)

    def move(self, slot: int, node: Node, keys: Iterable[Key]) -> None:
        """Record that *slot* is now at *node*, and subscribe to its *keys* there."""
        self._slots[slot] = node
        for key in keys:
            self.give(key, node)

    def confirm(self, key: Key, reason: Exception | None = None) -> None:
        """Resolve the waiters for *key*: subscribed, or failed with *reason*."""
        waiter = self._waiting.pop(key, None)
        if waiter is not None and reason is None:
            waiter.set_result(None)
        elif waiter is not None and reason is not None:
            waiter.set_exception(reason)
            waiter.exception()  # mark it as retrieved: perhaps no task waits for it

    def forget(self, key: Key) -> None:
        """Drop the state of *key*, which is no longer wanted."""
        self._homes.pop(key, None)
        self._waiting.pop(key, None)
        self.lost.discard(key)

    def end(self, node: Node | None, line: "_Line") -> None:
        """Drop the *line* to *node*, which has no more keys."""
        if self._lines.get(node) is line:
            del self._lines[node]

    async def aclose(self) -> None:
        """Close every connection; later subscriptions open new ones. Calling it twice is harmless."""
        lines, self._lines = self._lines, {}
        self._homes.clear()
        await cancel_tasks([line.task for line in lines.values()], self.redis.where.deadline)
        for key in tuple(self._waiting):
            self.confirm(key, ConnectionError("the connection was closed"))


class _Line:
    """One connection to one server, reconnected after a loss, for as long as it has keys.

    Attributes:
        subscribed: The keys that the server has confirmed.
        task: The task that runs the line.
    """

    def __init__(self, listener: Listener, node: Node | None) -> None:
        self.subscribed: set[Key] = set()
        self._listener = listener
        self._node = node
        self._asked: set[Key] = set()  # requested and not confirmed yet
        self._changed: set[Key] = set()  # to be subscribed or unsubscribed
        self._is_changed = asyncio.Event()
        self._held: list[tuple[str, ...]] = []  # messages received before the missed ones were made up for
        self._pause = 0.0
        self.task = asyncio.create_task(self._run(), name="channels")

    def look_at(self, key: Key) -> None:
        """Subscribe to or unsubscribe from *key*, depending on whether it is wanted."""
        self._changed.add(key)
        self._is_changed.set()

    @property
    def _has_keys(self) -> bool:
        return bool(self.subscribed or self._asked or self._changed)

    async def _run(self) -> None:
        while self._has_keys:
            try:
                async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
                    connection = await self._connect(stack)
                    reader = tasks.create_task(self._read(connection), name="channels reader")
                    stack.callback(reader.cancel)  # runs before the connection is closed
                    await self._follow(connection, reader)
            except* Exception as faults:  # a boundary: reconnect after any error, for the subscribers' sake
                reason, alias, node = faults.exceptions[0], self._listener.redis.alias, self._node
                if isinstance(reason, CONNECTION_FAULTS):
                    where = self._listener.redis.address if node is None else f"{node[0]}:{node[1]}"
                    _outages.report((alias, where), "Channels %r have no connection to %s: %s", alias, where, reason)
                else:
                    logger.error("Channels %r reconnect.", alias, exc_info=reason)
                await self._lose(reason)
        # RACE: no await between these two lines, or a new key could be assigned to a line that has ended
        self._listener.end(self._node, self)

    async def _connect(self, stack: AsyncExitStack) -> AbstractConnection:
        client = self._listener.redis.client
        if self._node is not None:
            client = node_client(self._listener.redis.where, self._node)
            stack.push_async_callback(client.aclose)
        try:
            connection: AbstractConnection = await client.connection_pool.get_connection()
        except RuntimeError as exc:  # raised by uvloop if its transport was closed meanwhile, as by a failover
            raise ConnectionError("the connection was lost") from exc
        stack.push_async_callback(client.connection_pool.release, connection)
        stack.push_async_callback(connection.disconnect)
        return connection

    async def _follow(self, connection: AbstractConnection, reader: asyncio.Task[None]) -> None:
        """Subscribe and unsubscribe as needed until no keys are left or *reader* has ended."""
        listener = self._listener
        while self._has_keys and not reader.done():  # redis-py sends by `wait_for`, which may swallow a cancellation
            await self._is_changed.wait()
            self._is_changed.clear()
            if self._asked:  # await the confirmation first, so that replies cannot be confused
                continue
            for key in tuple(self._changed):
                kind, channel = key
                self._changed.discard(key)
                if listener.is_wanted(key):
                    if key not in self.subscribed:
                        self._asked.add(key)
                        await _send(connection, f"{kind}SUBSCRIBE", channel)
                else:
                    listener.forget(key)
                    if key in self.subscribed:
                        self.subscribed.discard(key)
                        await _send(connection, f"{kind}UNSUBSCRIBE", channel)

    async def _lose(self, reason: Exception) -> None:
        """Subscribe to all keys again after a pause, at the nodes that hold them by then."""
        listener = self._listener
        listener.lost |= self.subscribed
        self._changed |= self.subscribed | self._asked
        self.subscribed, self._asked, self._held = set(), set(), []
        self._is_changed.set()
        if listener.is_cluster:
            with contextlib.suppress(*CONNECTION_FAULTS):
                await listener.learn()
        for key in tuple(self._changed):
            node = listener.node_of(key)
            if not listener.is_wanted(key):
                self._changed.discard(key)
                listener.forget(key)
            elif node is not None and node != self._node:
                self._changed.discard(key)
                listener.give(key, node)
            else:
                listener.confirm(key, reason)
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        await asyncio.sleep(self._pause)

    async def _read(self, connection: AbstractConnection) -> None:
        is_asked = False
        while True:
            reading = cast(Any, connection).read_response(
                timeout=PING_SECONDS, disconnect_on_error=False, push_request=True
            )
            try:
                reply: object = await reading
            except MovedError as exc:
                await self._hand_over(exc)
                continue
            if is_list(reply):  # in RESP3 the reply to PING is not a list
                await self._take(*map(_text, reply))
            elif reply is None:
                if is_asked:
                    raise TimeoutError("no answer to a PING")
                await _send(connection, "PING")
            is_asked = reply is None

    async def _take(self, kind: str, *words: str) -> None:
        """Handle one message of a server: its kind, the channel or pattern, and further words."""
        key = kind.removesuffix("message").removesuffix("subscribe").removesuffix("un").upper(), words[0]
        if kind.endswith("message"):
            if key in self._listener.lost:
                self._held.append((kind, *words))
            else:
                self._listener.deliver(kind, *words)
        elif kind.endswith("unsubscribe"):
            if key in self.subscribed:  # unsolicited: the slot has moved
                self.subscribed.discard(key)
                self._listener.lost.add(key)
                self.look_at(key)
        elif kind.endswith("subscribe"):
            self._asked.discard(key)
            self.subscribed.add(key)
            self._listener.confirm(key)
            await self._settle()

    async def _settle(self) -> None:
        """Make up for missed messages and deliver held ones, once all requested keys are confirmed."""
        if self._asked:
            return
        listener = self._listener
        if back := self.subscribed & listener.lost:
            await listener.make_up(back)
            listener.lost -= back
            for message in self._held:
                listener.deliver(*message)
            self._held.clear()
        self._pause = 0.0
        self._is_changed.set()

    async def _hand_over(self, moved: MovedError) -> None:
        """Hand over the keys of a moved slot to the node that now has it."""
        assert self._node is not None
        keys = {key for key in self._asked if _slot(key) == moved.slot_id}
        self._asked -= keys
        host: str = cast(Any, moved).host or self._node[0]  # "" if the node does not know its own host name
        self._listener.move(moved.slot_id, (host, moved.port), keys)
        await self._settle()


def _slot(key: Key) -> int:
    return key_slot(key[1].encode())


async def _send(connection: AbstractConnection, *words: str) -> None:
    try:
        if not connection.is_connected:  # redis-py would reconnect, without the subscriptions
            raise ConnectionError("the connection was lost")
        await connection.send_command(*words, check_health=False)
    except (AttributeError, RuntimeError) as exc:  # raised by redis-py and uvloop if the socket was closed meanwhile
        raise ConnectionError("the connection was lost") from exc


def _text(value: object) -> str:
    # Other programs may send arbitrary bytes.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
