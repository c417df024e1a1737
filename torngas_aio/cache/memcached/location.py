"""The servers of a memcached cache, parsed from LOCATION and OPTIONS.

    "10.0.0.1:11211"   "10.0.0.1"   "[::1]:11211"   "/path/memcached.sock"   "unix:/path/memcached.sock"
    several: a list, or one str separated by commas or semicolons

This module only parses settings; it opens no connections.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torngas_aio._masking import show_setting
from torngas_aio.cache.circuit_breaker import LONGEST_PAUSE
from torngas_aio.cache.store import option
from torngas_aio.exception import ConfigError
from torngas_aio.utils.kinds import boolean, brief, positive, whole
from torngas_aio.utils.narrowing import is_list_or_tuple
from torngas_aio.utils.numbers import parse_whole

__all__ = ["DEFAULT_DEADLINE", "DEFAULT_POOL_SIZE", "MAX_VALUE_BYTES", "Address", "MemcachedLocation", "read_location"]

DEFAULT_PORT = 11211

DEFAULT_DEADLINE = 2.0
"""Deadline of a call, in seconds."""

DEFAULT_POOL_SIZE = 16
"""Connections to each server."""

DEFAULT_IDLE_SECONDS = 60.0
"""Seconds after which an unused connection is closed."""

MAX_VALUE_BYTES = 1024 * 1024 - 512
"""Bytes left for the value within memcached's default item size of 1 MB (-I)."""

Address = tuple[str, int] | str
"""Host and port, or a unix socket's path."""


@dataclass(frozen=True, slots=True)
class MemcachedLocation:
    """The parsed servers and options of one cache.

    Attributes:
        servers: Each server's address by its name, the text in LOCATION.
        deadline: Deadline of a call in seconds: waiting, connecting and the reply together.
        pool_size: Maximum connections to each server.
        longest_pause: The maximum pause between two probes of a server that is down, in seconds.
        max_value_bytes: The largest value.
        idle_seconds: Seconds after which an unused connection is closed.
        rehashes: Whether the keys of a server that is down move to the others.
    """

    servers: Mapping[str, Address]
    deadline: float
    pool_size: int
    longest_pause: float
    max_value_bytes: int
    idle_seconds: float
    rehashes: bool


def read_location(location: object, options: Mapping[str, Any], owner: str) -> MemcachedLocation:
    """Return the parsed *location* and *options*.

    Args:
        location: LOCATION.
        options: OPTIONS: DEADLINE, POOL_SIZE, RETRY_SECONDS, MAX_VALUE_BYTES, IDLE_SECONDS, REHASH.
        owner: The cache's name in messages.

    Raises:
        ConfigError: A setting is invalid.
    """
    given = location.replace(";", ",").split(",") if isinstance(location, str) else location
    if not is_list_or_tuple(given) or not given:
        raise _no_location(location, owner)
    servers: dict[str, Address] = {}
    for each in given:
        if not isinstance(each, str) or not each.strip():
            raise _no_location(location, owner)
        servers[each.strip()] = _address(each.strip(), owner)
    return MemcachedLocation(
        servers=servers,
        deadline=option(options, "DEADLINE", DEFAULT_DEADLINE, brief, owner),
        pool_size=option(options, "POOL_SIZE", DEFAULT_POOL_SIZE, whole(1), owner),
        longest_pause=option(options, "RETRY_SECONDS", LONGEST_PAUSE, positive, owner),
        max_value_bytes=option(options, "MAX_VALUE_BYTES", MAX_VALUE_BYTES, whole(1), owner),
        idle_seconds=option(options, "IDLE_SECONDS", DEFAULT_IDLE_SECONDS, positive, owner),
        rehashes=option(options, "REHASH", False, boolean, owner),
    )


def _address(name: str, owner: str) -> Address:
    path = name.removeprefix("unix:").removeprefix("//")
    if path.startswith("/"):
        return path
    host, separator, port = name.rpartition(":")
    if "@" not in name and (not separator or name.endswith("]")):
        return name.strip("[]"), DEFAULT_PORT
    number = parse_whole(port)
    if not host or number is None or not 0 < number < 65536 or "/" in host or "@" in host:
        raise _no_location(name, owner)
    return host.strip("[]"), number


def _no_location(location: object, owner: str) -> ConfigError:
    return ConfigError(
        f"{owner}['LOCATION'] = {show_setting(location)}: not the address of a memcached. "
        "Write 'host:port', '/path/memcached.sock', or a list of them.",
        code="TGA401",
    )
