"""One connection to one memcached: aiomcache's client, told that it has this connection only.

    aiomcache     get multi_get gets set add cas delete touch incr version
    ours          arithmetic, many writes in one round trip, and the meta commands (memcached 1.6)

aiomcache's own pool is not used: it hands a connection on whose last caller was cancelled, with the answer still to
come, and it lets callers wait for ever when the server dies. Its reading of one-line answers loops without end, and
without yielding, when the server closes; here that is an error.
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

_MAX_DIGITS = 20  # of a token of compare-and-set: 64 bits without a sign
READ_LIMIT = 1 << 20  # of a line; data blocks are read whole, whatever their size


class ServerAnswer(Exception):
    """The server answered with an error line; the connection is still in step."""


@dataclass(frozen=True, slots=True)
class MetaValue:
    """What a meta get tells: *data*, its *cas* token, the seconds it has *left* (-1: for ever)."""

    data: bytes
    cas: int
    left: int


class MemcachedLink(FlagClient[bytes]):
    """The commands of one connection, one at a time; a caller that breaks one off must `abort` it.

    Attributes:
        is_overdue: Its deadline has passed, seen once.
        is_late: It was closed because its deadline had passed.
        idle_since: When it was last given back, in the loop's time.
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
        """False when the server has closed, or sent what was not asked for."""
        reader, writer = self._connection
        return not (has_buffered(reader) or reader.at_eof() or reader.exception() is not None or writer.is_closing())

    @property
    def has_ended(self) -> bool:
        """True when the server has closed and all it sent was read."""
        return self._connection.reader.at_eof()

    def abort(self) -> None:
        """Close at once, whatever was under way."""
        self._connection.writer.transport.abort()

    async def store_each(self, command: bytes, items: Iterable[tuple[bytes, bytes]], exptime: int) -> list[bytes]:
        """Store every key's data with *command* (set, add); return the answers. One round trip."""
        listed = list(items)
        for key, data in listed:
            self._connection.writer.write(b"%b %b 0 %d %d\r\n%b\r\n" % (command, key, exptime, len(data), data))
        return await self._lines(len(listed))

    async def delete_each(self, keys: Iterable[bytes]) -> list[bytes]:
        """Delete every key; return the answers. One round trip."""
        listed = list(keys)
        self._connection.writer.write(b"".join([b"delete %b\r\n" % key for key in listed]))
        return await self._lines(len(listed))

    async def arithmetic(self, command: bytes, key: bytes, delta: int) -> bytes:
        """Send incr or decr with a delta of 0 or more; return the answer: digits, NOT_FOUND or an error line."""
        return await self._execute_simple_command(self._connection, b"%b %b %d\r\n" % (command, key, delta))

    async def meta_get(self, key: bytes, *flags: bytes) -> MetaValue | None:
        """Return data, token and remaining life of *key*, None when it is absent; needs memcached 1.6.

        Args:
            flags: Further ones, such as b"T60" to give it a new life on the way.

        Raises:
            ServerAnswer: The server does not know the command, or refuses it.
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
        """Put *data* if *cas* is still the token; *left* as `MetaValue` has it."""
        flags = b"C%d T%d" % (cas, 0 if left < 0 else max(left, 1))
        line = await self._execute_simple_command(
            self._connection, b"ms %b %d %b\r\n%b\r\n" % (key, len(data), flags, data)
        )
        return _told(line, b"HD", b"EX", b"NF", b"NS")

    async def meta_delete(self, key: bytes, cas: int) -> bool:
        """Remove *key* if *cas* is still its token."""
        line = await self._execute_simple_command(self._connection, b"md %b C%d\r\n" % (key, cas))
        return _told(line, b"HD", b"EX", b"NF")

    async def _lines(self, count: int) -> list[bytes]:
        await self._connection.writer.drain()
        return [await self._line(self._connection.reader) for _ in range(count)]

    async def _multi_get(self, conn: Connection, *keys: bytes, with_cas: bool = True) -> Any:
        """Do what aiomcache's does for `get`, `gets` and `multi_get`, with numbers that are numbers."""
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
    """What aiomcache's client takes for its pool."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def acquire(self) -> Connection:
        return self._connection

    def release(self, connection: Connection) -> None:
        """Nothing: `MemcachedPool` knows better when a connection is free."""


async def _as_it_is(data: bytes, flags: int) -> bytes:
    """Values that another client marked: whether they can be read is for the serializer to say."""
    return data


def _number(digits: bytes) -> int:
    number = parse_integer(digits, _MAX_DIGITS)
    if number is None:
        raise ConnectionResetError(f"the server sent {digits[:40]!r} where its protocol has a number")
    return number


def _told(line: bytes, yes: bytes, *no: bytes) -> bool:
    word = line[:2]
    if word != yes and word not in no:
        raise ServerAnswer(line.decode("utf-8", "replace"))
    return word == yes
