"""DATABASE_CONNECTION and SQLALCHEMY_CONFIGURATION, validated and parsed.

    DATABASE_CONNECTION[name] ─► DatabaseSpec ── master ─► ServerSpec
                                              └─ slaves ─► ServerSpec, ...
    'mysql+mysqldb', as in torngas 1.8 ─► async_driver ─► 'mysql+aiomysql' ─► DRIVERS: dialect, defaults, timeout

This module opens nothing, and reports all faults at once. None of its messages contains a password.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy.engine import URL

from torngas_aio._masking import mask_url
from torngas_aio._node import share_of
from torngas_aio.checks.shapes import DATABASE_SHAPE, ENGINE_SHAPE
from torngas_aio.db._connections import STATEMENT_SECONDS
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.utils.kinds import mapping_of, positive

__all__ = ["DRIVERS", "DatabaseSpec", "Driver", "ServerSpec", "async_driver", "parse_database", "parse_databases"]

logger = logging.getLogger("torngas_aio.db")

PREFIX = "sqlalchemy."
CONNECT_SECONDS = 5.0
"""Default timeout of opening a connection (`connect_timeout`), in seconds."""

_REMOVED = (
    "encoding", "convert_unicode", "strategy", "threadlocal", "implicit_returning", "case_sensitive",
    "assert_unicode", "empty_in_strategy", "server_side_cursors", "future", "url", "use_native_unicode",
)  # fmt: skip
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Driver:
    """The properties of one asyncio driver.

    Attributes:
        name: The name in settings, such as 'mysql+aiomysql'.
        drivername: The name for SQLAlchemy; that of our own dialect, if there is one.
        timeout_argument: The driver's argument for the connect timeout; empty if it has none.
        connect_args: Defaults; the user's values take precedence.
        query: Defaults of the URL's query; the user's values take precedence.
        install: The extra of torngas-aio that installs it.
    """

    name: str
    drivername: str
    timeout_argument: str
    install: str
    connect_args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def backend(self) -> str:
        """The kind of server: 'mysql', 'postgresql' or 'sqlite'."""
        return self.name.partition("+")[0]


_MYSQL_ARGS = MappingProxyType({"local_infile": False})  # else a malicious server could request any local file
_MYSQL_QUERY = MappingProxyType({"charset": "utf8mb4"})

DRIVERS: Mapping[str, Driver] = MappingProxyType(
    {
        driver.name: driver
        for driver in (
            Driver("mysql+aiomysql", "mysql+torngas_aiomysql", "connect_timeout", "mysql", _MYSQL_ARGS, _MYSQL_QUERY),
            Driver("mysql+asyncmy", "mysql+torngas_asyncmy", "connect_timeout", "asyncmy", _MYSQL_ARGS, _MYSQL_QUERY),
            Driver("postgresql+asyncpg", "postgresql+torngas_asyncpg", "timeout", "postgres"),
            Driver("sqlite+aiosqlite", "sqlite+torngas_aiosqlite", "", "sqlite"),
        )
    }
)

_DEFAULTS = {
    "mysql": "mysql+aiomysql",
    "mariadb": "mysql+aiomysql",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}
_SYNCHRONOUS = {
    "", "mysqldb", "mysqlconnector", "pymysql", "oursql", "cymysql", "mysqlclient",
    "psycopg2", "psycopg2cffi", "pg8000", "pygresql", "pysqlite", "sqlite3",
}  # fmt: skip


def async_driver(name: str) -> tuple[Driver | None, bool]:
    """Return the driver for *name*, and whether it differs from the one named.

    The driver is None if it is unknown here; SQLAlchemy may know it.
    """
    backend, _, library = name.strip().lower().partition("+")
    if library in _SYNCHRONOUS:
        found = DRIVERS.get(_DEFAULTS.get(backend, ""))
        return found, found is not None and library != ""
    if backend == "mariadb":
        backend = "mysql"
    return DRIVERS.get(f"{backend}+{library}"), False


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One server of a database.

    Attributes:
        role: 'master' or 'slave'.
        weight: Share of the reads among the slaves.
        connect_seconds: Timeout of opening a connection.
        read_seconds: Deadline of a statement, None for no limit.
        options: Arguments of `create_async_engine`, including `connect_args`.
    """

    role: str
    driver: Driver | None
    url: URL = field(repr=False)
    weight: float
    connect_seconds: float
    read_seconds: float | None
    options: Mapping[str, Any] = field(repr=False)

    @property
    def label(self) -> str:
        """The server's name in messages: role and address."""
        if self.is_sqlite:
            return f"{self.role} {mask_url(self.url.database or ':memory:')}"
        return f"{self.role} {mask_url(self.url.host or 'localhost')}:{self.url.port or 'default port'}"

    @property
    def account(self) -> str:
        """User and database for messages about connecting, as in " as 'app' to 'shop'"; without the password."""
        if self.is_sqlite:
            return ""
        user, database = self.url.username, self.url.database
        return (f" as {user!r}" if user else "") + (f" to {database!r}" if database else "")

    @property
    def is_sqlite(self) -> bool:
        """Whether this is an SQLite file or in-memory database rather than a server."""
        return self.url.get_backend_name() == "sqlite"


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """One entry of DATABASE_CONNECTION: a master and its slaves."""

    name: str
    master: ServerSpec
    slaves: tuple[ServerSpec, ...]


