"""Which driver serves a connection: synchronous names of torngas 1.8 mapped to asyncio drivers, and what each expects.

    'mysql+mysqldb'  ──async_driver──►  'mysql+aiomysql'  ──DRIVERS──►  dialect name, defaults, name of its timeout

Begin with `async_driver`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["DRIVERS", "Driver", "async_driver"]


@dataclass(frozen=True, slots=True)
class Driver:
    """What is known about one asyncio driver.

    Attributes:
        name: As users write it, such as 'mysql+aiomysql'.
        drivername: As SQLAlchemy is told it: our own dialect where we keep one.
        timeout_argument: What the driver calls its connect timeout; empty when it has none.
        connect_args: Defaults, below the user's.
        query: Defaults of the URL's query, below the user's.
        install: The extra of torngas-aio that installs it.
    """

    name: str
    drivername: str
    timeout_argument: str
    install: str
    connect_args: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def backend(self) -> str:
        """The kind of server: 'mysql', 'postgresql' or 'sqlite'."""
        return self.name.partition("+")[0]


_MYSQL_ARGS = MappingProxyType({"local_infile": False})  # no server may ask for a file of ours
_MYSQL_QUERY = MappingProxyType({"charset": "utf8mb4"})

DRIVERS: Mapping[str, Driver] = MappingProxyType(
    {
        driver.name: driver
        for driver in (
            Driver("mysql+aiomysql", "mysql+torngas_aiomysql", "connect_timeout", "mysql", _MYSQL_ARGS, _MYSQL_QUERY),
            Driver("mysql+asyncmy", "mysql+torngas_asyncmy", "connect_timeout", "asyncmy", _MYSQL_ARGS, _MYSQL_QUERY),
            Driver("postgresql+asyncpg", "postgresql+torngas_asyncpg", "timeout", "postgres"),
            Driver("sqlite+aiosqlite", "sqlite+aiosqlite", "", "sqlite"),
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
    """Return the driver that serves *name* and whether another one than named.

    None stands for a driver that is unknown here; SQLAlchemy may know it.
    """
    backend, _, library = name.strip().lower().partition("+")
    if library in _SYNCHRONOUS:
        found = DRIVERS.get(_DEFAULTS.get(backend, ""))
        return found, found is not None and library != ""
    if backend == "mariadb":
        backend = "mysql"
    return DRIVERS.get(f"{backend}+{library}"), False
