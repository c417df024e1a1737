"""The contract of a channel backend: publish to names, subscribe to names and patterns, report missed messages.

    publish ── JSON ──► store ──► deliver(name, text) ──► Subscription: a bounded queue ──► async for

If a subscriber is too slow, or a connection was lost, the subscriber receives a gap: a message without data. With
HISTORY, the messages missed by a lost connection are read from the history instead.
"""

import asyncio
import itertools
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal, Self

from torngas_aio import _json
from torngas_aio._backends import entry_faults
from torngas_aio.channels.presence import Presence
from torngas_aio.db import Sending, session_with_changes
from torngas_aio.exception import ArgumentError, ConfigError, ValueTooLarge
from torngas_aio.utils.narrowing import class_of
from torngas_aio.utils.numbers import parse_whole

__all__ = ["MAX_MESSAGE_BYTES", "BaseChannels", "Message", "Subscription", "newest"]

logger = logging.getLogger("torngas_aio.channels")

MAX_MESSAGE_BYTES = 256 * 1024
MAX_NAME_LENGTH = 200
MAX_WAITING_CHARS = 8 * 1024 * 1024
"""Maximum characters that wait for one subscriber, regardless of the number of messages: 32 of the largest."""

QUEUE_SIZE = 1000
_OPTIONS = {"HISTORY": 0, "QUEUE_SIZE": QUEUE_SIZE}
_MOST = 2**53  # the largest exact integer in Redis's scripts


@dataclass(frozen=True, slots=True)
class Message:
    """A message as delivered to a subscriber.

    Attributes:
        channel: The name it was published to; "" for a gap.
        text: The data as JSON.
        id: Its id in the history; ids are ascending; "" without HISTORY.
        is_gap: Messages may be missing here: the subscriber was too slow, or the connection was lost.
    """

    channel: str
    text: str
    id: str = ""
    is_gap: bool = False

    @property
    def data(self) -> Any:
        """The published value; None for a gap."""
        return None if self.is_gap else _json.loads(self.text)


GAP = Message("", "null", is_gap=True)
BEGINNINGS = ("", "0", "0-0")
"""Ids before all others: *after* one of them, the whole history is replayed, without a gap."""


