"""WebSocket messages from and to bytes, without I/O: the server's side of RFC 6455, with compression (`deflate`).

    bytes ── feed ──► MessageReader ── next ──► (TEXT, str) (BINARY, bytes) (PING, bytes) (PONG, bytes)
                           │                    (CLOSE, (code, reason))
                           └─ ProtocolError(code): the code of the close frame to send
    frame_of(opcode, payload) ──► bytes

Invalid UTF-8 is refused as soon as its first bad byte has arrived, a message that is too large as soon as its
frame's header has arrived.
"""

import codecs
import io
import struct
from typing import Any

from torngas_aio._compat.tornado import websocket_mask as mask
from torngas_aio.http.deflate import Deflate, ProtocolError

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "UNFINISHED",
    "MessageReader",
    "ProtocolError",
    "close_frame",
    "frame_of",
    "is_close_code",
]

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
UNFINISHED: tuple[int, Any] = (0x0, None)
"""The result for a fragment that does not end its message."""

_CONTINUATION = 0x0
_FINAL = 0x80
_COMPRESSED = 0x40
_RESERVED = 0x30
_IS_CONTROL = 0x8
_MAX_CONTROL = 125
_WHOLE_MESSAGES = frozenset({0x81, 0x82})  # first bytes: final, not compressed, text or binary

# SPEC: RFC 6455 7.4 and the IANA registry: codes allowed in a close frame; 1004-1006 and 1015 never are.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})

_medium_header = struct.Struct("!BBH").pack
_long_header = struct.Struct("!BBQ").pack
_code = struct.Struct("!H")


def is_close_code(code: int) -> bool:
    """Return whether *code* is allowed in a close frame."""
    return code in _CLOSE_CODES or 3000 <= code < 5000


def frame_of(opcode: int, payload: bytes, *, is_compressed: bool = False) -> bytes:
    """Return one complete, unmasked frame."""
    first = _FINAL | opcode | (_COMPRESSED if is_compressed else 0)
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return _medium_header(first, 126, size) + payload
    return _long_header(first, 127, size) + payload


def close_frame(code: int | None = None, reason: str | None = None) -> bytes:
    """Return a close frame.

    Args:
        code: None for a frame without one, or for 1000 if a reason is given.

    Raises:
        ValueError: *code* may not be sent, or *reason* is longer than 123 bytes in UTF-8.
    """
    if code is None and reason is None:
        return frame_of(CLOSE, b"")
    if code is None:
        code = 1000
    if not is_close_code(code):
        raise ValueError(
            f"A WebSocket cannot be closed with code {code!r}. Use 1000, 1001, another registered code, or 3000-4999."
        )
    payload = _code.pack(code) + (reason or "").encode()
    if len(payload) > _MAX_CONTROL:
        raise ValueError(f"The reason of a WebSocket's end has at most 123 bytes; this one has {len(payload) - 2}.")
    return frame_of(CLOSE, payload)


