"""Private names of redis-py."""

from asyncio import StreamReader, StreamWriter
from typing import Any

from torngas_aio._compat.stdlib import has_buffered

__all__ = ["take_streams"]


def take_streams(connection: Any) -> tuple[StreamReader, StreamWriter]:
    """Detach and return the streams of an open *connection*; redis-py then regards it as closed.

    Raises:
        ConnectionError: It is closed already, or has unexpected bytes in its buffer.
    """
    reader, writer = connection._reader, connection._writer
    if writer is None or writer.transport.is_closing() or reader.at_eof() or has_buffered(reader):
        raise ConnectionError("the connection ended right after it was made")
    connection._reader = connection._writer = None
    return reader, writer