def parse_databases(
    connections: Any, configuration: Any, tell: Callable[[str], object] = logger.warning
) -> tuple[DatabaseSpec, ...]:
    """Return every database of *connections*.

    Args:
        tell: Receives a sentence for each accepted but outdated setting.

    Raises:
        ConfigError: One list of all faults.
    """
    faults: list[str] = [*_databases("DATABASE_CONNECTION", connections), *_engines(configuration)]
    ConfigError.gather(faults, code="TGA103")
    found: list[DatabaseSpec] = []
    for name in connections:
        try:
            found.append(parse_database(name, connections, configuration, tell))
        except ConfigError as exc:
            faults += exc.faults
    ConfigError.gather(faults, code="TGA501")
    return tuple(found)


def parse_database(
    name: str,
    connections: Mapping[str, Any],
    configuration: Mapping[str, object],
    tell: Callable[[str], object] = logger.warning,
) -> DatabaseSpec:
    """Return the database *name* of DATABASE_CONNECTION.

    Args:
        configuration: SQLALCHEMY_CONFIGURATION, the options of every engine.
        tell: As in `parse_databases`.

    Raises:
        ConfigError: Its configuration is invalid; all faults are listed.
        UnknownAlias: There is no such entry.
    """
    if name not in connections:
        raise UnknownAlias(
            f"No database {name!r} in DATABASE_CONNECTION, which has {_list_names(connections)}. "
            f"Add it, or correct the model's __connection_name__."
        )
    path = f"DATABASE_CONNECTION[{name!r}]"
    ConfigError.gather([*DATABASE_SHAPE(path, connections[name]), *_engines(configuration)], code="TGA103")
    return _Parser(name, path, configuration, tell).parse(connections[name])


_databases = mapping_of(DATABASE_SHAPE)


def _engines(configuration: object) -> Iterable[str]:
    return ENGINE_SHAPE("SQLALCHEMY_CONFIGURATION", configuration)


