"""`WebSocketHandler`: Tornado's, under the pipeline, so that guards apply to sockets too.

    call > request hooks > prepare > response hooks > session save > 101 > open ... on_message ... on_close > endcall

A request hook that finishes the response refuses the socket. Each call of `open`, `on_message` and `on_close` has its
own scope, with its own database sessions, see `_in_message`. Errors in `open` and `on_message` go to the exception
hooks. When the application stops, it closes its sockets with 1001, also those whose handshake comes later.
"""

# pyright: reportPrivateUsage=false

import asyncio
import functools
import inspect
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError
from tornado.websocket import WebSocketHandler as _TornadoWebSocketHandler

from torngas_aio._cleanup import is_imposed
from torngas_aio._compat.tornado import convert_yielded
from torngas_aio.channels import channels
from torngas_aio.channels.base import check_name
from torngas_aio.context import MessageScope, Outcome, enter_message, leave_message
from torngas_aio.db import close_sessions
from torngas_aio.handler.joining import join_channel, leave_channel, leave_channels
from torngas_aio.handler.recovery import report_error
from torngas_aio.handler.web import WebHandler
from torngas_aio.http.deflate import compressed_parts, negotiate_deflate
from torngas_aio.http.frames import BINARY, TEXT, frame_of
from torngas_aio.http.websocket import WebSocketConnection, accept_value, payload_of

__all__ = ["GOING_AWAY", "SERVICE_RESTART", "WebSocketHandler", "broadcast"]

logger = logging.getLogger("torngas_aio.handler")

GOING_AWAY = 1001
"""Close code of a server that stops. SPEC: RFC 6455 7.4.1"""

SERVICE_RESTART = 1012
"""Close code of a process that is being replaced by another: clients may reconnect at once."""

_SLICE_SECONDS = 0.003  # longest time of sending one message to many sockets before the loop continues
_SLICE_BYTES = 2 * 1024 * 1024  # the same in bytes: uvloop writes at the end of the turn, where no time is checked
_WRITE_BYTES = 8 * 1024  # the cost of a write itself, as a number of bytes
_NOT_FOR_SOCKETS = ("write", "redirect", "set_header", "set_cookie", "set_status", "flush", "finish")


class WebSocketHandler(  # pyright: ignore[reportIncompatibleMethodOverride]  # Tornado's return futures
    WebHandler, _TornadoWebSocketHandler
):
    """A WebSocket; override `open`, `on_message` and `on_close`, plain or `async def`.

    Each call of them is like a request for the database: it has its own session, which ATOMIC_REQUESTS commits, or
    rolls back after an error, and its connection is released. Tasks that outlive the call use `session_scope`.

    After the client has left, a call continues for up to `request_timeout`, then it is cancelled and rolled back; with
    `cancel_on_disconnect` at once. `on_close` is called in any case.

    Changes to the visitor's session after the 101 need `await self.session.save()`. An error closes the socket with
    1011, a message larger than `max_message_size` with 1009, a protocol error with 1002 or 1007.
    """

    is_socket = True
    """Whether every request is a handshake; not so for a mounted application."""

    _serves_sockets = True
    _is_detached = False  # from the request's exchange: response methods are refused

    # Class defaults, where Tornado sets instance attributes: beyond 30 attributes a handler takes 1.3 KB more.
    ws_connection: Any = None
    close_code = None
    close_reason = None
    _on_close_called = False
    _closing: Awaitable[None] | None = None  # the result of `on_close`

    async def get(self, *args: Any, **kwargs: Any) -> None:
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            await self.complete_response_stage()
            if self._response_state.is_finished:  # a response hook failed or responded: no socket is opened
                return
        sockets = self.application.open_sockets
        sockets.add(self)
        try:
            await super().get(*args, **kwargs)
        finally:
            sockets.discard(self)
            await leave_channels(self)

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> "asyncio.Future[None]":
        """Send *message*; see `WebSocketConnection.write_message`.

        Raises:
            WebSocketClosedError: The connection is closed.
        """
        connection: WebSocketConnection | None = self.ws_connection
        if connection is None:
            raise WebSocketClosedError
        return connection.write_message(message, binary)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an uncaught error, but not a write to a socket that has just closed."""
        if isinstance(value, WebSocketClosedError) and (self.ws_connection is None or self.ws_connection.is_closing()):
            logger.debug("%s: the WebSocket was closed before it was written to.", self._request_summary())
        else:
            super().log_exception(typ, value, tb)

    def get_websocket_protocol(self) -> Any:
        """Return the handshake on which Tornado's `get` accepts the connection; None for a version other than 13."""
        return _Handshake() if self.request.headers.get("Sec-WebSocket-Version") == "13" else None

    async def join(self, *names: str, alias: str = "default", member: str = "") -> None:
        """Write every message of these channels to the socket, as JSON text, until it closes or leaves.

        Args:
            alias: The entry of CHANNELS.
            member: The member that is present there, for `channels.members(name)`, such as a user's id; by default each
                socket is a separate member.

        Raises:
            HTTPError: 403: `can_join` returned False for a name.
            Unavailable: The channels' store does not respond.
        """
        member = member or uuid.uuid4().hex
        check_name(member)
        for name in names:
            may_join: object = self.can_join(name)
            if not (await may_join if inspect.isawaitable(may_join) else may_join):
                raise HTTPError(403, "%s may not join %r", self._request_summary(), name)
            await join_channel(self, channels[alias], name, member)

    async def leave(self, *names: str, alias: str = "default") -> None:
        """Undo `join`; names that were not joined are ignored."""
        for name in names:
            await leave_channel(self, channels[alias], name)

    async def can_join(self, name: str) -> bool:
        """Return whether this socket may join the channel *name*; override it if clients choose the name.

        Plain or `async def`.
        """
        return True

    def on_close(self) -> Awaitable[None] | None:  # type: ignore[override]  # plain in Tornado
        """Run once after the socket has closed, with `close_code` and `close_reason` set; plain or `async def`."""
        return None

    def on_connection_close(self) -> None:
        """End the socket's protocol and call `on_close`, once."""
        if self.ws_connection is not None:
            self.ws_connection.on_connection_close()
            self.ws_connection = None
        if not self._on_close_called:
            self._on_close_called = True
            token = enter_message(None)
            self._closing = _in_message(self, self.on_close)
            leave_message(token)
            self.__dict__.pop("ui", None)  # it refers to the handler; nothing is rendered any more

    def _detach_to(self, connection: WebSocketConnection) -> None:
        self._response_state = self._response_state.after["release"]
        self._is_detached = True
        self.request.connection.detach_to(connection)


