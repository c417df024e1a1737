"""gzip request bodies, unpacked piece by piece so that a bomb is seen before it is large.

Begin with `Inflater.inflate`.
"""

import zlib
from collections.abc import Iterator

__all__ = ["InflateError", "Inflater"]


class InflateError(ValueError):
    """The body is not gzip, or it ends too early."""


class Inflater:
    """Unpacks one gzip body, which may be several members one after another."""

    __slots__ = ("_engine", "_has_begun", "_piece_size")

    def __init__(self, piece_size: int) -> None:
        self._piece_size = piece_size
        self._engine = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._has_begun = False

    def inflate(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* unpacks to, in pieces of at most `piece_size` bytes.

        Raises:
            InflateError: It is not gzip.
        """
        is_full = False
        while data or is_full:
            if self._engine.eof:  # the next member
                self._engine = zlib.decompressobj(16 + zlib.MAX_WBITS)
            self._has_begun = True
            try:
                piece = self._engine.decompress(data, self._piece_size)
            except zlib.error as exc:
                raise InflateError(f"The body is not gzip: {exc}.") from None
            data = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
            # A full piece may leave output behind in the engine although all input is taken.
            is_full = len(piece) == self._piece_size and not self._engine.eof
            if piece:
                yield piece

    def end(self) -> None:
        """Raise `InflateError` when the last member is not complete."""
        if self._has_begun and not self._engine.eof:
            raise InflateError("The gzip body ends too early.")
