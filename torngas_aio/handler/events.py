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
"""Longest wait for the first event, or an error in its place, before the header is sent."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: Text is sent unchanged, other values as JSON. None: no data, and browsers dispatch no event.
        id: Sent back by a reconnecting client in `Last-Event-ID`; without line ends and NUL.
        event: The event's type; "message" by default. Without line ends.
        retry: Seconds after which a client that lost the connection should reconnect.
    """

    data: Any = None
    id: str | None = None
    event: str | None = None
    retry: float | None = None

    def encode(self) -> bytes:
        """Return the event as sent.

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
    """A handler whose GET is an event stream, until the client leaves, the events end or the server stops.

    Override `events`, or set `channel_names`.
    """

    channel_names: tuple[str, ...] = ()
    """Channels whose messages are the events, with the history since `Last-Event-ID` if the channels keep one."""

    channels_alias = "default"

    heartbeat_seconds: float | None = 15.0
    """After this time without an event a comment is sent, so that proxies keep the connection open; None: never."""

    retry_seconds = 3.0
    """Sent to clients as `retry` at the beginning, and when the server stops."""

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
        """The id of the last event that a reconnecting client received; None for a new client."""
        return self.request.headers.get("Last-Event-ID") or None

    def events(self) -> AsyncIterator[Event]:
        """Yield the events; the generator is closed when the client leaves.

        An error before the first event, within `HEADER_SECONDS`, is sent as its status, as in any handler. The header
        is sent with the first event, or without one after `HEADER_SECONDS`; with channels, once subscribed.

        Each step between two events has its own database session. Its connection is released at the `yield`; changes
        must be committed before that with `await session.commit()`.

        Raises:
            TypeError: The class neither overrides this nor has `channel_names`.
        """
        if not self.channel_names:
            raise TypeError(f"{type(self).__qualname__} has no events: override `events`, or name `channel_names`.")
        return self._from_channels()

    async def get(self, *args: str, **kwargs: str) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx then forwards each event at once
        self.write(Event(retry=self.retry_seconds).encode())
        if session_with_changes() is not None:  # changes of `prepare`, which the events must see
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
        """Send until the events end or the server stops; after the client has left, the next flush raises."""
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
    """The end of the events; a StopAsyncIteration cannot leave a task."""
