"""One connection to one memcached: aiomcache's client on a pool of exactly one connection.

    aiomcache     get multi_get gets set add cas delete touch incr version
    added here    arithmetic, many writes in one round trip, and the meta commands (memcached 1.6)

aiomcache's own pool is not used: after a cancelled call it reuses the connection although the reply is still pending,
and if the server dies, callers wait without limit. Its parsers of one-line replies loop without yielding once the
server closes the connection; here that is an error.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, cast

from aiomcache import ClientException, FlagClient
from aiomcache.pool import Connection, MemcachePool

from torngas_aio._compat.aiomcache import validate_key
from torngas_aio._compat.stdlib import has_buffered
from torngas_aio.utils.numbers import parse_integer

__all__ = ["MemcachedLink", "MetaValue", "ServerAnswer"]

_MAX_DIGITS = 20  # of a compare-and-set token: 64 bits, unsigned
READ_LIMIT = 1 << 20  # bytes of a line; data blocks are not limited


class ServerAnswer(Exception):
    """An error line sent by the server; the connection remains usable."""


@dataclass(frozen=True, slots=True)
class MetaValue:
    """The result of a meta get: *data*, its *cas* token and the seconds *left* (-1: no expiry)."""

    data: bytes
    cas: int
    left: int


class MemcachedLink(FlagClient[bytes]):
    """The commands of one connection, one at a time; a caller that interrupts one must `abort` the connection.

    Attributes:
        is_overdue: A first check found its deadline passed.
        is_late: It was closed because its deadline had passed.
        idle_since: When it was last returned to the pool, in the loop's time.
    """

    is_overdue = False
    is_late = False
    idle_since = 0.0

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__("", get_flag_handler=_as_it_is)
        self._connection = Connection(reader, writer)
        self._pool = cast(MemcachePool, _OneConnection(self._connection))

    @classmethod
    async def open(cls, address: tuple[str, int] | str) -> Self:
        """Connect to host and port, or to a unix socket's path."""
        if isinstance(address, str):
            return cls(*await asyncio.open_unix_connection(address, limit=READ_LIMIT))
        return cls(*await asyncio.open_connection(*address, limit=READ_LIMIT))

    @property
    def is_usable(self) -> bool:
        """False if the server has closed the connection or sent unsolicited data."""
        reader, writer = self._connection
        return not (has_buffered(reader) or reader.at_eof() or reader.exception() is not None or writer.is_closing())

    @property
    def has_ended(self) -> bool:
        """True if the server has closed the connection and all its data was read."""
        return self._connection.reader.at_eof()

    def abort(self) -> None:
        """Close the connection at once, even during a call."""
        self._connection.writer.transport.abort()

    async def store_each(self, command: bytes, items: Iterable[tuple[bytes, bytes]], exptime: int) -> list[bytes]:
        """Store every key's data with *command* (set, add) in one round trip; return the replies."""
        listed = list(items)
        for key, data in listed:
            self._connection.writer.write(b"%b %b 0 %d %d\r\n%b\r\n" % (command, key, exptime, len(data), data))
        return await self._lines(len(listed))

    async def delete_each(self, keys: Iterable[bytes]) -> list[bytes]:
        """Delete every key in one round trip; return the replies."""
        listed = list(keys)
        self._connection.writer.write(b"".join([b"delete %b\r\n" % key for key in listed]))
        return await self._lines(len(listed))

    async def arithmetic(self, command: bytes, key: bytes, delta: int) -> bytes:
        """Send incr or decr with a delta of 0 or more; return the reply: digits, NOT_FOUND or an error line."""
        return await self._execute_simple_command(self._connection, b"%b %b %d\r\n" % (command, key, delta))

    async def meta_get(self, key: bytes, *flags: bytes) -> MetaValue | None:
        """Return data, token and remaining seconds of *key*, None if it is absent; needs memcached 1.6.

        Args:
            flags: Further meta flags, such as b"T60" to set a new timeout in the same command.

        Raises:
            ServerAnswer: The server does not know the command, or rejects it.
        """
        line = await self._execute_simple_command(
            self._connection, b" ".join([b"mg", key, b"v", b"c", b"t", *flags, b"\r\n"])
        )
        words = line.split()
        if words[:1] == [b"EN"]:
            return None
        if words[:1] != [b"VA"]:
            raise ServerAnswer(line.decode("utf-8", "replace"))
        data = await self._block(words[1] if len(words) > 1 else b"")
        told = {word[:1]: word[1:] for word in words[2:]}
        return MetaValue(data, _number(told.get(b"c", b"")), _number(told.get(b"t", b"")))

    async def meta_set(self, key: bytes, data: bytes, cas: int, left: int) -> bool:
        """Store *data* if *cas* is still the key's token; *left* as in `MetaValue`."""
        flags = b"C%d T%d" % (cas, 0 if left < 0 else max(left, 1))
        line = await self._execute_simple_command(
            self._connection, b"ms %b %d %b\r\n%b\r\n" % (key, len(data), flags, data)
        )
        return _is_status(line, b"HD", b"EX", b"NF", b"NS")

    async def meta_delete(self, key: bytes, cas: int) -> bool:
        """Delete *key* if *cas* is still its token."""
        line = await self._execute_simple_command(self._connection, b"md %b C%d\r\n" % (key, cas))
        return _is_status(line, b"HD", b"EX", b"NF")

    async def _lines(self, count: int) -> list[bytes]:
        await self._connection.writer.drain()
        return [await self._line(self._connection.reader) for _ in range(count)]

    async def _multi_get(self, conn: Connection, *keys: bytes, with_cas: bool = True) -> Any:
        """Override aiomcache's reader for `get`, `gets` and `multi_get`, with strict parsing of numbers."""
        if not keys:
            return {}, {}
        for key in keys:
            validate_key(self, key)
        conn.writer.write(b"%b %b\r\n" % (b"gets" if with_cas else b"get", b" ".join(keys)))
        found: dict[bytes, bytes] = {}
        tokens: dict[bytes, int | None] = {}
        while (line := await self._line(conn.reader)) != b"END":
            match line.split():
                case [b"VALUE", key, _, size, *cas] if key in keys and key not in found:
                    found[key] = await self._block(size)
                    tokens[key] = _number(cas[0]) if with_cas and cas else None
                case _:
                    raise ClientException("get failed", line)
        return found, tokens

    async def _block(self, size: bytes) -> bytes:
        data = await self._connection.reader.readexactly(_number(size) + 2)
        return data[:-2]

    async def _execute_simple_command(self, conn: Connection, raw_command: bytes) -> bytes:
        conn.writer.write(raw_command)
        await conn.writer.drain()
        return await self._line(conn.reader)

    @staticmethod
    async def _line(reader: asyncio.StreamReader) -> bytes:
        line = await reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        return line[:-2]


class _OneConnection:
    """The pool of aiomcache's client, reduced to one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def acquire(self) -> Connection:
        return self._connection

    def release(self, connection: Connection) -> None:
        """Do nothing: `MemcachedPool` decides when a connection is free."""


async def _as_it_is(data: bytes, flags: int) -> bytes:
    """Return *data* unchanged whatever its flags; the serializer decides whether it can be read."""
    return data


def _number(digits: bytes) -> int:
    number = parse_integer(digits, _MAX_DIGITS)
    if number is None:
        raise ConnectionResetError(f"the server sent {digits[:40]!r} instead of a number")
    return number


def _is_status(line: bytes, yes: bytes, *no: bytes) -> bool:
    word = line[:2]
    if word != yes and word not in no:
        raise ServerAnswer(line.decode("utf-8", "replace"))
    return word == yes
