"""Channels through Redis: pub/sub between processes, streams for the history.

    one server, or the master that sentinels name      one connection a process, SUBSCRIBE
    a cluster                                           one connection for each shard in use, SSUBSCRIBE

A lost connection is made again; without HISTORY subscribers see a gap, with it they get what they missed. Redis
replicates asynchronously: what a master had accepted just before it died may be lost with it.
Begin with `RedisChannels.send`.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection

from torngas_aio._cleanup import cancel_tasks
from torngas_aio.cache.redis.client import CLIENT_OPTIONS, RedisClient
from torngas_aio.cache.redis.native import CONNECTION_FAULTS, Node, node_client
from torngas_aio.channels import base
from torngas_aio.channels.base import BaseChannels, Message, Subscription, check_name, id_key, newest
from torngas_aio.channels.presence import PRESENT_SECONDS, Presence
from torngas_aio.exception import CacheUnavailable, Unavailable
from torngas_aio.logger import OutageLog
from torngas_aio.utils.narrowing import is_list

__all__ = ["RedisChannels"]

logger = logging.getLogger("torngas_aio.channels")
_outages = OutageLog(logger)

PING_SECONDS = 5.0
"""An idle connection is asked after this, and is lost when it does not answer within as much."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_PAGE = 100
"""Messages of a history that are read at a time."""

_HISTORY_SECONDS = 24 * 3600
"""After so long without a message a channel's history is dropped."""

_PUBLISH_KEPT = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'd', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call(ARGV[4], ARGV[5], id .. ' ' .. ARGV[2])
return id
"""


_CLOCK = "local clock = redis.call('TIME') local now = clock[1] * 1000 + math.floor(clock[2] / 1000) "
_PRESENT = f"""{_CLOCK}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
_MEMBERS = f"{_CLOCK} return redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')"

_Key = tuple[str, str]
"""A subscription: the letter before SUBSCRIBE ("", "P" or "S"), and the channel or pattern."""

_Connect = Callable[[str], Awaitable[AbstractConnection]]