class _Parser:
    """A parser of one database's settings, already checked for structure, that collects the remaining faults."""

    def __init__(self, name: str, path: str, configuration: Mapping[str, Any], tell: Callable[[str], object]) -> None:
        self.name = name
        self.path = path
        self.tell = tell
        self.faults: list[str] = []
        self.common = self.engine_options("SQLALCHEMY_CONFIGURATION", configuration)

    def parse(self, raw: Mapping[str, Any]) -> DatabaseSpec:
        self.common |= self.engine_options(f"{self.path}['kwargs']", raw.get("kwargs"))
        servers = raw["connections"]
        specs = [self.server(f"{self.path}['connections'][{index}]", each) for index, each in enumerate(servers)]
        masters = [spec for spec in specs if spec.role == "master"]
        if len(masters) != 1:
            self.faults.append(f"{self.path} has {len(masters)} servers with 'ROLE': 'master'; it needs exactly one.")
        ConfigError.gather(self.faults, code="TGA501")
        return DatabaseSpec(self.name, masters[0], tuple(spec for spec in specs if spec.role == "slave"))

    def server(self, path: str, raw: Mapping[str, Any]) -> ServerSpec:
        driver, drivername = self._driver(path, raw.get("DRIVER") or "sqlite+aiosqlite")
        options = self.common | self.engine_options(f"{path}['kwargs']", raw.get("kwargs"))
        if raw.get("NODE_CONNECTIONS") is not None:  # this process's share of its node's limit
            options |= {"pool_size": share_of(raw["NODE_CONNECTIONS"]), "max_overflow": 0}
        return ServerSpec(
            role=raw.get("ROLE", "master").lower(),
            driver=driver,
            url=_url(raw, driver, drivername),
            weight=float(raw.get("WEIGHT") or 1.0),
            connect_seconds=self._connect_args(path, driver, options),
            read_seconds=_seconds(raw.get("READ_TIMEOUT", STATEMENT_SECONDS)),
            options=options,
        )

    def engine_options(self, path: str, raw: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the options of *raw* without their prefix; drop those that SQLAlchemy has removed, with a note."""
        options = {key.removeprefix(PREFIX): value for key, value in (raw or _EMPTY).items()}
        for key in [key for key in options if key in _REMOVED]:
            del options[key]
            self.tell(f"{path}: {key!r} means nothing to SQLAlchemy 2 and is ignored; take it out.")
        return options

    def _driver(self, path: str, name: str) -> tuple[Driver | None, str]:
        driver, is_mapped = async_driver(name)
        if driver is None:
            return None, name
        if is_mapped:
            self.tell(
                f"{path}['DRIVER'] = {name!r} is a synchronous driver; {driver.name!r} serves it. Write that name."
            )
        return driver, driver.drivername

    def _connect_args(self, path: str, driver: Driver | None, options: dict[str, Any]) -> float:
        """Add the driver's defaults and its timeout argument to `connect_args`; return the timeout."""
        given = dict(options.get("connect_args") or _EMPTY)
        seconds = given.get("connect_timeout")
        if driver is not None:
            given.pop("connect_timeout", None)
            seconds = given.pop(driver.timeout_argument, seconds)
        seconds = seconds or CONNECT_SECONDS
        if faults := list(positive(f"{path}: connect_timeout", seconds)):
            self.faults += faults
            return CONNECT_SECONDS
        if driver is not None and driver.timeout_argument:
            given[driver.timeout_argument] = float(seconds)
        options["connect_args"] = {**(_EMPTY if driver is None else driver.connect_args), **given}
        return float(seconds)


def _seconds(given: float | None) -> float | None:
    return None if given is None else float(given)


def _url(raw: Mapping[str, Any], driver: Driver | None, drivername: str) -> URL:
    query = {str(key): str(value) for key, value in (raw.get("QUERY") or _EMPTY).items()}
    if driver is not None:
        query = {**driver.query, **query}
    database = raw.get("DATABASE") or None
    if driver is not None and driver.backend == "sqlite":
        return URL.create(drivername, database=database, query=query)
    return URL.create(
        drivername,
        username=raw.get("UID") or None,
        password=raw.get("PASSWD") or None,
        host=raw.get("HOST") or "127.0.0.1",
        port=int(raw.get("PORT") or 0) or None,
        database=database,
        query=query,
    )


def _list_names(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
