"""aiomysql's connection with its own escape function, because PyMySQL's names and faults differ between versions.

    bytes, bytearray, memoryview    aiomysql 0.3.2 calls a function that PyMySQL 1.2 has removed (aiomysql#1080)
    negative intervals              PyMySQL 1.1 writes -1 h 30 min as -2:30
    other types as text, as UUID    escaped with backslashes, even if the server accepts none (NO_BACKSLASH_ESCAPES)

Both database layers connect through this module, and use it for the private parts of a connection.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import datetime as dt
import decimal
import time
from typing import Any

import aiomysql

__all__ = ["connect", "is_ended", "transport_of"]

_BYTES: tuple[type[Any], ...] = (bytes, bytearray, memoryview)
_BY_PYMYSQL = (int, float, decimal.Decimal, dt.date, dt.time, dt.timedelta, time.struct_time, list, tuple, set, dict)


class _Connection(aiomysql.Connection):  # type: ignore[misc]  # aiomysql is untyped
    def escape(self, obj: Any) -> str:
        if isinstance(obj, _BYTES):
            return f"_binary X'{bytes(obj).hex()}'"
        if isinstance(obj, dt.timedelta) and obj.days < 0:
            return f"'-{super().escape(-obj)[1:]}"
        if obj is None or isinstance(obj, (str, *_BY_PYMYSQL)):
            escaped: str = super().escape(obj)
            return escaped
        return self.escape(str(obj))


def transport_of(connection: Any) -> Any:
    """Return the asyncio transport of a connection, None after the client has closed it."""
    return None if connection._writer is None else connection._writer.transport


def is_ended(connection: Any) -> bool:
    """Return whether the connection is known to be dead, without a query."""
    reader, transport = connection._reader, transport_of(connection)
    return reader is None or transport is None or reader.eof_received or transport.is_closing()


async def connect(**options: Any) -> Any:
    """Return an open connection; same arguments and exceptions as `aiomysql.connect`."""
    connection: Any = _Connection(**options)
    try:
        await connection._connect()
    except BaseException:  # aiomysql closes it after an Exception, but not after a cancellation
        connection.close()
        raise
    return connection
