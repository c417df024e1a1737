"""permessage-deflate (RFC 7692) on the server's side, without I/O.

Sec-WebSocket-Extensions ── negotiate_deflate ──► Deflate and the accepting field value
Deflate.compress, Deflate.inflate     message payloads of one connection
compressed_parts                      a message payload for many connections
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from torngas_aio.utils.text import TOKEN

__all__ = ["Deflate", "ProtocolError", "compressed_parts", "negotiate_deflate"]

_PART_BYTES = 32 * 1024  # some milliseconds of zlib's work at its slowest level


class ProtocolError(Exception):
    """The client violated the protocol; the connection is closed with *code*."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Deflate:
    """permessage-deflate as negotiated for one connection.

    Args:
        level: zlib's compression level, -1 to 9.
        mem_level: zlib's memory level, 1 to 9.
        window_bits: Base-two logarithm of the window for sent messages, 9 to 15.
        resets_sent: Each sent message is compressed independently: no state is kept between messages.
        resets_received: The client does the same with its messages.

    Attributes:
        settings: Level, memory level and window bits: all connections with equal settings can share a frame.
    """

    __slots__ = ("_compressor", "_decompressor", "resets_received", "resets_sent", "settings")

    def __init__(
        self, level: int, mem_level: int, window_bits: int, *, resets_sent: bool, resets_received: bool
    ) -> None:
        self.settings = level, mem_level, window_bits
        self.resets_sent = resets_sent
        self.resets_received = resets_received
        self._compressor: Any = None  # created with the first message, to keep idle connections small
        self._decompressor: Any = None

    def compress(self, payload: bytes) -> bytes:
        """Return *payload* as the payload of a compressed frame."""
        compressor = self._compressor
        if compressor is None:
            compressor = _compressor(self.settings)
            if not self.resets_sent:
                self._compressor = compressor
        data: bytes = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return data[:-4]  # SPEC: RFC 7692 7.2.1: the final 00 00 ff ff is removed

    def restart(self) -> None:
        """Compress later messages without references to earlier ones. Required after a frame of `compressed_parts`.

        The client's window holds that frame's message, which this compressor has not seen.
        """
        self._compressor = None

    def inflate(self, payload: bytes, max_bytes: int) -> bytes:
        """Return the message of the compressed *payload*.

        Raises:
            ProtocolError: It is not deflated (1007), or larger than *max_bytes* (1009).
        """
        decompressor = self._decompressor or zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            message: bytes = decompressor.decompress(payload + b"\0\0\xff\xff", max_bytes + 1)
        except zlib.error:
            raise ProtocolError(1007, "A message cannot be inflated.") from None
        if len(message) > max_bytes:
            raise ProtocolError(1009, f"The message is larger than {max_bytes} bytes.")
        # SPEC: RFC 7692 7.2.3.4: a message may end in a final block; the next one begins a new stream.
        self._decompressor = None if self.resets_received or decompressor.eof else decompressor
        return message


def compressed_parts(payload: bytes, settings: tuple[int, int, int]) -> Iterator[bytes]:
    """Yield the parts of *payload*, compressed for any connection that has *settings*; each takes a short time."""
    compressor = _compressor(settings)
    last = max(len(payload) - 1, 0) // _PART_BYTES * _PART_BYTES
    for at in range(0, last, _PART_BYTES):
        yield compressor.compress(payload[at : at + _PART_BYTES])
    yield compressor.compress(payload[last:]) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


def _compressor(settings: tuple[int, int, int]) -> Any:
    level, mem_level, window_bits = settings
    return zlib.compressobj(level, zlib.DEFLATED, -window_bits, mem_level)


def negotiate_deflate(offers: str, options: Mapping[str, object] | None) -> tuple[Deflate, str] | None:
    """Return a `Deflate` for the first acceptable offer of permessage-deflate, and the field value that accepts it.

    An offer that is malformed, or that zlib cannot meet (a window of 8 bits), is skipped.

    Args:
        offers: The client's `Sec-WebSocket-Extensions`.
        options: `compression_level` and `mem_level`, as `get_compression_options` returns them; None disables it.

    Raises:
        ValueError: zlib does not support a given level.
    """
    if options is None:
        return None
    for name, parameters in _extensions_of(offers):
        if name == "permessage-deflate" and parameters is not None:
            accepted = _accept(parameters, options)
            if accepted is not None:
                return accepted
    return None


_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_MAX_OFFERS = 16
_token = re.compile(rf"[ \t]*({TOKEN})[ \t]*")
_value = re.compile(rf'[ \t]*(?:"([^"\\]*)"|({TOKEN}))[ \t]*')


def _extensions_of(offers: str) -> list[tuple[str, dict[str, str | None] | None]]:
    """Return each extension's name and parameters (None if one is repeated); [] for a malformed field."""
    found: list[tuple[str, dict[str, str | None] | None]] = []
    at = 0
    while at < len(offers) and len(found) < _MAX_OFFERS:
        match = _token.match(offers, at)
        if match is None:
            return []
        name, is_doubled, at = match[1], False, match.end()
        parameters: dict[str, str | None] = {}
        while at < len(offers) and offers[at] == ";":
            match = _token.match(offers, at + 1)
            if match is None:
                return []
            parameter, value, at = match[1], None, match.end()
            if at < len(offers) and offers[at] == "=":
                match = _value.match(offers, at + 1)
                if match is None:
                    return []
                value, at = match[1] if match[1] is not None else match[2], match.end()
            is_doubled = is_doubled or parameter in parameters
            parameters[parameter] = value
        if at < len(offers) and offers[at] != ",":
            return []
        at += 1
        found.append((name, None if is_doubled else parameters))
    return found


def _accept(parameters: dict[str, str | None], options: Mapping[str, Any]) -> tuple[Deflate, str] | None:
    """Return the result for the offer *parameters*; None if it must be declined. SPEC: RFC 7692 7.1"""
    answer = "permessage-deflate"
    window_bits = zlib.MAX_WBITS
    for name, value in parameters.items():
        if name in _FLAGS:
            if value is not None:
                return None
            answer += f"; {name}"
        elif name == "server_max_window_bits":
            if value not in _WINDOWS:
                return None
            window_bits = int(value)
            answer += f"; {name}={value}"
        elif name != "client_max_window_bits" or (value is not None and value not in _CLIENT_WINDOWS):
            return None
    level, mem_level = options.get("compression_level", 6), options.get("mem_level", 8)
    if not (-1 <= level <= 9 and 1 <= mem_level <= 9):
        raise ValueError(f"get_compression_options gave {dict(options)!r}: levels are -1 to 9, memory levels 1 to 9.")
    deflate = Deflate(
        level,
        mem_level,
        window_bits,
        resets_sent="server_no_context_takeover" in parameters,
        resets_received="client_no_context_takeover" in parameters,
    )
    return deflate, answer


_WINDOWS = frozenset(map(str, range(9, 16)))
_CLIENT_WINDOWS = _WINDOWS | {"8"}
