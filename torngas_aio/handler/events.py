"""`EventStreamHandler`: server-sent events, from a generator or from channels.

    class Tasks(EventStreamHandler):
        async def events(self):
            async with channels.subscribe("tasks", after=self.last_event_id) as messages:
                async for message in messages:
                    yield Event(message.text, id=message.id)

SPEC: the WHATWG HTML standard, "Server-sent events". Begin with `EventStreamHandler.events`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Literal

from torngas_aio import _json
from torngas_aio.channels import channels
from torngas_aio.context import MessageScope, enter_message
from torngas_aio.db import close_sessions
from torngas_aio.exception import ArgumentError
from torngas_aio.handler.web import WebHandler

__all__ = ["Event", "EventStreamHandler"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: Text, sent as it is; other values are sent as JSON. None: no data, and browsers show no event.
        id: What a client that comes back names in `Last-Event-ID`; without line ends and NUL.
        event: The event's type; "message" by default. Without line ends.
        retry: Seconds after which a client that lost the connection is to come back.
    """

    data: Any = None
    id: str | None = None
    event: str | None = None
    retry: float | None = None

    def encode(self) -> bytes:
        """Return the event as it is sent.

        Raises:
            ArgumentError: A line end in *id* or *event* would begin another field.
        """
        lines: list[str] = []
        for name, value in (("event", self.event), ("id", self.id)):
            if value:
                if any(character in value for character in "\r\n\0"):
                    raise ArgumentError(f"Event({name}={value!r:.80}): line ends and NUL are not allowed there.")
                lines.append(f"{name}: {value}")
        if self.retry is not None:
            lines.append(f"retry: {round(self.retry * 1000)}")
        if self.data is not None:
            text = self.data if isinstance(self.data, str) else _json.dumps(self.data, ensure_ascii=False).decode()
            # SPEC: CRLF, CR and LF end a line; the other characters of `str.splitlines` do not
            lines += [f"data: {line}" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
        return "\n".join([*lines, "", ""]).encode()


class EventStreamHandler(WebHandler):
    """Answers GET with an event stream that lasts until the client leaves, the events end or the server stops.

    Override `events`, or name `channel_names`.
    """

    channel_names: tuple[str, ...] = ()
    """Channels whose messages are the events, the history from `Last-Event-ID` on included where there is one."""

    channels_alias = "default"

    heartbeat_seconds = 15.0
    """A comment is sent when there was no event for so long, so that proxies keep the connection."""

    retry_seconds = 3.0
    """Told to clients at the beginning, and at a stop of the server."""

    request_timeout = 0.0
    cancel_on_disconnect = True

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that a returning client has seen; None for a new one."""
        return self.request.headers.get("Last-Event-ID") or None

    def events(self) -> AsyncIterator[Event]:
        """Yield the events; the generator is closed when the client leaves.

        Between two events it has a database session of its own, whose connection is given back at the `yield`; what it
        changes wants `await session.commit()` before that.
        """
        return self._from_channels()

    async def get(self, *args: str, **kwargs: str) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx sends on what it gets
        self.write(Event(retry=self.retry_seconds).encode())
        await self.flush()
        await close_sessions()
        stopping = asyncio.ensure_future(self.application.is_stopping.wait())
        try:
            events = self.events()
            async with aclosing(events):  # type: ignore[type-var]  # a generator
                await self._send(events, stopping)
        finally:
            stopping.cancel()
            with suppress(asyncio.CancelledError):
                await stopping

    async def _send(self, events: AsyncIterator[Event], stopping: asyncio.Future[Literal[True]]) -> None:
        """Send until the events end, or the server stops; a client that has left raises at the next flush."""
        coming: asyncio.Task[Event] | None = None
        try:
            while True:
                if coming is None:
                    coming = asyncio.create_task(_next_of(events))
                await asyncio.wait((coming, stopping), timeout=self.heartbeat_seconds, return_when="FIRST_COMPLETED")
                if coming.done():
                    done, coming = coming, None
                    try:
                        self.write(done.result().encode())
                    except _Ended:
                        return
                elif stopping.done():
                    self.write(Event(retry=self.retry_seconds).encode())
                    return
                else:
                    self.write(b": \n\n")
                await self.flush()
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait([coming])

    async def _from_channels(self) -> AsyncIterator[Event]:
        found = channels[self.channels_alias]
        after = self.last_event_id if found.history_size else None
        async with found.subscribe(*self.channel_names, after=after) as messages:
            async for message in messages:
                if message.is_gap:
                    yield Event("{}", event="gap")
                else:
                    yield Event(message.text, id=message.id or None)


class _Ended(Exception):
    """The events have ended; a StopAsyncIteration cannot leave a task."""


async def _next_of(events: AsyncIterator[Event]) -> Event:
    scope = MessageScope()
    enter_message(scope)  # for this task
    try:
        return await anext(events)
    except StopAsyncIteration:
        raise _Ended from None
    except BaseException:
        scope.has_failed = True
        raise
    finally:
        if not scope.close_if_empty():
            await scope.aclose()
