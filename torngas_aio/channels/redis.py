"""Channels through Redis: pub/sub between processes, streams for the history.

    one server, or the master that sentinels name      one connection a process, SUBSCRIBE
    a cluster                                           one connection for each shard in use, SSUBSCRIBE

A lost connection is made again; without HISTORY subscribers see a gap, with it they get what they missed. Redis
replicates asynchronously: what a master had accepted just before it died may be lost with it.
Begin with `RedisChannels.send`.
"""

import asyncio
import logging
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from redis.asyncio.client import PubSub

from torngas_aio.cache.redis.client import CLIENT_OPTIONS, RedisClient
from torngas_aio.cache.redis.native import CONNECTION_FAULTS, node_client
from torngas_aio.channels import base
from torngas_aio.channels.base import BaseChannels, Message, Subscription, check_name, id_key, newest
from torngas_aio.channels.presence import PRESENT_SECONDS, Presence
from torngas_aio.exception import Unavailable
from torngas_aio.logger import OutageLog

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


class RedisChannels(BaseChannels):
    """Channels that reach every process with the same LOCATION.

    LOCATION and OPTIONS as `torngas_aio.cache.backends.rediscache`, and KEY_PREFIX ("channel").
    """

    own_options = CLIENT_OPTIONS | {"KEY_PREFIX"}

    def __init__(self, location: Any = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__(location, params)
        options: Mapping[str, Any] = (params or {}).get("OPTIONS") or {}
        self._prefix = str(options.get("KEY_PREFIX", "channel"))
        self._redis = RedisClient(location, {"SETTING": "CHANNELS", "ALIAS": self.alias, "OPTIONS": options})
        self._deadline = float(options.get("DEADLINE", 2.0))
        self._process = uuid.uuid4().hex
        self.presence = Presence(self._announce, self._withdraw)
        self._connections: dict[Any, _Connection] = {}
        self._listener: asyncio.Task[None] | None = None
        self._is_lost = asyncio.Event()
        self._confirming: set[asyncio.Task[None]] = set()
        self._last_ids: dict[str, str] = {}
        self._held: list[Message] | None = None

    @property
    def takes_patterns(self) -> bool:
        return super().takes_patterns and not self._is_cluster

    async def send(self, name: str, text: str) -> None:
        client, channel = self._redis.client, self._channel(name)
        verb = "SPUBLISH" if self._is_cluster else "PUBLISH"
        try:
            async with asyncio.timeout(self._deadline):
                if self.history_size:
                    arguments = (self.history_size, text, _HISTORY_SECONDS, verb, channel)
                    await client.eval(_PUBLISH_KEPT, 1, f"{channel}:h", *arguments)
                elif self._is_cluster:
                    await client.spublish(channel, f" {text}")
                else:
                    await client.publish(channel, f" {text}")
        except CONNECTION_FAULTS as exc:
            raise self._unavailable("a message was not taken", exc) from exc

    async def history(self, name: str, after: str) -> tuple[list[Message], bool]:
        key = f"{self._channel(name)}:h"
        time, number = id_key(after)
        start = f"({time}-{number}" if time else "-"
        entries: list[Any] = []
        size, end, is_all = 0, "+", False
        try:
            async with asyncio.timeout(self._deadline):
                while not is_all and size <= base.MAX_WAITING_CHARS:  # the newest first
                    page = await self._redis.client.xrevrange(key, end, start, count=_PAGE)
                    entries += page
                    size += sum(len(fields[b"d"]) for _, fields in page)
                    is_all = len(page) < _PAGE
                    end = f"({_text(page[-1][0])}" if page else end
                first = await self._redis.client.xrange(key, "-", "+", count=1)
        except CONNECTION_FAULTS as exc:
            raise self._unavailable("the history was not read", exc) from exc
        found = newest([Message(name, _text(fields[b"d"]), _text(number)) for number, fields in reversed(entries)])
        is_all = is_all and len(found) == len(entries)
        reaches_back = bool(first) and id_key(_text(first[0][0])) <= id_key(after)
        return found, is_all and (reaches_back or len(found) < self.history_size)

    async def members(self, name: str) -> list[str]:
        check_name(name)
        found = await self._ask_members(name, "EVAL", _MEMBERS, 1, self._members_key(name))
        return sorted({each.decode().partition(" ")[2] for each in found})

    async def _announce(self, name: str, members: Collection[str]) -> None:
        entries = [f"{self._process} {member}" for member in members]
        words = int(PRESENT_SECONDS * 1000), *entries
        await self._ask_members(name, "EVAL", _PRESENT, 1, self._members_key(name), *words)

    async def _withdraw(self, name: str, member: str) -> None:
        await self._ask_members(name, "ZREM", self._members_key(name), f"{self._process} {member}")

    async def _ask_members(self, name: str, *words: Any) -> Any:
        try:
            return await self._redis.ask(self._members_key(name), *words)
        except Unavailable as exc:
            raise Unavailable(f"The members of {name!r} are not known: {exc}") from exc

    def _members_key(self, name: str) -> str:
        return f"{self._channel(name)}:m"

    async def add(self, subscription: Subscription) -> None:
        await super().add(subscription)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name=f"channels {self.alias}")
        # Cancelled, redis-py leaves sockets open: what has begun is ended, and left again where it is not wanted.
        confirming = asyncio.create_task(
            self._confirm(subscription.names, subscription.patterns), name=f"channels {self.alias} subscribe"
        )
        self._confirming.add(confirming)
        confirming.add_done_callback(self._confirming.discard)
        try:
            await asyncio.shield(confirming)
        except CONNECTION_FAULTS as exc:
            self._is_lost.set()
            await self.remove(subscription)
            raise self._unavailable("it cannot be subscribed to", exc) from exc
        except BaseException:
            confirming.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen
            await self.remove(subscription)
            raise

    async def _confirm(self, names: Iterable[str], patterns: Iterable[str]) -> None:
        """Return once the servers have confirmed that they send what is published to these."""
        async with asyncio.timeout(self._deadline):
            for name in names:
                await self._subscribed(name)
            for pattern in patterns:
                await self._connection(None).subscribe(self._channel(pattern, is_pattern=True), is_pattern=True)

    async def remove(self, subscription: Subscription) -> None:
        await super().remove(subscription)
        for name in subscription.names - self._by_name.keys():
            for connection in tuple(self._connections.values()):
                if name not in self._by_name:  # another may have come while this waited
                    self._last_ids.pop(name, None)
                    await connection.leave(self._channel(name))
        if not self._subscriptions():
            await self._hang_up()

    async def aclose(self) -> None:
        await super().aclose()
        if self._confirming:
            await asyncio.wait(self._confirming, timeout=self._deadline)
        await self._hang_up()
        await self._redis.close()

    async def _hang_up(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])

    @property
    def _is_cluster(self) -> bool:
        return self._redis.where.kind == "cluster"

    def _channel(self, name: str, *, is_pattern: bool = False) -> str:
        # The braces keep a channel and its history in one slot; a pattern's own characters stay what they are.
        return f"{self._prefix}:{name}" if not self._is_cluster else f"{self._prefix}:{{{name}}}"

    async def _listen(self) -> None:
        """Keep the connections open for as long as there are subscribers."""
        pause, is_first = 0.0, True
        while True:
            await asyncio.sleep(pause)
            self._is_lost.clear()
            try:
                await self._resume(is_first=is_first)
                pause, is_first = 0.0, False
                await self._is_lost.wait()
                _outages.report((self.alias,), "Channels %r lost their connection.", self.alias)
            except CONNECTION_FAULTS as exc:
                _outages.report((self.alias,), "Channels %r cannot connect: %s", self.alias, exc)
            finally:
                connections, self._connections = self._connections, {}
                for connection in connections.values():
                    await connection.aclose()
            if self._is_cluster:
                await self._redis.close()  # its map of the slots is old
            is_first = False
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    async def _resume(self, *, is_first: bool) -> None:
        """Subscribe again to all there is, and make up for what was missed before anything new is delivered."""
        before, self._held = dict(self._last_ids), []
        try:
            await self._confirm(
                tuple(self._by_name), {pattern for each in self._with_patterns for pattern in each.patterns}
            )
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
            if not is_complete:
                self.deliver(Message(name, "null", is_gap=True))
            for message in missed:
                self._deliver_once(message)

    async def _subscribed(self, name: str) -> None:
        channel = self._channel(name)
        node = None
        if self._is_cluster:
            await self._redis.client.initialize()
            found = self._redis.client.get_node_from_key(channel)
            node = found.host, int(found.port)
        await self._connection(node).subscribe(channel)
        if self.history_size and name not in self._last_ids:
            last = await self._redis.client.xrevrange(f"{channel}:h", count=1)
            self._last_ids.setdefault(name, _text(last[0][0]) if last else "0-0")

    def _connection(self, node: Any) -> "_Connection":
        found = self._connections.get(node)
        if found is None:
            client = self._redis.client if node is None else node_client(self._redis.where, node)
            is_shard, lose = node is not None, self._is_lost.set
            found = self._connections[node] = _Connection(client, is_shard, self._hear, lose, self._is_wanted)
        return found

    def _name_of(self, channel: str) -> str:
        name = channel.removeprefix(f"{self._prefix}:")
        return name[1:-1] if self._is_cluster else name

    def _is_wanted(self, channel: str) -> bool:
        return self._name_of(channel) in self._by_name

    def _hear(self, channel: str, payload: str, pattern: str | None) -> None:
        name = self._name_of(channel)
        number, _, text = payload.partition(" ")
        if pattern is None:
            self._take(Message(name, text, number))
        else:
            self.deliver_to_patterns(Message(name, text), pattern.removeprefix(f"{self._prefix}:"))

    def _take(self, message: Message) -> None:
        """Deliver *message*, or hold it until what was missed before it has been read."""
        if self._held is None:
            self._deliver_once(message)
        else:
            self._held.append(message)

    def _deliver_once(self, message: Message) -> None:
        """Deliver *message*; one that the history had too is passed over."""
        if message.id:
            if id_key(message.id) <= id_key(self._last_ids.get(message.channel, "")):
                return
            self._last_ids[message.channel] = message.id
        self.deliver(message)

    def _unavailable(self, what: str, exc: BaseException) -> Unavailable:
        return Unavailable(
            f"CHANNELS[{self.alias!r}] at {self._redis.address}: {what}: {str(exc) or 'no answer in time'}."
        )


