"""The location of a Redis, parsed from LOCATION and OPTIONS: one server, a cluster, or a sentinel-monitored master.

    host:port   host   /path/redis.sock   unix:///path/redis.sock        one server
    redis://user:password@host:port/db    rediss://...  (TLS)            one server
    redis+cluster://h1:p1,h2:p2           rediss+cluster://...           a cluster
    redis+sentinel://h1:p1,h2:p2/mymaster[/db]   rediss+sentinel://...   a sentinel-monitored master

This module only parses settings; it opens no connections.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.asyncio import connection as redis_connection
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from torngas_aio._masking import mask_text, show_setting
from torngas_aio._names import import_object
from torngas_aio.cache.store import option
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.utils.kinds import brief, either, finite, mapping, secret, text, whole
from torngas_aio.utils.numbers import parse_whole

__all__ = ["DEFAULT_DEADLINE", "DEFAULT_PORT", "RedisLocation", "read_location"]

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

DEFAULT_DEADLINE = 2.0
"""Deadline of a command, in seconds."""

_LEFT_OUT: Any = None
_SINGLE = {"redis", "rediss", "unix"}
_MANY = {"redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"}
_EXAMPLES = (
    "Write 'host:port', '/path/redis.sock', 'redis://host:port/0', 'rediss://…', "
    "'redis+cluster://h1:p1,h2:p2' or 'redis+sentinel://h1:p1,h2:p2/mymaster'."
)

# Parser names of redis-py's synchronous client, used in torngas 1.8 settings, and their redis.asyncio counterparts.
_PARSERS = {
    "DefaultParser": "DefaultParser",
    "HiredisParser": "_AsyncHiredisParser",
    "_HiredisParser": "_AsyncHiredisParser",
    "_AsyncHiredisParser": "_AsyncHiredisParser",
    "PythonParser": "_AsyncRESP2Parser",
    "_RESP2Parser": "_AsyncRESP2Parser",
    "_AsyncRESP2Parser": "_AsyncRESP2Parser",
    "_RESP3Parser": "_AsyncRESP3Parser",
    "_AsyncRESP3Parser": "_AsyncRESP3Parser",
}


@dataclass(frozen=True, slots=True)
class RedisLocation:
    """The parsed location of a Redis.

    Attributes:
        kind: The type of server, which selects redis-py's client.
        nodes: Host and port of the server, the cluster's startup nodes, or the sentinels. Empty for a unix socket.
        connection_class: redis-py's class for connections to it.
        arguments: That class's keyword arguments, including passwords; without host, port and timeouts.
        service: The name under which sentinels monitor the master; "" without sentinels.
        name: The addresses, for messages; without secrets.
        sentinel_arguments: Keyword arguments for connections to the sentinels themselves.
        max_connections: Maximum connections of the native client.
        deadline: Deadline of a command, in seconds.
        ping_interval: Idle seconds after which a PING keeps a connection alive; 0 for never.
    """

    kind: Literal["single", "cluster", "sentinel"]
    nodes: tuple[tuple[str, int], ...]
    connection_class: type[AbstractConnection]
    arguments: Mapping[str, Any] = field(repr=False)
    service: str
    name: str
    sentinel_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    max_connections: int = 50
    deadline: float = DEFAULT_DEADLINE
    ping_interval: float = 0.0

    @property
    def is_tls(self) -> bool:
        """True if connections are encrypted."""
        return issubclass(self.connection_class, SSLConnection)


def read_location(location: object, options: Mapping[str, Any], owner: str) -> RedisLocation:
    """Return the parsed *location* and *options*.

    Args:
        location: LOCATION.
        options: OPTIONS: DB, USERNAME, PASSWORD, POOL_KWARGS, SENTINEL_KWARGS, PARSER_CLASS, PING_INTERVAL, DEADLINE.
        owner: The client's name in messages.

    Raises:
        ConfigError: A setting is invalid; the message contains no password.
    """
    if not isinstance(location, str) or not location.strip():
        raise _no_location(location, owner, "no address of a Redis")
    url = _as_url(location.strip())
    scheme = url.partition(":")[0].lower()
    if scheme not in _SINGLE | _MANY:
        raise _no_location(location, owner, "its scheme leads to no Redis")
    pool = dict(option(options, "POOL_KWARGS", _LEFT_OUT, either(None, mapping), owner) or {})
    sentinel = dict(option(options, "SENTINEL_KWARGS", _LEFT_OUT, either(None, mapping), owner) or {})
    arguments = {**_driver(), **_login(options, owner), **_parser(options, owner)}
    try:
        _refuse_unquoted(url)
        address = _read_single(url) if scheme in _SINGLE else _read_many(url, scheme)
    except _Unreadable as exc:
        raise _no_location(location, owner, str(exc)) from None
    except ValueError as exc:  # from urlsplit or redis-py; most of these messages may quote part of a password
        told = str(exc).rstrip(".") if str(exc).startswith("Invalid value for '") else "its host or port cannot be read"
        raise _no_location(location, owner, told) from None
    deadline = pool.pop("socket_timeout", None)
    deadline = option(options, "DEADLINE", deadline, either(None, brief), owner)
    pool.pop("socket_connect_timeout", None)  # the deadline covers connecting as well
    max_connections = pool.pop("max_connections", address.max_connections)
    ConfigError.gather(
        whole(1)(f"{owner}['OPTIONS']['POOL_KWARGS']['max_connections']", max_connections), code="TGA103"
    )
    arguments |= {**pool, **address.arguments}
    if address.kind == "cluster" and arguments.pop("db", 0):
        raise ConfigError(f"{owner}['OPTIONS']['DB']: a cluster has the one database 0. Leave it out.", code="TGA401")
    found = replace(
        address,
        arguments=arguments,
        sentinel_arguments={**_driver(), **sentinel},
        max_connections=max_connections,
        deadline=DEFAULT_DEADLINE if deadline is None else deadline,
        ping_interval=option(options, "PING_INTERVAL", 0.0, either(None, finite), owner) or 0.0,
    )
    _try_arguments(found, owner)
    return found


class _Unreadable(ValueError):
    """A fault of a LOCATION; its message quotes nothing that could be part of a password."""


def _no_location(location: object, owner: str, problem: str) -> ConfigError:
    return ConfigError(f"{owner}['LOCATION'] = {show_setting(location)}: {problem}. {_EXAMPLES}", code="TGA401")


def _refuse_unquoted(url: str) -> None:
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if scheme != "unix" and "@" in rest[len(authority) :].partition("?")[0]:
        raise _Unreadable("a '/', '?' or '#' stands in the password; write them as %2F, %3F and %23")


def _as_url(location: str) -> str:
    if "://" in location:
        return location
    if location.startswith("unix:"):
        return "unix://" + location[5:]
    if location.startswith("/"):
        return f"unix://{location}"
    return f"redis://{location}"


def _read_single(url: str) -> RedisLocation:
    if "," in url.partition("?")[0]:
        raise _Unreadable("several servers that are neither a cluster nor watched by sentinels")
    arguments: dict[str, Any] = dict(redis_connection.parse_url(url))
    kind = arguments.pop("connection_class", Connection)
    if kind is UnixDomainSocketConnection:
        path = arguments["path"]
        return RedisLocation("single", (), kind, arguments, "", path)
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if database and not database.isdigit():
        raise _Unreadable(f"{database!r} is not a database number")
    host, port = arguments.pop("host", "localhost"), arguments.pop("port", DEFAULT_PORT)
    return RedisLocation("single", ((host, port),), kind, arguments, "", _shown(((host, port),)))


def _read_many(url: str, scheme: str) -> RedisLocation:
    rest = url.partition("://")[2]
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    is_sentinel = scheme.endswith("sentinel")
    nodes = tuple(_node(each, DEFAULT_SENTINEL_PORT if is_sentinel else DEFAULT_PORT) for each in hosts.split(","))
    arguments = dict(redis_connection.parse_url(f"redis://localhost?{query}")) if query else {}
    arguments.pop("host", None)
    arguments |= {key: value for key, value in parse_qsl(query) if key not in arguments}
    username, _, password = login.partition(":")
    arguments |= {"username": unquote(username)} if username else {}
    arguments |= {"password": unquote(password)} if password else {}
    service, _, database = path.partition("/")
    if is_sentinel and not service:
        raise _Unreadable("the name of the watched master is missing after the last address")
    if database and not database.isdigit():
        raise _Unreadable(f"{database!r} is not a database number")
    if database:
        arguments["db"] = int(database)
    if not is_sentinel and service not in {"", "0"}:
        raise _Unreadable("a cluster has the one database 0")
    kind = SSLConnection if scheme.startswith("rediss") else Connection
    name = _shown(nodes) + (f"/{service}" if is_sentinel else "")
    return RedisLocation("sentinel" if is_sentinel else "cluster", nodes, kind, arguments, service, name)


def _node(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname:
        raise _Unreadable("an address has no host")
    return parts.hostname, parts.port or default_port


def _shown(nodes: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in nodes)


def _driver() -> dict[str, Any]:
    """Return the driver info for CLIENT SETINFO. Without it, redis-py reads its version from disk per connection."""
    info = getattr(redis_connection, "DriverInfo", None)  # since redis-py 7
    return {"driver_info": info(lib_version=redis.__version__)} if info else {}


def _login(options: Mapping[str, object], owner: str) -> dict[str, object]:
    checks = {"DB": _database, "USERNAME": either(None, text), "PASSWORD": either(None, secret)}
    named = {name.lower(): option(options, name, _LEFT_OUT, check, owner) for name, check in checks.items()}
    return {key: value for key, value in named.items() if value is not None and value != ""}


def _database(path: str, value: object) -> Iterator[Fault]:
    if not (value is None or value == "" or (isinstance(value, str) and parse_whole(value) is not None)):
        yield from whole(0)(path, value)


def _parser(options: Mapping[str, object], owner: str) -> dict[str, object]:
    given = options.get("PARSER_CLASS")
    if given is None:
        return {}
    last = given.rpartition(".")[2] if isinstance(given, str) else getattr(given, "__name__", "")
    home = given.rpartition(".")[0] if isinstance(given, str) else getattr(given, "__module__", "")
    if last in _PARSERS and (home == "" or home.split(".")[0] == "redis"):
        return {"parser_class": getattr(redis_connection, _PARSERS[last])}
    if isinstance(given, str):
        try:
            return {"parser_class": import_object(given)}
        except ImportError as exc:
            names = "'redis.connection.DefaultParser', 'HiredisParser' or 'PythonParser'"
            raise ConfigError(
                f"{owner}['OPTIONS']['PARSER_CLASS'] = {given!r}: {exc}. Write {names}.", code="TGA401"
            ) from exc
    return {"parser_class": given}


def _try_arguments(found: RedisLocation, owner: str) -> None:
    """Construct a connection without opening it, so that a wrong argument is found at start."""
    try:
        found.connection_class(**found.arguments)
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"{owner}['OPTIONS']['POOL_KWARGS']: redis-py rejects them: {mask_text(str(exc))}.", code="TGA401"
        ) from exc
