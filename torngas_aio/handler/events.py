"""`EventStreamHandler`: server-sent events, from a generator or from channels.

    class Tasks(EventStreamHandler):
        async def events(self):
            async with channels.subscribe("tasks", after=self.last_event_id) as messages:
                async for message in messages:
                    yield Event(message.text, id=message.id)

SPEC: the WHATWG HTML standard, "Server-sent events".
"""

# pyright: reportPrivateUsage=false

import asyncio
import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torngas_aio import _json
from torngas_aio.channels import channels
from torngas_aio.context import MessageScope, enter_message
from torngas_aio.db import close_sessions, session_with_changes
from torngas_aio.exception import ArgumentError
from torngas_aio.handler.recovery import report_error
from torngas_aio.handler.web import WebHandler
from torngas_aio.utils.kinds import Check, either, finite, positive, sequence_of, text

__all__ = ["HEADER_SECONDS", "Event", "EventStreamHandler"]

HEADER_SECONDS = 1.0
"""How long the header waits for the first event, which may be an error instead."""


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

    heartbeat_seconds: float | None = 15.0
    """A comment is sent when there was no event for so long, so that proxies keep the connection; None: none is."""

    retry_seconds = 3.0
    """Told to clients at the beginning, and at a stop of the server."""

    request_timeout = 0.0
    cancel_on_disconnect = True

    _attribute_checks: ClassVar[Mapping[str, Check]] = {
        "channel_names": sequence_of(text),
        "channels_alias": text,
        "heartbeat_seconds": either(None, positive),
        "retry_seconds": finite,
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if inspect.iscoroutinefunction(cls.events) or inspect.isgeneratorfunction(cls.events):
            raise TypeError(
                f"{cls.__qualname__}.events is no async generator. Write `async def events(self)`, with "
                "`yield Event(...)` in it."
            )

    _is_subscribed: asyncio.Future[Literal[True]]

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that a returning client has seen; None for a new one."""
        return self.request.headers.get("Last-Event-ID") or None

    def events(self) -> AsyncIterator[Event]:
        """Yield the events; the generator is closed when the client leaves.

        An error before the first event answers with its status, as in any handler, within `HEADER_SECONDS`. The header
        is sent with the first event, and then without one; that of channels once they are subscribed to.

        Between two events it has a database session of its own, whose connection is given back at the `yield`; what it
        changes wants `await session.commit()` before that.

        Raises:
            TypeError: The class neither overrides this nor has `channel_names`.
        """
        if not self.channel_names:
            raise TypeError(f"{type(self).__qualname__} has no events: override `events`, or name `channel_names`.")
        return self._from_channels()

    async def get(self, *args: str, **kwargs: str) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx sends on what it gets
        self.write(Event(retry=self.retry_seconds).encode())
        if session_with_changes() is not None:  # of `prepare`: the events see them
            await self.flush()
        await close_sessions()
        self._is_subscribed = asyncio.get_running_loop().create_future()
        stopping = asyncio.ensure_future(self.application.is_stopping.wait())
        try:
            events: Any = self.events()
            if not (hasattr(events, "__anext__") and hasattr(events, "aclose")):
                raise TypeError(
                    f"{type(self).__qualname__}.events returned {events!r:.80}, which is no async generator."
                )
            async with aclosing(events):
                await self._send(events, stopping)
        finally:
            stopping.cancel()
            with suppress(asyncio.CancelledError):
                await stopping

    async def _send(self, events: AsyncIterator[Event], stopping: asyncio.Future[Literal[True]]) -> None:
        """Send until the events end, or the server stops; a client that has left raises at the next flush."""
        first = asyncio.create_task(self._next_of(events))
        coming: asyncio.Task[Event] | None = first
        try:
            seconds = min(HEADER_SECONDS, self.heartbeat_seconds or HEADER_SECONDS)
            await asyncio.wait((first, stopping, self._is_subscribed), timeout=seconds, return_when="FIRST_COMPLETED")
            if not first.done():
                await self.flush()
            while True:
                if coming is None:
                    coming = asyncio.create_task(self._next_of(events))
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
                error = None if coming.cancelled() else coming.exception()
                if error is not None and not isinstance(error, _Ended):
                    await report_error(self, error)

    async def _next_of(self, events: AsyncIterator[object]) -> Event:
        scope = MessageScope()
        enter_message(scope)  # for this task
        try:
            event = await anext(events)
        except StopAsyncIteration:
            raise _Ended from None
        except BaseException as exc:
            scope.note_failure(exc)
            raise
        finally:
            if not scope.close_if_empty():
                await scope.aclose()
        if not isinstance(event, Event):
            raise TypeError(f"{type(self).__qualname__}.events yielded {event!r:.80}. Yield `Event(...)` of it.")
        return event

    async def _from_channels(self) -> AsyncIterator[Event]:
        found = channels[self.channels_alias]
        after = self.last_event_id if found.history_size else None
        async with found.subscribe(*self.channel_names, after=after) as messages:
            if not self._is_subscribed.done():
                self._is_subscribed.set_result(True)
            async for message in messages:
                if message.is_gap:
                    yield Event("{}", event="gap")
                else:
                    yield Event(message.text, id=message.id or None)


class _Ended(Exception):
    """The events have ended; a StopAsyncIteration cannot leave a task."""
