"""Messages to be sent to an ASGI server, with back-pressure on the writers.

put ──► messages ──► take, send, note_sent
 └── more than 64 KiB unsent: `is_full`, until the server has accepted enough
"""

import asyncio
from collections import deque
from collections.abc import MutableMapping
from typing import Any

from tornado.iostream import StreamClosedError

__all__ = ["Message", "Outbox"]

Message = MutableMapping[str, Any]

_HIGH_WATER = 64 * 1024


class Outbox:
    """The unsent messages, in order.

    Attributes:
        size: Bytes, or characters of texts, that the server has not accepted.
        stirred: Set when there is a message to send, or the client has gone.
    """

    def __init__(self) -> None:
        self.stirred = asyncio.Event()
        self._messages: deque[Message] = deque()
        self.size = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._is_gone = False

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether writers should wait; False once the client has gone."""
        return self.size > _HIGH_WATER and not self._is_gone

    def put(self, message: Message) -> None:
        """Append *message*; it is dropped if the client has gone."""
        if not self._is_gone:
            self._messages.append(message)
            self.size += _size_of(message)
            self.stirred.set()

    def take(self) -> Message:
        """Return the next message; it counts as unsent until `note_sent`."""
        return self._messages.popleft()

    def note_sent(self, message: Message) -> None:
        """Count *message* as sent; release waiting writers if few enough bytes are unsent."""
        self.size -= _size_of(message)
        if not self.is_full:
            self._release(None)

    def lose(self) -> None:
        """Drop every message: the client has gone."""
        self._is_gone = True
        self._messages.clear()
        self.stirred.set()
        self._release(StreamClosedError())

    def drained(self) -> "asyncio.Future[None]":
        """Return a future that is done when few enough bytes are unsent, and fails with `StreamClosedError`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self._is_gone:
            self._release(StreamClosedError())
        elif not self.is_full:
            self._release(None)
        return future

    def _release(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():  # its waiter was cancelled
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # retrieved, so that asyncio does not warn if it is never awaited


def _size_of(message: Message) -> int:
    return len(message.get("body") or message.get("bytes") or message.get("text") or b"")
