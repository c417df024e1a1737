"""What redis-py keeps under private names."""

from asyncio import StreamReader, StreamWriter
from typing import Any

from torngas_aio._compat.stdlib import has_buffered

__all__ = ["take_streams"]


def take_streams(connection: Any) -> tuple[StreamReader, StreamWriter]:
    """Take the streams of an open *connection* away; to redis-py it is closed from then on.

    Raises:
        ConnectionError: It is closed already, or holds bytes that were not asked for.
    """
    reader, writer = connection._reader, connection._writer
    if writer is None or writer.transport.is_closing() or reader.at_eof() or has_buffered(reader):
        raise ConnectionError("the connection ended right after it was made")
    connection._reader = connection._writer = None
    return reader, writer