class Subscription:
    """The messages of some channels from now on; returned by `BaseChannels.subscribe`, used with `async with`.

    Args:
        when_full: The policy once QUEUE_SIZE messages, or 8 MiB of them, wait for the subscriber: "drop" discards the
            oldest and inserts a gap; "close" ends the iteration.
    """

    def __init__(
        self,
        owner: "BaseChannels",
        names: Iterable[str],
        patterns: Iterable[str],
        *,
        after: str | None,
        when_full: Literal["drop", "close"],
    ) -> None:
        self.names = frozenset(names)
        self.patterns = tuple(sorted(set(patterns)))
        self._owner = owner
        self._after = after
        self._when_full = when_full
        self._queue: deque[Message] = deque()
        self._waiting = 0  # characters in the queue
        self._waiters: list[asyncio.Future[None]] = []
        self._is_closed = True

    async def __aenter__(self) -> Self:
        self._is_closed = False
        await self._owner.add(self)
        if self._after is not None:
            try:
                await self._replay(self._after)
            except BaseException:
                await self.aclose()
                raise
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not self._queue:
            if self._is_closed:
                raise StopAsyncIteration
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        return self._pop()

    async def aclose(self) -> None:
        """Leave the channels; queued messages can still be read. Calling it twice is harmless."""
        if not self._is_closed:
            self.end()
            await self._owner.remove(self)

    def end(self) -> None:
        """End the iteration after the queued messages."""
        self._is_closed = True
        self._wake()

    def take(self, message: Message) -> None:
        """Queue *message*; called by the backend."""
        if self._is_closed:
            return
        if self._is_full_for(message):
            if self._when_full == "close":
                self.end()
                return
            while self._is_full_for(message):
                self._pop()
            if self._queue:  # make space for the gap as well
                self._pop()
            self._queue.appendleft(GAP)
            self._waiting += len(GAP.text)
        if not (message.is_gap and self._queue and self._queue[-1].is_gap):
            self._queue.append(message)
            self._waiting += len(message.text)
        self._wake()

    def _is_full_for(self, message: Message) -> bool:
        if len(self._queue) >= self._owner.queue_size:
            return True
        return bool(self._queue) and self._waiting + len(message.text) > MAX_WAITING_CHARS

    def _pop(self) -> Message:
        message = self._queue.popleft()
        self._waiting -= len(message.text)
        return message

    async def _replay(self, after: str) -> None:
        """Insert the history after the id *after* before newly arrived messages; an unknown id yields a gap."""
        missed: list[Message] = []
        if after not in BEGINNINGS and not any([await self._owner.keeps(name, after) for name in sorted(self.names)]):
            missed.append(GAP)
        for name in sorted(self.names):
            found, is_complete = await self._owner.history(name, after)
            missed += found if is_complete or missed[:1] == [GAP] else [GAP, *found]
        seen = {(each.channel, each.id) for each in missed}
        missed.sort(key=lambda each: (not each.is_gap, id_key(each.id)))
        live = [each for each in self._queue if (each.channel, each.id) not in seen]
        self._queue = deque([*missed, *live])
        self._waiting = sum(len(each.text) for each in self._queue)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class BaseChannels(ABC):
    """The base of all backends.

    Args:
        location: The store's location.
        params: The entry of CHANNELS: OPTIONS with HISTORY (number of messages stored per channel for reconnecting
            subscribers; 0: none) and QUEUE_SIZE (maximum messages that wait for one subscriber, 1000).

    Raises:
        ConfigError: An option is unknown to the backend, or not a positive number.
    """

    own_options: frozenset[str] = frozenset()

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        params = params or {}
        self.alias = str(params.get("ALIAS", "default"))
        self.options: Mapping[str, Any] = params.get("OPTIONS") or {}
        where = f"CHANNELS[{self.alias!r}]"
        ConfigError.gather(entry_faults(where, params, (), {*self.own_options, *_OPTIONS}), code="TGA401")
        sizes: dict[str, Any] = {name: self.options.get(name, default) for name, default in _OPTIONS.items()}
        wrong = {name: size for name, size in sizes.items() if type(size) is not int or not 0 <= size <= _MOST}
        faults = [f"{where}['OPTIONS'][{name!r}] = {size!r}: write a whole number." for name, size in wrong.items()]
        ConfigError.gather(faults, code="TGA401")
        self.history_size: int = sizes["HISTORY"]
        self.queue_size: int = max(sizes["QUEUE_SIZE"], 2)
        self.presence = Presence()
        self._by_name: dict[str, set[Subscription]] = {}
        self._with_patterns: set[Subscription] = set()

    async def publish(self, name: str, data: Any, *, now: bool = False) -> None:
        """Send *data* to all subscribers of *name*, in every process.

        Within a database transaction that has changes, it is sent after the commit; if that fails, it is not sent.

        Args:
            data: A JSON value, at most 256 KB as JSON.
            now: Send it at once, regardless of the transaction, for example to report the progress of a job.

        Raises:
            Unavailable: The store did not accept it in time.
            ValueTooLarge, SerializationError: *data* cannot be sent.
        """
        check_name(name)
        text = _json.dumps(data, ensure_ascii=False)
        if len(text) > MAX_MESSAGE_BYTES:
            raise ValueTooLarge(
                f"The message for {name!r} has {len(text)} bytes, {MAX_MESSAGE_BYTES} are allowed. Publish an id."
            )
        send = partial(self.send, name, text.decode())
        session = None if now else session_with_changes()
        if session is None:
            await send()
        else:
            session.on_commit(Sending(f"sending a message to the channel {name!r}", send))

    def subscribe(
        self,
        *names: str,
        patterns: Iterable[str] = (),
        after: str | None = None,
        when_full: Literal["drop", "close"] = "drop",
    ) -> Subscription:
        """Return a subscription, which begins with `async with`.

        Args:
            names: Literal names.
            patterns: One or several, such as `user:*`; `*`, `?` and `[...]` as in file names. Not supported with
                HISTORY or on a Redis cluster.
            after: The id of the last message received; later messages are read from the history first.
            when_full: See `Subscription`.

        Raises:
            ArgumentError: There is no name or pattern, or an argument needs another setting.
        """
        patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        for name in (*names, *patterns):
            check_name(name)
        if not names and not patterns:
            raise ArgumentError("subscribe() needs a channel name or a pattern.")
        if patterns and not self.takes_patterns:
            raise ArgumentError(f"Channels {self.alias!r} take no patterns: not with HISTORY, nor on a Redis cluster.")
        if not issubclass(class_of(after), str | None):
            raise ArgumentError(f"subscribe(after={after!r}): give the id of a message, a text.")
        if after is not None and not self.history_size:
            raise ArgumentError(f"subscribe(after=...) needs CHANNELS[{self.alias!r}]['OPTIONS']['HISTORY'].")
        if when_full not in {"drop", "close"}:
            raise ArgumentError(f"subscribe(when_full={when_full!r}): write 'drop' or 'close'.")
        return Subscription(self, names, patterns, after=after, when_full=when_full)

    async def members(self, name: str) -> list[str]:
        """Return the sorted members present in the channel *name*, of all processes; see `present` and sockets' `join`.

        Members of a killed process disappear within 10 seconds.

        Raises:
            Unavailable: The store does not answer in time.
        """
        check_name(name)
        return self.presence.members(name)

    @asynccontextmanager
    async def present(self, name: str, member: str) -> AsyncGenerator[None]:
        """Make *member* present in the channel *name* during the block; several blocks with one member count once.

        Raises:
            ArgumentError: *name* or *member* is not text of 1 to 200 printable characters.
            Unavailable: The store does not answer in time.
        """
        check_name(name)
        check_name(member)
        await self.presence.enter(name, member)
        try:
            yield
        finally:
            await self.presence.leave(name, member)

    @property
    def takes_patterns(self) -> bool:
        """Whether `subscribe(patterns=...)` works."""
        return not self.history_size

    @abstractmethod
    async def send(self, name: str, text: str) -> None:
        """Publish JSON *text* at once."""

    @abstractmethod
    async def history(self, name: str, after: str) -> tuple[list[Message], bool]:
        """Return the messages of *name* after the id *after*, and whether none is missing before them.

        At most the newest `MAX_WAITING_CHARS` characters of messages, the limit of a subscriber's queue.
        """

    async def keeps(self, name: str, number: str) -> bool:
        """Return whether the history of *name* has the message with the id *number*; True if unknown."""
        return True

    async def add(self, subscription: Subscription) -> None:
        """Start delivering to *subscription*."""
        for name in subscription.names:
            self._by_name.setdefault(name, set()).add(subscription)
        if subscription.patterns:
            self._with_patterns.add(subscription)

    async def remove(self, subscription: Subscription) -> None:
        """Stop delivering to *subscription*."""
        for name in subscription.names:
            subscribed = self._by_name.get(name, set())
            subscribed.discard(subscription)
            if not subscribed:
                self._by_name.pop(name, None)
        self._with_patterns.discard(subscription)

    async def aclose(self) -> None:
        """End every subscription, and close connections and tasks. Calling it twice is harmless."""
        for subscription in self._with_patterns.union(*self._by_name.values()):
            subscription.end()
        await self.presence.aclose()
        self._by_name.clear()
        self._with_patterns.clear()

    def deliver(self, message: Message) -> None:
        """Deliver *message* to the subscribers in this process."""
        for subscription in tuple(self._by_name.get(message.channel, ())):
            subscription.take(message)

    def deliver_to_patterns(self, message: Message, is_for_pattern: Callable[[str], bool] = lambda _: True) -> None:
        """Deliver *message* to this process's subscribers with a matching pattern; those of its name already have it.

        Args:
            is_for_pattern: Whether this delivery is for a pattern, if the store delivers once per matching pattern.
        """
        for subscription in tuple(self._with_patterns):
            if message.channel not in subscription.names:
                first = next((each for each in subscription.patterns if fnmatchcase(message.channel, each)), None)
                if first is not None and is_for_pattern(first):
                    subscription.take(message)

    def deliver_gap(self, names: Iterable[str]) -> None:
        """Deliver a gap (messages may be missing) to the subscribers of *names* and to those with patterns."""
        for subscription in self._with_patterns.union(*(self._by_name.get(name, ()) for name in names)):
            subscription.take(GAP)


def check_name(name: object) -> None:
    """Raise ArgumentError unless *name* is a channel name: 1 to 200 characters, without control characters."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise ArgumentError(f"{name!r:.250} is no channel name: write 1 to {MAX_NAME_LENGTH} printable characters.")


def newest(messages: list[Message]) -> list[Message]:
    """Return the newest of *messages*, as many as may wait for one subscriber."""
    sizes = itertools.accumulate(len(each.text) for each in reversed(messages))
    count = sum(1 for _ in itertools.takewhile(lambda size: size <= MAX_WAITING_CHARS, sizes))
    return messages[len(messages) - count :]


def id_key(text: str) -> tuple[int, int]:
    """Return the sort key of a history id, such as "1764367-0"; (0, 0) for invalid text."""
    first, _, second = text[:64].partition("-")
    time, number = parse_whole(first, 20), parse_whole(second or "0", 20)
    # Redis takes no range that begins after the largest id.
    return (0, 0) if time is None or number is None or max(time, number) >= 2**64 - 1 else (time, number)