class MessageReader:
    """An incremental parser from a client's bytes to complete messages.

    Args:
        max_message_bytes: A larger message, compressed or inflated, raises `ProtocolError` 1009.
        deflate: The negotiated compression, if any.
    """

    __slots__ = (
        "_at", "_buffer", "_decoder", "_deflate", "_first", "_is_compressed", "_left", "_mask", "_max_bytes", "_opcode",
        "_parts", "_size",
    )  # fmt: skip

    def __init__(self, max_message_bytes: int, deflate: Deflate | None = None) -> None:
        self._max_bytes = max_message_bytes
        self._deflate = deflate
        self._buffer = b""
        self._at = 0
        self._left = 0  # payload bytes still to come of the frame being read
        self._first = 0  # first byte of that frame
        self._mask = b""
        self._opcode = 0  # of the message being read; 0 between messages
        self._is_compressed = False
        self._size = 0
        self._parts: bytearray | io.StringIO | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> int:
        """Append *data* to the buffer; return how many bytes are still to be parsed."""
        self._buffer = self._buffer[self._at :] + data if self._buffer else data
        self._at = 0
        return len(self._buffer)

    def next(self) -> tuple[int, Any] | None:
        """Return opcode and content of the next message; `UNFINISHED` after a fragment; None if bytes are missing.

        Raises:
            ProtocolError: The client violated the protocol; the reader must not be used again.
        """
        if self._left:
            return self._end_frame(self._first) if self._take_part() else None
        buffer, at = self._buffer, self._at
        available = len(buffer) - at
        if available < 2:
            if not available:
                self._buffer, self._at = b"", 0  # an idle connection keeps no buffer
            return None
        first, second = buffer[at], buffer[at + 1]
        size, start = second & 0x7F, at + 6
        if size >= 126:
            start += 2 if size == 126 else 8
            if available < start - at - 4:
                self._check_header(first, second, 0)
                return None
            size = buffer[at + 2] << 8 | buffer[at + 3] if size == 126 else int.from_bytes(buffer[at + 2 : at + 10])
        # PERF: a complete message in one frame needs none of the other checks
        is_whole = first in _WHOLE_MESSAGES and not self._opcode
        if not is_whole or second < 0x80 or size > self._max_bytes:
            self._check_header(first, second, size)
        end = start + size
        if end > len(buffer):
            return self._begin_part(first, start, size)
        payload = mask(buffer[start - 4 : start], buffer[start:end])
        self._at = end
        if is_whole:
            return first & 0xF, _text_of(payload) if first & TEXT else payload
        return self._take_frame(first, payload)

    def _take_frame(self, first: int, payload: bytes) -> tuple[int, object]:
        """Process one complete frame: a control frame, a compressed one or a fragment."""
        if first & _IS_CONTROL:
            return _control(first & 0xF, payload)
        self._begin_frame(first)
        self._add(payload)
        return self._end_frame(first)

    def _check_header(self, first: int, second: int, size: int) -> None:
        opcode = first & 0xF
        if not second & 0x80:
            raise ProtocolError(1002, "A client's frame is not masked.")  # SPEC: RFC 6455 5.1
        if first & _RESERVED or (first & _COMPRESSED and (self._deflate is None or opcode not in (TEXT, BINARY))):
            raise ProtocolError(1002, "A reserved bit is set.")
        if opcode & _IS_CONTROL:
            if opcode > PONG:
                raise ProtocolError(1002, f"The opcode {opcode} is unknown.")
            if size > _MAX_CONTROL or not first & _FINAL:
                raise ProtocolError(1002, "A control frame is too long or fragmented.")
            return
        if opcode > BINARY:
            raise ProtocolError(1002, f"The opcode {opcode} is unknown.")
        if (opcode == _CONTINUATION) != bool(self._opcode):
            raise ProtocolError(1002, "A fragment is out of order.")
        if self._size + size > self._max_bytes:
            raise ProtocolError(1009, f"The message is larger than {self._max_bytes} bytes.")

    # A message in parts

    def _begin_part(self, first: int, start: int, size: int) -> tuple[int, object] | None:
        """Begin a data frame whose payload is incomplete; a control frame is only processed once complete."""
        if start > len(self._buffer) or first & _IS_CONTROL:
            return None
        self._first = first
        self._mask = self._buffer[start - 4 : start]
        self._left = size
        self._at = start
        self._begin_frame(first)
        self._take_part()
        return None

    def _take_part(self) -> bool:
        """Process the buffered bytes of the current frame; return whether it is complete."""
        part = self._buffer[self._at : self._at + self._left]
        self._at += len(part)
        self._left -= len(part)
        self._add(mask(self._mask, part))
        turn = len(part) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return not self._left

    def _begin_frame(self, first: int) -> None:
        opcode = first & 0xF
        if not opcode:
            return
        self._opcode = opcode
        self._is_compressed = bool(first & _COMPRESSED)
        if opcode == TEXT and not self._is_compressed:
            self._parts = io.StringIO()
            self._decoder = _Utf8Decoder("strict")
        else:
            self._parts = bytearray()

    def _add(self, payload: bytes) -> None:
        self._size += len(payload)
        if isinstance(self._parts, io.StringIO):
            assert self._decoder is not None
            try:
                self._parts.write(self._decoder.decode(payload))
            except UnicodeDecodeError:
                raise ProtocolError(1007, "A text is not UTF-8.") from None
        else:
            assert self._parts is not None
            self._parts += payload

    def _end_frame(self, first: int) -> tuple[int, object]:
        if not first & _FINAL:
            return UNFINISHED
        opcode, parts, decoder = self._opcode, self._parts, self._decoder
        self._opcode = self._size = 0
        self._parts = self._decoder = None
        if isinstance(parts, io.StringIO):
            assert decoder is not None
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                raise ProtocolError(1007, "A text is not UTF-8.") from None
            return opcode, parts.getvalue()
        assert parts is not None
        content = bytes(parts)
        if self._is_compressed:
            assert self._deflate is not None
            content = self._deflate.inflate(content, self._max_bytes)
        return opcode, _text_of(content) if opcode == TEXT else content


_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


def _text_of(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(1007, "A text is not UTF-8.") from None


def _control(opcode: int, payload: bytes) -> tuple[int, object]:
    if opcode != CLOSE:
        return opcode, payload
    if not payload:
        return CLOSE, (None, None)
    if len(payload) == 1 or not is_close_code(_code.unpack_from(payload)[0]):
        raise ProtocolError(1002, "The code of a close frame is not a valid one.")
    return CLOSE, (_code.unpack_from(payload)[0], _text_of(payload[2:]) or None)
