"""Where the servers of a memcached cache are, read from LOCATION and OPTIONS.

    "10.0.0.1:11211"   "10.0.0.1"   "[::1]:11211"   "/path/memcached.sock"   "unix:/path/memcached.sock"
    several: a list, or one text with commas or semicolons

Reads text, opens nothing. Begin with `read_location`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torngas_aio._masking import show_setting
from torngas_aio.cache.circuit_breaker import LONGEST_PAUSE
from torngas_aio.exception import ConfigError

__all__ = ["DEFAULT_DEADLINE", "DEFAULT_POOL_SIZE", "MAX_VALUE_BYTES", "Address", "MemcachedLocation", "read_location"]

DEFAULT_PORT = 11211

DEFAULT_DEADLINE = 2.0
"""Seconds within which a call is answered or fails."""

DEFAULT_POOL_SIZE = 16
"""Connections to each server."""

DEFAULT_IDLE_SECONDS = 60.0
"""Seconds after which an unused connection is closed."""

MAX_VALUE_BYTES = 1024 * 1024 - 512
"""What memcached's default of 1 MB (-I) leaves for the value."""

Address = tuple[str, int] | str
"""Host and port, or a unix socket's path."""


@dataclass(frozen=True, slots=True)
class MemcachedLocation:
    """Servers, fully read.

    Attributes:
        servers: Each server's address by its name, which is how it was written.
        deadline: Seconds within which a call is answered: waiting, connecting and the answer together.
        pool_size: The most connections to each server.
        longest_pause: Seconds between two probes of a server that stays down.
        max_value_bytes: The largest value.
        idle_seconds: After which an unused connection is closed.
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
    """Return what *location* and *options* say.

    Args:
        location: LOCATION.
        options: OPTIONS: DEADLINE, POOL_SIZE, RETRY_SECONDS, MAX_VALUE_BYTES, IDLE_SECONDS, REHASH.
        owner: Who it is for, in messages.

    Raises:
        ConfigError: It cannot be understood.
    """
    given = location.replace(";", ",").split(",") if isinstance(location, str) else location
    if not isinstance(given, list | tuple) or not given:
        raise _no_location(location, owner)
    servers: dict[str, Address] = {}
    for each in given:
        if not isinstance(each, str) or not each.strip():
            raise _no_location(location, owner)
        servers[each.strip()] = _address(each.strip(), owner)
    return MemcachedLocation(
        servers=servers,
        deadline=_positive(options, "DEADLINE", DEFAULT_DEADLINE, owner),
        pool_size=max(int(_positive(options, "POOL_SIZE", DEFAULT_POOL_SIZE, owner)), 1),
        longest_pause=_positive(options, "RETRY_SECONDS", LONGEST_PAUSE, owner),
        max_value_bytes=int(_positive(options, "MAX_VALUE_BYTES", MAX_VALUE_BYTES, owner)),
        idle_seconds=_positive(options, "IDLE_SECONDS", DEFAULT_IDLE_SECONDS, owner),
        rehashes=bool(options.get("REHASH", False)),
    )


def _address(name: str, owner: str) -> Address:
    path = name.removeprefix("unix:").removeprefix("//")
    if path.startswith("/"):
        return path
    host, separator, port = name.rpartition(":")
    if "@" not in name and (not separator or name.endswith("]")):
        return name.strip("[]"), DEFAULT_PORT
    if not host or not port.isdigit() or "/" in host or "@" in host:
        raise _no_location(name, owner)
    return host.strip("[]"), int(port)


def _no_location(location: object, owner: str) -> ConfigError:
    return ConfigError(
        f"{owner}['LOCATION'] = {show_setting(location)}: no address of a memcached. "
        "Write 'host:port', '/path/memcached.sock', or a list of them.",
        code="TGA401",
    )


def _positive(options: Mapping[str, Any], name: str, default: float, owner: str) -> float:
    given = options.get(name, default)
    if not isinstance(given, int | float) or given <= 0:
        raise ConfigError(
            f"{owner}['OPTIONS'][{name!r}] = {given!r}: write a number above 0, such as {default}.", code="TGA401"
        )
    return float(given)
