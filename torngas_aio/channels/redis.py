"""Channels through Redis: pub/sub between processes, streams for the history.

    one server, or a sentinel-monitored master          one connection per process, SUBSCRIBE
    a cluster                                           one connection for each shard in use, SSUBSCRIBE

Lost connections are reopened. Without HISTORY, subscribers then receive a gap; with it, the missed messages. Redis
replicates asynchronously: messages that a master accepted just before it died may be lost.
"""

import asyncio
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torngas_aio.cache.redis.client import CLIENT_OPTIONS, RedisClient
from torngas_aio.cache.redis.native import CONNECTION_FAULTS
from torngas_aio.channels import base
from torngas_aio.channels.base import BaseChannels, Message, Subscription, check_name, id_key, newest
from torngas_aio.channels.listener import Key, Listener
from torngas_aio.channels.presence import PRESENT_SECONDS, Presence
from torngas_aio.exception import Unavailable

__all__ = ["RedisChannels"]

_PAGE = 100
"""Messages of a history read per command."""

_HISTORY_SECONDS = 24 * 3600
"""Seconds without a message after which a channel's history expires."""

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

    LOCATION and OPTIONS as for `torngas_aio.cache.backends.rediscache`, and KEY_PREFIX ("channel").
    """

    own_options = CLIENT_OPTIONS | {"KEY_PREFIX"}

    def __init__(self, location: Any = "", params: Mapping[str, object] | None = None) -> None:
        super().__init__(location, params)
        self._prefix = str(self.options.get("KEY_PREFIX", "channel"))
        self._redis = RedisClient(location, {"SETTING": "CHANNELS", "ALIAS": self.alias, "OPTIONS": self.options})
        self._deadline = self._redis.where.deadline
        self._process = uuid.uuid4().hex
        self.presence = Presence(self._announce, self._withdraw)
        self._listener = Listener(self._redis, self._is_wanted, self._take, self._make_up)
        self._last_ids: dict[str, str] = {}

    @property
    def takes_patterns(self) -> bool:
        return super().takes_patterns and not self._is_cluster

    async def send(self, name: str, text: str) -> None:
        channel, verb = self._channel(name), "SPUBLISH" if self._is_cluster else "PUBLISH"
        words: tuple[str | int, ...] = verb, channel, f" {text}"
        if self.history_size:
            key = f"{channel}:h"
            words = "EVAL", _PUBLISH_KEPT, 1, key, self.history_size, text, _HISTORY_SECONDS, verb, channel
        await self._ask(channel, f"The message for {name!r} was not accepted", *words)

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
        return [Message(name, fields[1].decode(errors="replace"), number.decode()) for number, fields in found]

    async def members(self, name: str) -> list[str]:
        check_name(name)
        key = self._members_key(name)
        found = await self._ask(key, f"The members of {name!r} are not known", "EVAL", _MEMBERS, 1, key)
        return sorted({each.decode().partition(" ")[2] for each in found})

    async def _announce(self, name: str, members: Collection[str]) -> None:
        key, entries = self._members_key(name), [f"{self._process} {member}" for member in members]
        milliseconds = int(PRESENT_SECONDS * 1000)
        await self._ask(
            key, f"The members of {name!r} cannot be published", "EVAL", _PRESENT, 1, key, milliseconds, *entries
        )

    async def _withdraw(self, name: str, member: str) -> None:
        key = self._members_key(name)
        await self._ask(key, f"The members of {name!r} cannot be published", "ZREM", key, f"{self._process} {member}")

    def _members_key(self, name: str) -> str:
        return f"{self._channel(name)}:m"

    async def _ask(self, key: str, otherwise: str, *words: str | int) -> Any:
        """Return the reply to one command. Raises `Unavailable` with the text *otherwise* if there is none in time."""
        try:
            return await self._redis.ask(key, *words)
        except Unavailable as exc:
            raise Unavailable(f"{otherwise}: {exc}") from exc

    async def add(self, subscription: Subscription) -> None:
        await super().add(subscription)
        try:
            async with asyncio.timeout(self._deadline):
                await self._listener.hear(self._keys_of(subscription.names, subscription.patterns))
                for name in subscription.names - self._last_ids.keys() if self.history_size else ():
                    last = await self._entries(name, "XREVRANGE", "+", "-", 1)
                    if name in self._by_name:  # the subscription may have been closed meanwhile
                        self._last_ids.setdefault(name, last[0].id if last else "0-0")
        except BaseException as exc:
            await self.remove(subscription)
            if not isinstance(exc, CONNECTION_FAULTS):
                raise
            where = f"CHANNELS[{self.alias!r}] at {self._redis.address}"
            raise Unavailable(
                f"{where} cannot be subscribed to: {str(exc).rstrip('.') or 'no answer in time'}."
            ) from exc

    async def remove(self, subscription: Subscription) -> None:
        await super().remove(subscription)
        self._listener.leave(self._keys_of(subscription.names, subscription.patterns))
        for name in subscription.names - self._by_name.keys():
            self._last_ids.pop(name, None)

    async def ping(self) -> None:
        """Return when every node has answered. Raises `Unavailable` if one does not answer in time."""
        await self._redis.ping()

    async def aclose(self) -> None:
        await super().aclose()
        await self._listener.aclose()
        await self._redis.close()

    @property
    def _is_cluster(self) -> bool:
        return self._redis.where.kind == "cluster"

    def _channel(self, name: str) -> str:
        # The braces keep a channel and its history in one slot. They precede the name, which may begin with "}".
        return f"{self._prefix}:{name}" if not self._is_cluster else f"{{{self._prefix}:{name}}}"

    def _name_of(self, channel: str) -> str:
        return (channel[1:-1] if self._is_cluster else channel).removeprefix(f"{self._prefix}:")

    def _glob(self, pattern: str) -> str:
        """Return a Redis pattern that matches at least the names *pattern* matches; Redis's `?` is one byte."""
        return re.escape(f"{self._prefix}:") + re.sub(r"\\[*?]|\\\[.*", "*", re.escape(pattern))

    def _keys_of(self, names: Iterable[str], patterns: Iterable[str]) -> set[Key]:
        kind = "S" if self._is_cluster else ""
        return {(kind, self._channel(name)) for name in names} | {("P", self._glob(each)) for each in patterns}

    def _is_wanted(self, key: Key) -> bool:
        kind, channel = key
        if kind != "P":
            return self._name_of(channel) in self._by_name
        return any(self._glob(pattern) == channel for each in self._with_patterns for pattern in each.patterns)

    async def _make_up(self, keys: Collection[Key]) -> None:
        """Deliver the missed messages of *keys*, or a gap."""
        names = [self._name_of(channel) for kind, channel in keys if kind != "P"]
        if not self.history_size:
            self.deliver_gap(names)
            return
        for name in names:
            last = self._last_ids.get(name)
            if last is None:  # it was left, or no message was read since it was joined
                continue
            missed, is_complete = await self.history(name, last)
            if last != "0-0" and not await self.keeps(name, last):  # a server that lost it lost others as well
                is_complete = False
                if name in self._last_ids:  # the channel may have been left meanwhile
                    self._last_ids[name] = "0-0"
            if not is_complete:
                self.deliver(Message(name, "null", is_gap=True))
            for message in missed:
                self._deliver_once(message)

    def _take(self, kind: str, *words: str) -> None:
        """Deliver one message of a server: its kind, the matched pattern if any, the channel and the payload."""
        *glob, channel, payload = words
        number, _, text = payload.partition(" ")
        message = Message(self._name_of(channel), text, number)
        if text and glob:  # empty text comes from another program
            self.deliver_to_patterns(message, lambda pattern: [self._glob(pattern)] == glob)
        elif text:
            self._deliver_once(message)

    def _deliver_once(self, message: Message) -> None:
        """Deliver *message* unless it is late or a duplicate of one from the history."""
        if message.channel not in self._by_name:
            return
        if message.id:
            if id_key(message.id) <= id_key(self._last_ids.get(message.channel, "")):
                return
            self._last_ids[message.channel] = message.id
        self.deliver(message)