class RedisChannels(BaseChannels):
    """Channels that reach every process with the same LOCATION.

    LOCATION and OPTIONS as `torngas_aio.cache.backends.rediscache`, and KEY_PREFIX ("channel").
    """

    own_options = CLIENT_OPTIONS | {"KEY_PREFIX"}

    def __init__(self, location: Any = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__(location, params)
        self._prefix = str(self.options.get("KEY_PREFIX", "channel"))
        self._redis = RedisClient(location, {"SETTING": "CHANNELS", "ALIAS": self.alias, "OPTIONS": self.options})
        self._deadline = self._redis.where.deadline
        self._process = uuid.uuid4().hex
        self.presence = Presence(self._announce, self._withdraw)
        self._listener: asyncio.Task[None] | None = None
        self._connections: dict[Node | None, tuple[AbstractConnection, asyncio.Task[None]]] = {}
        self._subscribed: dict[_Key, AbstractConnection] = {}  # what a server has confirmed
        self._waiting: dict[_Key, asyncio.Future[None]] = {}  # what it has not
        self._changed: set[_Key] = set()  # where it may have to be asked
        self._is_changed = asyncio.Event()
        self._last_ids: dict[str, str] = {}
        self._held: list[Message] | None = None

    @property
    def takes_patterns(self) -> bool:
        return super().takes_patterns and not self._is_cluster

    async def send(self, name: str, text: str) -> None:
        channel, verb = self._channel(name), "SPUBLISH" if self._is_cluster else "PUBLISH"
        words: tuple[str | int, ...] = verb, channel, f" {text}"
        if self.history_size:
            key = f"{channel}:h"
            words = "EVAL", _PUBLISH_KEPT, 1, key, self.history_size, text, _HISTORY_SECONDS, verb, channel
        await self._ask(channel, f"The message for {name!r} was not taken", *words)

    async def history(self, name: str, after: str) -> tuple[list[Message], bool]:
        time, number = id_key(after)
        start = f"({time}-{number}" if time else "-"
        found: list[Message] = []  # the newest first
        size, end, is_all = 0, "+", False
        while not is_all and size <= base.MAX_WAITING_CHARS:
            page = await self._entries(name, "XREVRANGE", end, start, _PAGE)
            found += page
            size += sum(len(each.text) for each in page)
            is_all = len(page) < _PAGE
            end = f"({found[-1].id}" if page else end
        short = newest(found[::-1])
        first = await self._entries(name, "XRANGE", "-", "+", 1)
        reaches_back = bool(first) and id_key(first[0].id) <= id_key(after)
        return short, is_all and len(short) == len(found) and (reaches_back or len(short) < self.history_size)

    async def keeps(self, name: str, number: str) -> bool:
        time, count = id_key(number)
        found = await self._entries(name, "XRANGE", f"{time}-{count}", f"{time}-{count}", 1)
        return bool(found) and found[0].id == number

    async def _entries(self, name: str, command: str, start: str, end: str, count: int) -> list[Message]:
        key = f"{self._channel(name)}:h"
        words = command, key, start, end, "COUNT", count
        found = await self._ask(key, f"The history of {name!r} was not read", *words)
        return [Message(name, _text(fields[1]), _text(number)) for number, fields in found]

    async def members(self, name: str) -> list[str]:
        check_name(name)
        key = self._members_key(name)
        found = await self._ask(key, f"The members of {name!r} are not known", "EVAL", _MEMBERS, 1, key)
        return sorted({each.decode().partition(" ")[2] for each in found})

    async def _announce(self, name: str, members: Collection[str]) -> None:
        key, entries = self._members_key(name), [f"{self._process} {member}" for member in members]
        milliseconds = int(PRESENT_SECONDS * 1000)
        await self._ask(
            key, f"The members of {name!r} cannot be told", "EVAL", _PRESENT, 1, key, milliseconds, *entries
        )

    async def _withdraw(self, name: str, member: str) -> None:
        key = self._members_key(name)
        await self._ask(key, f"The members of {name!r} cannot be told", "ZREM", key, f"{self._process} {member}")

    def _members_key(self, name: str) -> str:
        return f"{self._channel(name)}:m"

    async def _ask(self, key: str, otherwise: str, *words: str | int) -> Any:
        """Return the reply to one command. Raises `Unavailable` that says *otherwise* where there is none in time."""
        try:
            return await self._redis.ask(key, *words)
        except CacheUnavailable as exc:
            raise Unavailable(f"{otherwise}: {exc}") from exc

    async def add(self, subscription: Subscription) -> None:
        await super().add(subscription)
        keys = self._look_at(subscription.names, subscription.patterns)
        waiting = [self._waiter(key) for key in keys if key not in self._subscribed]
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name=f"channels {self.alias}")
        try:
            async with asyncio.timeout(self._deadline):
                for each in waiting:
                    await asyncio.shield(each)  # others may wait for it, too
                for name in subscription.names - self._last_ids.keys() if self.history_size else ():
                    last = await self._entries(name, "XREVRANGE", "+", "-", 1)
                    if name in self._by_name:  # it may have been closed meanwhile
                        self._last_ids.setdefault(name, last[0].id if last else "0-0")
        except BaseException as exc:
            await self.remove(subscription)
            if not isinstance(exc, CONNECTION_FAULTS):
                raise
            where = f"CHANNELS[{self.alias!r}] at {self._redis.address}"
            raise Unavailable(f"{where} cannot be subscribed to: {str(exc) or 'no answer in time'}.") from exc

    async def remove(self, subscription: Subscription) -> None:
        await super().remove(subscription)
        self._look_at(subscription.names, subscription.patterns)
        for name in subscription.names - self._by_name.keys():
            self._last_ids.pop(name, None)

    async def aclose(self) -> None:
        await super().aclose()
        if self._listener is not None:
            await cancel_tasks([self._listener], self._deadline)
        self._fail(ConnectionError("the connection was closed"))
        await self._redis.close()

    @property
    def _is_cluster(self) -> bool:
        return self._redis.where.kind == "cluster"

    def _channel(self, name: str) -> str:
        # The braces keep a channel and its history in one slot; before the name, which may begin with "}".
        return f"{self._prefix}:{name}" if not self._is_cluster else f"{{{self._prefix}:{name}}}"

    def _name_of(self, channel: str) -> str:
        return (channel[1:-1] if self._is_cluster else channel).removeprefix(f"{self._prefix}:")

    def _glob(self, pattern: str) -> str:
        """Return a pattern of Redis that matches at least what *pattern* does; a `?` of Redis is one byte."""
        return re.escape(f"{self._prefix}:") + re.sub(r"\\[*?]|\\\[.*", "*", re.escape(pattern))

    def _look_at(self, names: Iterable[str], patterns: Iterable[str]) -> set[_Key]:
        """Have the listener ask for these, or leave them, and return their keys."""
        kind = "S" if self._is_cluster else ""
        keys = {(kind, self._channel(name)) for name in names} | {("P", self._glob(each)) for each in patterns}
        self._changed |= keys
        self._is_changed.set()
        return keys

    def _is_wanted(self, key: _Key) -> bool:
        kind, channel = key
        if kind != "P":
            return self._name_of(channel) in self._by_name
        return any(self._glob(pattern) == channel for each in self._with_patterns for pattern in each.patterns)

    def _waiter(self, key: _Key) -> asyncio.Future[None]:
        return self._waiting.setdefault(key, asyncio.get_running_loop().create_future())

    def _fail(self, reason: Exception) -> None:
        """Tell those who wait for a confirmation that there will be none."""
        for waiter in self._waiting.values():
            waiter.set_exception(reason)
            waiter.exception()  # perhaps no task waits for it
        self._waiting.clear()

    async def _listen(self) -> None:
        """Keep connections that bring what is wanted, for as long as there are subscribers."""
        pause, is_first = 0.0, True
        while self._has_subscribers:
            try:
                async with asyncio.TaskGroup() as readers, AsyncExitStack() as stack:
                    connect = partial(self._connect, readers, stack)
                    await self._resume(connect, is_first=is_first)
                    pause = 0.0
                    while self._has_subscribers:
                        await self._is_changed.wait()
                        await self._follow(connect)
                is_first = True
            except* Exception as faults:  # a boundary: whatever it is, there are subscribers
                reason = faults.exceptions[0]
                if isinstance(reason, CONNECTION_FAULTS):
                    _outages.report((self.alias,), "Channels %r have no connection: %s", self.alias, reason)
                else:
                    logger.error("Channels %r make their connection again.", self.alias, exc_info=reason)
                self._fail(reason)
                if self._is_cluster:
                    await self._redis.client.aclose()  # its map of the slots is old
                is_first, pause = False, min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
                await asyncio.sleep(pause)

    async def _connect(self, readers: asyncio.TaskGroup, stack: AsyncExitStack, channel: str) -> AbstractConnection:
        """Return the connection that *channel* comes over, made when first needed; *stack* closes it."""
        client, node = self._redis.client, None
        if self._is_cluster:
            await client.initialize()
            found = client.get_node_from_key(channel)
            node = found.host, int(found.port)
        if node in self._connections:
            return self._connections[node][0]
        if node is not None:
            client = node_client(self._redis.where, node)
            stack.push_async_callback(client.aclose)
        pool: Any = client.connection_pool
        connection: AbstractConnection = await pool.get_connection()
        stack.push_async_callback(pool.release, connection)
        stack.push_async_callback(connection.disconnect)
        self._connections[node] = connection, readers.create_task(self._read(connection), name="channels reader")
        stack.callback(self._cut)  # before anything is closed
        return connection

    def _cut(self) -> None:
        """Hear no more of the connections that there are."""
        for _, reader in self._connections.values():
            reader.cancel()
        self._connections.clear()
        self._subscribed.clear()

    async def _follow(self, connect: _Connect) -> None:
        """Subscribe to what is wanted and leave what is not; return once the servers have confirmed it."""
        self._is_changed.clear()
        changed, self._changed = self._changed, set()
        async with asyncio.timeout(self._deadline):
            asked: list[asyncio.Future[None]] = []
            for key in changed:
                kind, channel = key
                if not self._is_wanted(key):
                    self._waiting.pop(key, None)
                    if (connection := self._subscribed.pop(key, None)) is not None:
                        await _send(connection, f"{kind}UNSUBSCRIBE", channel)
                elif key not in self._subscribed:
                    connection = await connect(channel)
                    asked.append(self._waiter(key))
                    await _send(connection, f"{kind}SUBSCRIBE", channel)
            if asked:
                await asyncio.wait(asked)

    async def _resume(self, connect: _Connect, *, is_first: bool) -> None:
        """Subscribe to all there is, and make up for what was missed before anything new is delivered."""
        self._look_at(self._by_name, {pattern for each in self._with_patterns for pattern in each.patterns})
        before, self._held = dict(self._last_ids), []
        try:
            await self._follow(connect)
            if not is_first:
                await self._make_up_from(before)
        finally:
            held, self._held = self._held, None
        for message in held:
            self._take(message)

    async def _make_up_from(self, last_ids: Mapping[str, str]) -> None:
        if not self.history_size:
            self.deliver_gap()
            return
        for name, last in last_ids.items():
            missed, is_complete = await self.history(name, last)
            if last != "0-0" and not await self.keeps(name, last):  # a server that lost the message lost others, too
                is_complete = False
                if name in self._last_ids:  # it may have been left meanwhile
                    self._last_ids[name] = "0-0"
            if not is_complete:
                self.deliver(Message(name, "null", is_gap=True))
            for message in missed:
                self._deliver_once(message)

    async def _read(self, connection: AbstractConnection) -> None:
        is_asked = False
        while True:
            reading = cast(Any, connection).read_response(
                timeout=PING_SECONDS, disconnect_on_error=False, push_request=True
            )
            reply: object = await reading
            if is_list(reply):  # in RESP3 the answer to PING is none
                self._hear(connection, *map(_text, reply))
            elif reply is None:
                if is_asked:
                    raise TimeoutError("no answer to a PING")
                await _send(connection, "PING")
            is_asked = reply is None

    def _hear(self, connection: AbstractConnection, kind: str, *words: str) -> None:
        """Take one message of a server: its kind, the channel or pattern, and more."""
        letter = kind.removesuffix("subscribe").removesuffix("un").upper()
        if kind in {"message", "smessage", "pmessage"}:
            *glob, channel, payload = words
            number, _, text = payload.partition(" ")
            message = Message(self._name_of(channel), text, number)
            if text and glob:  # without text it is of another program
                self.deliver_to_patterns(message, lambda pattern: [self._glob(pattern)] == glob)
            elif text:
                self._take(message)
        elif kind.endswith("unsubscribe"):
            if (letter, words[0]) in self._subscribed:
                raise ConnectionError("a slot has moved")
        elif kind.endswith("subscribe"):
            self._subscribed[letter, words[0]] = connection
            if (waiter := self._waiting.pop((letter, words[0]), None)) is not None:
                waiter.set_result(None)

    def _take(self, message: Message) -> None:
        """Deliver *message*, or hold it until what was missed before it has been read."""
        if self._held is None:
            self._deliver_once(message)
        else:
            self._held.append(message)

    def _deliver_once(self, message: Message) -> None:
        """Deliver *message*; one that the history had too, or that came late, is passed over."""
        if message.channel not in self._by_name:
            return
        if message.id:
            if id_key(message.id) <= id_key(self._last_ids.get(message.channel, "")):
                return
            self._last_ids[message.channel] = message.id
        self.deliver(message)


async def _send(connection: AbstractConnection, *words: str) -> None:
    try:
        if not connection.is_connected:  # redis-py would connect again, and be subscribed to nothing
            raise ConnectionError("the connection was lost")
        await connection.send_command(*words, check_health=False)
    except AttributeError as exc:  # redis-py's: its socket was closed meanwhile
        raise ConnectionError("the connection was lost") from exc


def _text(value: object) -> str:
    # Of other programs any bytes may come.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
