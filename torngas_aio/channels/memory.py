"""In-process channels: the default, for a single worker and for tests."""

import itertools
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from torngas_aio._node import warn_of_memory
from torngas_aio.channels.base import BaseChannels, Message, id_key, newest

__all__ = ["MemoryChannels"]

MAX_CHANNELS = 10_000
"""Maximum number of channels with a stored history; the one without a message for longest is evicted first."""


class MemoryChannels(BaseChannels):
    """Channels that deliver to subscribers in this process only."""

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__(location, params)
        self._kept: dict[str, deque[Message]] = {}
        self._started = f"{time.time_ns() // 1_000_000}"
        self._numbers = itertools.count(1)
        self._has_sent = False

    async def send(self, name: str, text: str) -> None:
        if not self._has_sent:
            self._has_sent = True
            warn_of_memory(f"CHANNELS[{self.alias!r}]", "hears its own messages only")
        number = f"{self._started}-{next(self._numbers)}" if self.history_size else ""
        message = Message(name, text, number)
        if self.history_size:
            kept = self._kept.pop(name, None) or deque(maxlen=self.history_size)
            self._kept[name] = kept
            kept.append(message)
            if len(self._kept) > MAX_CHANNELS:
                del self._kept[next(iter(self._kept))]
        self.deliver(message)
        self.deliver_to_patterns(message)

    async def history(self, name: str, after: str) -> tuple[list[Message], bool]:
        kept = self._kept.get(name, ())
        found = [each for each in kept if id_key(each.id) > id_key(after)]
        short = newest(found)
        return short, len(short) == len(found) < self.history_size

    async def keeps(self, name: str, number: str) -> bool:
        return any(each.id == number for each in self._kept.get(name, ()))