class _Connection:
    """One subscribed connection and the task that reads it."""

    def __init__(self, client: Any, is_shard: bool, hear: Any, lose: Any, is_wanted: Any) -> None:
        self._client = client
        self._is_shard = is_shard
        self._pubsub = PubSub(client.connection_pool)
        self._hear = hear
        self._lose = lose
        self._is_wanted = is_wanted
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._names: set[str] = set()
        self._is_closed = False
        self._sending = asyncio.Lock()  # redis-py connects at the first command, and once for each that comes meanwhile
        self._reader: asyncio.Task[None] | None = None

    async def subscribe(self, name: str, *, is_pattern: bool = False) -> None:
        """Return when the server has confirmed it."""
        if name in self._names:
            return
        waiter = self._waiting.get(name)
        if waiter is None:
            waiter = self._waiting[name] = asyncio.get_running_loop().create_future()
            pubsub = self._pubsub
            send = pubsub.psubscribe if is_pattern else pubsub.ssubscribe if self._is_shard else pubsub.subscribe
            try:
                await self._send(send, name)
            except BaseException as exc:
                self._waiting.pop(name, None)
                if not waiter.done():  # the reader may have given up meanwhile
                    waiter.set_exception(exc if isinstance(exc, Exception) else ConnectionError("cancelled"))
                    waiter.exception()  # perhaps no other task waits for it
                raise
            if self._reader is None:
                self._reader = asyncio.create_task(self._read(), name="channels reader")
        await asyncio.shield(waiter)

    async def _send(self, command: Any, name: str) -> None:
        async with self._sending:
            if self._is_closed:  # redis-py would connect again
                raise ConnectionError("the connection was closed")
            try:
                await command(name)
            except AttributeError as exc:  # redis-py's: its socket was closed meanwhile
                raise ConnectionError("the connection was lost") from exc

    async def leave(self, name: str) -> None:
        if name in self._names:
            self._names.discard(name)
            try:
                await self._send(self._pubsub.sunsubscribe if self._is_shard else self._pubsub.unsubscribe, name)
            except CONNECTION_FAULTS:
                if not self._is_closed:
                    self._lose()

    async def aclose(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._give_up(ConnectionError("the connection was closed"))
        async with self._sending:
            self._is_closed = True
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py's
        if self._is_shard:
            await self._client.aclose()

    async def _read(self) -> None:
        is_asked = False
        try:
            while True:
                found = await self._pubsub.get_message(timeout=PING_SECONDS)
                if found is not None:
                    is_asked = False
                    self._take(found["type"], found)
                    if found["type"] in {"subscribe", "ssubscribe"} and not self._is_wanted(_text(found["channel"])):
                        await self.leave(_text(found["channel"]))  # who asked for it was cancelled meanwhile
                elif is_asked:
                    raise TimeoutError("no answer to a PING")
                else:
                    await self._pubsub.ping()
                    is_asked = True
        except CONNECTION_FAULTS as exc:
            logger.debug("A connection of channels is lost: %s", exc)
            self._give_up(exc)
            self._lose()

    def _give_up(self, reason: Exception) -> None:
        """Tell those who wait for an answer that there will be none."""
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(reason)
                waiter.exception()  # perhaps no task waits for it

    def _take(self, kind: str, found: Mapping[str, Any]) -> None:
        if kind in {"message", "smessage", "pmessage"}:
            pattern = None if found["pattern"] is None else _text(found["pattern"])
            self._hear(_text(found["channel"]), _text(found["data"]), pattern)
        elif kind in {"subscribe", "ssubscribe", "psubscribe"}:
            name = _text(found["channel"])
            waiter = self._waiting.pop(name, None)
            if waiter is None:  # redis-py has connected again by itself: what came meanwhile is missing
                raise ConnectionError("the connection was made again")
            self._names.add(name)
            if not waiter.done():
                waiter.set_result(None)
        elif kind == "sunsubscribe" and _text(found["channel"]) in self._names:
            raise ConnectionError("a slot has moved")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
