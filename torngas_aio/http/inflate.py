"""gzip request bodies, unpacked in bounded steps so that a bomb is seen before it is large.

    own server          http/body.py            one step a turn of the loop, the limit checked after each
    Tornado's server    http/tornado_door.py    the same, in place of Tornado's own unpacking
    ASGI                nothing is unpacked: servers hand bodies on as they came

Begin with `Inflater.inflate`.
"""

import zlib
from collections.abc import Iterator

__all__ = ["MAX_MEMBERS", "TURN_BYTES", "InflateError", "Inflater"]

MAX_MEMBERS = 16
"""gzip members that one body may consist of."""

TURN_BYTES = 256 * 1024
"""Bytes, packed and unpacked together, that are worked on in one turn of the loop: about 1 ms."""

_STEP = 16 * 1024  # packed bytes that zlib gets at once, so that the rest it hands back is short


class InflateError(ValueError):
    """The body is not gzip, has too many members, or ends too early."""


class Inflater:
    """Unpacks one gzip body, which may be several members one after another."""

    __slots__ = ("_engine", "_members", "_piece_size")

    def __init__(self, piece_size: int) -> None:
        self._piece_size = piece_size
        self._engine = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._members = 0

    def inflate(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* unpacks to, in pieces of at most `piece_size` bytes; a step may yield b"".

        Raises:
            InflateError: It is not gzip, or has more than `MAX_MEMBERS` members.
        """
        view = memoryview(data)
        is_full = False
        while view or is_full:
            if not self._members or self._engine.eof:
                self._begin_member()
            step = view[:_STEP]
            try:
                piece = self._engine.decompress(step, self._piece_size)
            except zlib.error as exc:
                raise InflateError(f"The body is not gzip: {exc}.") from None
            has_ended = self._engine.eof
            view = view[len(step) - len(self._engine.unused_data if has_ended else self._engine.unconsumed_tail) :]
            # A full piece may leave output behind in the engine although all input is taken.
            is_full = len(piece) == self._piece_size and not has_ended
            yield piece

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise InflateError(f"The gzip body has more than {MAX_MEMBERS} members.")
        if self._members > 1:
            self._engine = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def end(self) -> None:
        """Raise `InflateError` when the last member is not complete."""
        if self._members and not self._engine.eof:
            raise InflateError("The gzip body ends too early.")