class _Handshake:
    """A handshake that Tornado's `get` has checked; accepts the connection and runs it."""

    async def accept_connection(self, handler: WebSocketHandler) -> None:
        """Respond with 101 and serve the socket until it closes; 400 for an invalid key."""
        accept = accept_value(handler.request.headers.get("Sec-WebSocket-Key", ""))
        if accept is None:
            handler.set_status(400)
            handler.finish("Missing or invalid WebSocket headers.")
            return
        connection = self._negotiate(handler)
        handler.clear_header("Content-Type")
        handler.set_status(101)
        handler.set_header("Upgrade", "websocket")
        handler.set_header("Connection", "Upgrade")
        handler.set_header("Sec-WebSocket-Accept", accept)
        handler.finish()
        handler.ws_connection = connection
        try:
            handler._detach_to(connection)
            await close_sessions()
            await self._serve(handler, connection)
        except StreamClosedError:  # the client left before the response
            pass
        finally:
            handler.on_ws_connection_close(connection.close_code, connection.close_reason)
            if handler._closing is not None:
                await handler._closing
            enter_message(None)

    def _negotiate(self, handler: WebSocketHandler) -> WebSocketConnection:
        headers = handler.request.headers
        offered = [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
        chosen = handler.select_subprotocol(offered)
        if chosen:
            if chosen not in offered:
                raise ValueError(f"select_subprotocol returned {chosen!r}; the client offered {offered!r}.")
            handler.set_header("Sec-WebSocket-Protocol", chosen)
        extensions = ",".join(headers.get_list("Sec-WebSocket-Extensions"))
        deflate, accepted = negotiate_deflate(extensions, handler.get_compression_options()) or (None, "")
        if accepted:
            handler.set_header("Sec-WebSocket-Extensions", accepted)
        connection = WebSocketConnection(
            _Calls(handler),
            functools.partial(report_error, handler),
            max_message_bytes=handler.max_message_size,
            deflate=deflate,
            ping_interval=handler.ping_interval or 0,
            ping_timeout=handler.ping_timeout,
        )
        connection.selected_subprotocol = chosen
        return connection

    async def _serve(self, handler: WebSocketHandler, connection: WebSocketConnection) -> None:
        if end := handler.application.sockets_end:  # a close code is more informative than a refused handshake
            handler._on_close_called = True
            connection.fail(*end)
            await connection.run()
            return
        connection.start_pinging()
        try:
            opening = _in_message(handler, handler.open, *handler.open_args, **handler.open_kwargs)
            if opening is not None:
                await opening
        except BaseException as exc:
            if is_imposed(exc):
                connection.abort()
                raise
            await connection.fail_with(exc)
        else:
            await connection.run()


class _Calls:
    """The handler's methods as called by the connection, each call in its own scope.

    PERF: same as `_in_message`, without a second coroutine for a message: -0.5 us (benchmarks, websocket-echo).
    """

    __slots__ = ("_handler", "_scope", "_task")

    def __init__(self, handler: WebSocketHandler) -> None:
        self._handler = handler
        self._scope = MessageScope()
        self._task = asyncio.current_task()

    def on_message(self, message: Any) -> Any:
        self._scope = scope = MessageScope()
        enter_message(scope)
        return self._handler.on_message(message)

    def on_ping(self, data: bytes) -> Any:
        self._begin()
        return self._handler.on_ping(data)

    def on_pong(self, data: bytes) -> Any:
        self._begin()
        return self._handler.on_pong(data)

    def _begin(self) -> None:
        self._scope = scope = MessageScope()
        enter_message(scope)

    def end_call(self, error: BaseException | None = None) -> Awaitable[None] | None:
        scope = self._scope
        if error is None:
            return None if scope.close_if_empty() else _end_message(self._handler, scope, None, None)
        enter_message(None)  # the exception hooks that follow run in the request's scope
        scope.note_failure(error)
        return None if scope.close_if_empty() else scope.aclose()

    def on_lost(self, *, is_calling: bool) -> None:
        handler, task = self._handler, self._task
        if task is None or handler not in handler.application.open_sockets:  # the request has ended
            return
        if handler.cancel_on_disconnect and is_calling and not handler._on_close_called:
            task.cancel()
        seconds = handler._time_limit()
        if seconds:
            if handler._timer is not None:
                handler._timer.cancel()
            handler._timer = asyncio.get_running_loop().call_later(seconds, _cancel_late, handler, task, seconds)


def _cancel_late(handler: WebSocketHandler, task: asyncio.Task[object], seconds: float) -> None:
    logger.warning("%s is cancelled: its client left %g s ago.", handler._request_summary(), seconds)
    task.cancel()


def _in_message(
    handler: WebSocketHandler, call: Callable[..., object], *args: object, **kwargs: object
) -> Awaitable[None] | None:
    """Call a method in a new `MessageScope`; return an awaitable for the rest of both, if anything remains."""
    scope = MessageScope()
    enter_message(scope)
    waits_for = error = None
    try:
        waits_for = call(*args, **kwargs)
    except BaseException as exc:
        if scope.close_if_empty():
            enter_message(None)
            raise
        error = exc
    if waits_for is None and scope.close_if_empty():
        return None
    return _end_message(handler, scope, waits_for, error)


async def _end_message(
    handler: WebSocketHandler, scope: MessageScope, waits_for: Any, error: BaseException | None
) -> None:
    enter_message(scope)  # `on_close` may have been called in another context
    try:
        if error is not None:
            raise error
        if waits_for is not None:
            await (waits_for if hasattr(waits_for, "__await__") else convert_yielded(waits_for))
        if not scope.close_if_empty():
            await scope.settle(Outcome(handler, None, has_returned=True))
    except BaseException as exc:
        scope.note_failure(exc)
        raise
    finally:
        enter_message(None)
        if not scope.close_if_empty():
            await scope.aclose()


def _refuse_once_open(name: str) -> Callable[..., object]:
    """Return the method *name* of `WebHandler`, made to raise once the socket is open, as in Tornado."""
    method = getattr(WebHandler, name)

    @functools.wraps(method)
    def checked(self: WebSocketHandler, *args: object, **kwargs: object) -> object:
        if self._is_detached:
            raise RuntimeError("This method has no meaning once a WebSocket is open. Use write_message or close.")
        return method(self, *args, **kwargs)

    return checked


for _name in _NOT_FOR_SOCKETS:
    setattr(WebSocketHandler, _name, _refuse_once_open(_name))


async def broadcast(handlers: Iterable[_TornadoWebSocketHandler], message: Any, *, binary: bool = False) -> int:
    """Send one message to many sockets; closing ones are skipped.

    The message is framed once, and compressed once for all connections with equal settings: without references to
    earlier messages. Every few milliseconds other tasks run. Clients that do not read are not waited for; see
    `write_message`.

    Args:
        message: str, bytes, or a dict, which is sent as JSON.

    Returns:
        The number of sockets to which it was sent.

    Raises:
        TypeError: The message is of another type.
    """
    payload = payload_of(message)
    frames: dict[object, bytes] = {}
    sent = 0
    loop = asyncio.get_running_loop()
    slice_ends, slice_left = loop.time() + _SLICE_SECONDS, _SLICE_BYTES
    for handler in list(handlers):
        connection: Any = handler.ws_connection
        try:
            if isinstance(connection, WebSocketConnection):
                deflate = connection.deflate
                settings = None if deflate is None else deflate.settings
                frame = frames.get(settings)
                if frame is None:
                    frame = frames[settings] = await _frame_of(payload, binary, settings)
                connection.send_frame(frame)
                if deflate is not None:
                    deflate.restart()
                slice_left -= len(frame) + _WRITE_BYTES
            else:  # a plain Tornado handler, or a socket that is not open
                handler.write_message(payload, binary)
                slice_left -= len(payload) + _WRITE_BYTES
        except WebSocketClosedError:
            continue
        sent += 1
        if slice_left <= 0 or loop.time() >= slice_ends:
            await asyncio.sleep(0)
            slice_ends, slice_left = loop.time() + _SLICE_SECONDS, _SLICE_BYTES
    return sent


async def _frame_of(payload: bytes, binary: bool, settings: tuple[int, int, int] | None) -> bytes:
    """Return the frame for all connections with these settings of compression; other tasks run meanwhile."""
    opcode = BINARY if binary else TEXT
    if settings is None:
        return frame_of(opcode, payload)
    parts: list[bytes] = []
    for part in compressed_parts(payload, settings):
        if parts:
            await asyncio.sleep(0)
        parts.append(part)
    return frame_of(opcode, b"".join(parts), is_compressed=True)
