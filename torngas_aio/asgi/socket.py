"""A WebSocket over ASGI, for handlers that use Tornado's protocol.

Tornado's `WebSocketHandler` responds with 101, takes the connection over and reads and writes frames. An ASGI
server exchanges messages instead, so frames are converted in both directions:

    handler ── frames ──► transport ── decoded ──► await send({'type': 'websocket.send', ...})
    await receive() ── encoded as a client's frames ──► stream ── handler

SPEC: RFC 6455 5.2.
"""

import asyncio
import os
import struct
from collections.abc import Iterable, MutableMapping
from typing import Any

from torngas_aio._compat.tornado import websocket_mask  # pyright: ignore[reportPrivateImportUsage]
from torngas_aio.asgi.exchange import LAST_SECONDS, HTTPExchange, Receive, Send
from torngas_aio.asgi.outbox import Message
from torngas_aio.http.base import Successor
from torngas_aio.http.stream import StreamProtocol, TransportStream

__all__ = ["SocketExchange"]

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL = 0x80
_NO_CODE, _NO_FRAME = 1005, 1006  # SPEC: RFC 6455 7.4.1, never sent in a frame
_MAX_REASON = 123
_HOP_BY_HOP = frozenset({"upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol"})


class SocketExchange(HTTPExchange):
    """A handshake, then a socket: a response other than 101 refuses it."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.is_accepted = False
        self._is_closed = False
        self._successor: Successor | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()

    @property
    def _is_over(self) -> bool:
        return self.is_gone or (self._is_closed if self.is_accepted else self.is_finished)

    async def _listen(self) -> None:
        while not self.is_gone:
            await self._may_read.wait()
            message = await self._receive()
            if message["type"] == "websocket.receive":
                if self._successor is not None:
                    self._successor.data_received(_frame_of(message))
            elif message["type"] == "websocket.disconnect":
                await asyncio.sleep(0)  # the handler first processes earlier messages
                self._is_closed = True
                if self._successor is not None:
                    self._successor.data_received(_close_frame_of(message))
                self._leave()

    def _note_lost(self) -> None:
        self._outbox.lose()
        self.let_read(True)  # the client's close frame, with its code, is still to be received
        asyncio.get_running_loop().call_later(LAST_SECONDS, self._leave)

    def _leave(self) -> None:
        super()._leave()
        if self._successor is not None:
            self._successor.connection_lost(None)

    def let_read(self, is_allowed: bool) -> None:
        """Receive messages, or pause while the handler's buffer is full."""
        (self._may_read.set if is_allowed else self._may_read.clear)()

    def _start(self, status: int, fields: Iterable[tuple[str, str]]) -> Message:
        if status != 101:
            return self._refusal(super()._start(status, fields))
        self.is_accepted = True
        self.status = status
        pairs = list(fields)
        protocol = next((value for name, value in pairs if name.lower() == "sec-websocket-protocol"), None)
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in pairs
            if name.lower() not in _HOP_BY_HOP
        ]
        return {"type": "websocket.accept", "subprotocol": protocol, "headers": headers}

    def _refusal(self, start: Message) -> Message:
        if "websocket.http.response" in self.scope.get("extensions", {}):
            return {**start, "type": "websocket.http.response.start"}
        self._is_closed = True
        return {"type": "websocket.close", "code": 1008}  # the server responds with 403

    def _post(self, message: Message) -> "asyncio.Future[None]":
        if message["type"] == "http.response.body":
            if self.is_accepted or self._is_closed:
                return self._outbox.drained()  # there is no body
            message = {**message, "type": "websocket.http.response.body"}
        posted = super()._post(message)
        if self._outbox.is_full and self._successor is not None:
            self._successor.pause_writing()
        return posted

    async def _send_one(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            await self._stop_listening()  # granian loses a close that is sent while a receive is waiting
        await super()._send_one(message)

    async def _send_out(self) -> None:
        await super()._send_out()
        if self._successor is not None and not self.is_gone:
            self._successor.resume_writing()  # PERF: the outbox is empty, the handler may fill it again

    def detach(self) -> TransportStream:
        """Return the stream from which a handler reads frames and to which it writes frames."""
        stream = TransportStream(_Transport(self))
        self.detach_to(StreamProtocol(stream))
        return stream

    def detach_to(self, successor: Successor) -> None:
        """Connect *successor*, which reads and writes frames."""
        self.is_finished = True
        self._successor = successor
        successor.connection_made(_Transport(self))  # type: ignore[arg-type]  # has the methods that a Successor uses
        if self.is_gone:
            successor.connection_lost(None)

    def send_message(self, opcode: int, payload: bytes) -> None:
        """Send the message for one of the handler's frames."""
        if opcode == _TEXT:
            self._post({"type": "websocket.send", "text": payload.decode()})
        elif opcode == _BINARY:
            self._post({"type": "websocket.send", "bytes": payload})
        elif opcode == _PING and self._successor is not None:
            self._successor.data_received(_client_frame(_PONG, payload))  # the ASGI server sends pings itself
        elif opcode == _CLOSE:
            self._close(payload)

    def _close(self, payload: bytes) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1000
        self._post({"type": "websocket.close", "code": code, "reason": payload[2:].decode("utf-8", "replace")})
        if self._successor is not None:
            self._successor.data_received(_client_frame(_CLOSE, payload))

    def end(self) -> None:
        """Close the socket after the handler has closed its stream."""
        if not self._is_closed:
            self._is_closed = True
            self._post({"type": "websocket.close", "code": 1011})  # the handler failed without sending a close frame
        self._close_callback = None
        self.let_read(True)
        self._outbox.stirred.set()

    @property
    def unsent_bytes(self) -> int:
        """Size of the handler's messages that the server has not accepted."""
        return self._outbox.size

    def cut(self) -> None:
        """Close at once, dropping unsent messages; a close frame could not reach a client that does not read."""
        if self._outbox.size:
            self._leave()
        self.end()


class _Transport:
    """The transport to which a handler's stream writes frames."""

    def __init__(self, exchange: SocketExchange) -> None:
        self._exchange = exchange
        self._pending = bytearray()
        self._is_closing = False

    def write(self, data: bytes) -> None:
        self._pending += data
        while (frame := _next_frame(self._pending)) is not None:
            self._exchange.send_message(*frame)

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._exchange.end()

    def abort(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._exchange.cut()

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._exchange.unsent_bytes

    def pause_reading(self) -> None:
        self._exchange.let_read(False)

    def resume_reading(self) -> None:
        self._exchange.let_read(True)

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return default


def _next_frame(pending: bytearray) -> tuple[int, bytes] | None:
    """Remove one complete, unmasked frame from *pending* and return it; None if it is incomplete."""
    if len(pending) < 2:
        return None
    size, start = pending[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(pending) < start:
            return None
        size = int.from_bytes(pending[2:start], "big")
    if len(pending) < start + size:
        return None
    opcode, payload = pending[0] & 0x0F, bytes(pending[start : start + size])
    del pending[: start + size]
    return opcode, payload


def _frame_of(message: Message) -> bytes:
    text = message.get("text")
    if text is not None:
        return _client_frame(_TEXT, text.encode())
    return _client_frame(_BINARY, message["bytes"])


def _close_frame_of(message: Message) -> bytes:
    """Return the client's close frame; b"" if it left without one."""
    code = message.get("code") or _NO_CODE
    if code == _NO_FRAME:
        return b""
    if code == _NO_CODE:
        return _client_frame(_CLOSE, b"")
    reason = (message.get("reason") or "").encode()[:_MAX_REASON].decode("utf-8", "ignore").encode()
    return _client_frame(_CLOSE, struct.pack(">H", code) + reason)


def _client_frame(opcode: int, payload: bytes) -> bytes:
    """Return one frame as sent by a client: masked. SPEC: RFC 6455 5.3"""
    size = len(payload)
    if size < 126:
        head = struct.pack("BB", _FINAL | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", _FINAL | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", _FINAL | opcode, 0x80 | 127, size)
    mask = os.urandom(4)
    return head + mask + websocket_mask(mask, payload)
