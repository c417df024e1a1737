"""What DATABASE_CONNECTION and SQLALCHEMY_CONFIGURATION say, checked and turned into values.

    DATABASE_CONNECTION[name] ─► DatabaseSpec ── master ─► ServerSpec
                                              └─ slaves ─► ServerSpec, ...

Nothing is opened here, and every fault is found in one go. No text made here holds a password.
Begin with `parse_database`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import URL

from torngas_aio._masking import mask_url
from torngas_aio._node import share_of
from torngas_aio._suggest import did_you_mean
from torngas_aio.db._deadlines import STATEMENT_SECONDS
from torngas_aio.db.dbalchemy.drivers import Driver, async_driver
from torngas_aio.exception import ConfigError, UnknownAlias

__all__ = ["DatabaseSpec", "ServerSpec", "parse_database", "parse_databases"]

logger = logging.getLogger("torngas_aio.db")

PREFIX = "sqlalchemy."
CONNECT_SECONDS = 5.0
"""How long opening one connection may take, where `connect_timeout` does not say."""

_SERVER_KEYS = (
    "ROLE", "DRIVER", "UID", "PASSWD", "HOST", "PORT", "DATABASE", "QUERY", "WEIGHT", "READ_TIMEOUT",
    "NODE_CONNECTIONS", "kwargs",
)  # fmt: skip
_REMOVED = (
    "encoding", "convert_unicode", "strategy", "threadlocal", "implicit_returning", "case_sensitive",
    "assert_unicode", "empty_in_strategy", "server_side_cursors", "future", "url", "use_native_unicode",
)  # fmt: skip
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One server of a database.

    Attributes:
        role: 'master' or 'slave'.
        weight: Share of the reads among the slaves.
        connect_seconds: How long opening a connection may take.
        read_seconds: How long a statement may go unanswered, None for ever.
        options: Arguments of `create_async_engine`, `connect_args` among them.
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
        """The server as messages name it: role and address."""
        if self.is_sqlite:
            return f"{self.role} {mask_url(self.url.database or ':memory:')}"
        return f"{self.role} {mask_url(self.url.host or 'localhost')}:{self.url.port or 'default port'}"

    @property
    def account(self) -> str:
        """User and database as messages about connecting name them, as in " as 'app' to 'shop'"; not the password."""
        if self.is_sqlite:
            return ""
        user, database = self.url.username, self.url.database
        return (f" as {user!r}" if user else "") + (f" to {database!r}" if database else "")

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file or a database in memory rather than a server."""
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
        tell: Gets a sentence for what is taken although it should be written otherwise.

    Raises:
        ConfigError: One list of all faults.
    """
    if not isinstance(connections, Mapping):
        raise ConfigError(
            f"DATABASE_CONNECTION = {type(connections).__name__}: write a dict of connection names.", code="TGA501"
        )
    found: list[DatabaseSpec] = []
    faults: list[str] = []
    for name in connections:
        try:
            found.append(parse_database(name, connections, configuration, tell))
        except ConfigError as exc:
            faults += exc.faults
    ConfigError.gather(dict.fromkeys(faults), code="TGA501")
    return tuple(found)


def parse_database(
    name: str,
    connections: Mapping[str, Any],
    configuration: Mapping[str, Any],
    tell: Callable[[str], object] = logger.warning,
) -> DatabaseSpec:
    """Return the database *name* of DATABASE_CONNECTION.

    Args:
        configuration: SQLALCHEMY_CONFIGURATION, the options of every engine.
        tell: As for `parse_databases`.

    Raises:
        ConfigError: It is there and cannot work; lists every fault of it.
        UnknownAlias: It is not there.
    """
    if name not in connections:
        raise UnknownAlias(
            f"No database {name!r} in DATABASE_CONNECTION, which has {_listed(connections)}. "
            f"Add it, or correct the model's __connection_name__."
        )
    return _Parser(name, configuration, tell).parse(connections[name])


class _Parser:
    """Reads one database and gathers its faults."""

    def __init__(self, name: str, configuration: Mapping[str, Any], tell: Callable[[str], object]) -> None:
        self.name = name
        self.tell = tell
        self.path = f"DATABASE_CONNECTION[{name!r}]"
        self.faults: list[str] = []
        self.common = self.engine_options("SQLALCHEMY_CONFIGURATION", configuration)

    def parse(self, raw: Any) -> DatabaseSpec:
        servers = raw.get("connections") if isinstance(raw, Mapping) else None
        if not isinstance(servers, list | tuple) or not servers:
            raise ConfigError(
                *self.faults,
                f"{self.path}['connections'] must be a list of servers, such as "
                "[{'ROLE': 'master', 'DRIVER': 'sqlite+aiosqlite', 'DATABASE': 'app.db'}].",
                code="TGA501",
            )
        assert isinstance(raw, Mapping)
        self.common |= self.engine_options(f"{self.path}['kwargs']", raw.get("kwargs") or _EMPTY)
        parsed = [self.server(f"{self.path}['connections'][{index}]", each) for index, each in enumerate(servers)]
        specs = [spec for spec in parsed if spec is not None]
        masters = [spec for spec in specs if spec.role == "master"]
        if len(masters) != 1 and len(specs) == len(servers):
            self.faults.append(f"{self.path} has {len(masters)} servers with 'ROLE': 'master'; it needs exactly one.")
        ConfigError.gather(self.faults, code="TGA501")
        return DatabaseSpec(self.name, masters[0], tuple(spec for spec in specs if spec.role == "slave"))

    def server(self, path: str, raw: Any) -> ServerSpec | None:
        if not isinstance(raw, Mapping):
            self.faults.append(f"{path} must be a dict with 'ROLE', 'DRIVER', 'HOST', …; it is {type(raw).__name__}.")
            return None
        before = len(self.faults)
        self._check_keys(path, raw)
        role = str(raw.get("ROLE", "master")).lower()
        if role not in {"master", "slave"}:
            self.faults.append(f"{path}['ROLE'] = {raw['ROLE']!r}: write 'master' or 'slave'.")
        driver, drivername = self._driver(path, raw.get("DRIVER") or "sqlite+aiosqlite")
        weight = self._number(path, raw, "WEIGHT", 1.0)
        read_seconds = self._number(path, raw, "READ_TIMEOUT", STATEMENT_SECONDS)
        url = self._url(path, raw, driver, drivername)
        options = self.common | self.engine_options(f"{path}['kwargs']", raw.get("kwargs") or _EMPTY)
        if raw.get("NODE_CONNECTIONS") is not None:
            options |= self._pool_bounds(path, raw["NODE_CONNECTIONS"])
        connect_seconds = self._connect_args(driver, options)
        if len(self.faults) > before or url is None:
            return None
        return ServerSpec(role, driver, url, weight or 1.0, connect_seconds, read_seconds, options)

    def engine_options(self, path: str, raw: Any) -> dict[str, Any]:
        """The options of *raw* without their prefix; what SQLAlchemy has removed is dropped with a warning."""
        if not isinstance(raw, Mapping):
            self.faults.append(f"{path} must be a dict; it is {type(raw).__name__}.")
            return {}
        options = {str(key).removeprefix(PREFIX): value for key, value in raw.items()}
        for key in [key for key in options if key in _REMOVED]:
            del options[key]
            self.tell(f"{path}: {key!r} means nothing to SQLAlchemy 2 and is ignored; take it out.")
        if not isinstance(options.get("connect_args") or _EMPTY, Mapping):
            self.faults.append(f"{path}['sqlalchemy.connect_args'] must be a dict of the driver's own arguments.")
            del options["connect_args"]
        return options

    def _check_keys(self, path: str, raw: Mapping[str, Any]) -> None:
        for key in raw:
            if key not in _SERVER_KEYS:
                hint = did_you_mean(str(key).upper(), _SERVER_KEYS, f" Known are {_listed(_SERVER_KEYS)}.")
                self.faults.append(f"{path} has the unknown key {key!r}.{hint}")
        for key in ("UID", "PASSWD", "HOST", "DATABASE"):
            if not isinstance(raw.get(key, ""), str | None):
                self.faults.append(f"{path}[{key!r}] must be a string; it is {type(raw[key]).__name__}.")
        if not isinstance(raw.get("QUERY") or _EMPTY, Mapping):
            self.faults.append(f"{path}['QUERY'] must be a dict, such as {{'charset': 'utf8mb4'}}.")

    def _driver(self, path: str, name: Any) -> tuple[Driver | None, str]:
        if not isinstance(name, str):
            self.faults.append(f"{path}['DRIVER'] must be a string such as 'mysql+aiomysql'.")
            return None, ""
        driver, is_mapped = async_driver(name)
        if driver is None:
            return None, name
        if is_mapped:
            self.tell(
                f"{path}['DRIVER'] = {name!r} is a synchronous driver; {driver.name!r} serves it. Write that name."
            )
        return driver, driver.drivername

    def _number(self, path: str, raw: Mapping[str, Any], key: str, default: float | None) -> float | None:
        value = raw.get(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            self.faults.append(f"{path}[{key!r}] = {value!r}: write a number above 0.")
            return default
        return float(value)

    def _pool_bounds(self, path: str, total: Any) -> dict[str, int]:
        """This process's share of the connections that its node may have to the server."""
        if isinstance(total, bool) or not isinstance(total, int) or total < 1:
            self.faults.append(f"{path}['NODE_CONNECTIONS'] = {total!r}: write a whole number from 1.")
            return {}
        return {"pool_size": share_of(total), "max_overflow": 0}

    def _url(self, path: str, raw: Mapping[str, Any], driver: Driver | None, drivername: str) -> URL | None:
        port = raw.get("PORT")
        if isinstance(port, str) and port.isdigit():
            port = int(port)
        if port in ("", 0):
            port = None
        if port is not None and (not isinstance(port, int) or not 0 < port < 65536):
            self.faults.append(f"{path}['PORT'] = {port!r}: write a number from 1 to 65535.")
            return None
        database = raw.get("DATABASE") or None
        if driver is not None and driver.backend == "sqlite":
            return URL.create(drivername, database=database, query=_query(raw, driver))
        if not drivername or (len(self.faults) and any(path in fault for fault in self.faults)):
            return None
        return URL.create(
            drivername,
            username=raw.get("UID") or None,
            password=raw.get("PASSWD") or None,
            host=raw.get("HOST") or "127.0.0.1",
            port=port,
            database=database,
            query=_query(raw, driver),
        )

    def _connect_args(self, driver: Driver | None, options: dict[str, Any]) -> float:
        """Give `connect_args` the driver's defaults and its name for the timeout; return the timeout."""
        given = dict(options.get("connect_args") or _EMPTY)
        seconds = given.pop("connect_timeout", None)
        if driver is None:
            options["connect_args"] = given if seconds is None else given | {"connect_timeout": seconds}
            return float(seconds or CONNECT_SECONDS)
        if driver.timeout_argument:
            seconds = given.pop(driver.timeout_argument, seconds)
            given[driver.timeout_argument] = float(seconds or CONNECT_SECONDS)
        options["connect_args"] = {**driver.connect_args, **given}
        return float(seconds or CONNECT_SECONDS)


def _query(raw: Mapping[str, Any], driver: Driver | None) -> dict[str, str]:
    given = raw.get("QUERY")
    query = {str(key): str(value) for key, value in given.items()} if isinstance(given, Mapping) else {}
    return {**driver.query, **query} if driver is not None else query


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
