"""The database drivers, one per file, behind the contract in `base.py`.

    base.py      the contract    mysql.py   aiomysql
    postgres.py  asyncpg         sqlite.py  aiosqlite

Begin with `make_driver`.
"""

import logging
from typing import Any

from torngas_aio._names import import_object
from torngas_aio.db.basedb.drivers.base import Driver, Result
from torngas_aio.exception import ConfigError

__all__ = ["Driver", "Result", "make_driver"]

logger = logging.getLogger("torngas_aio.db.basedb")

_DRIVERS = {
    "sqlite": ("torngas_aio.db.basedb.drivers.sqlite.SQLiteDriver", "aiosqlite", "sqlite"),
    "mysql": ("torngas_aio.db.basedb.drivers.mysql.MySQLDriver", "aiomysql", "mysql"),
    "postgres": ("torngas_aio.db.basedb.drivers.postgres.PostgresDriver", "asyncpg", "postgres"),
}
_ALIASES = {"postgresql": "postgres", "mariadb": "mysql", "sqlite3": "sqlite"}


_SYNCHRONOUS = {
    "sqlite": frozenset({"sqlite3", "sqlite", "pysqlite2", "pysqlite2.dbapi2"}),
    "mysql": frozenset({"MySQLdb", "pymysql", "mysql.connector", "mysqldb", "mysqlclient"}),
    "postgres": frozenset({"psycopg2", "psycopg", "pgdb", "pg8000"}),
}
"""Values of web.py's `driver`; each is mapped to an asyncio library."""


def make_driver(dbn: str, driver: str | None = None, **params: Any) -> Driver:
    """Return the driver of *dbn* for the database of *params*.

    Args:
        driver: web.py's name of a library; for a synchronous one, the asyncio library is used and a warning logged.

    Raises:
        ConfigError: *dbn* is unknown, its library is not installed, or it has no such parameter.
    """
    found = _DRIVERS.get(_ALIASES.get(dbn, dbn))
    if found is None:
        raise ConfigError(
            f"dbn={dbn!r}: no such database. Write one of {', '.join(map(repr, _DRIVERS))}.", code="TGA503"
        )
    path, library, extra = found
    _check_library(dbn, driver, library)
    try:
        driver_class: type[Driver] = import_object(path)
    except ModuleNotFoundError as exc:
        if exc.name != library:
            raise
        raise ConfigError(f"dbn={dbn!r} needs {library}: pip install 'torngas-aio[{extra}]'.", code="TGA105") from exc
    try:
        return driver_class(**params)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"database(dbn={dbn!r}, …): {str(exc).partition('() ')[2] or exc}.", code="TGA503") from exc


def _check_library(dbn: str, named: str | None, library: str) -> None:
    if named is None or named == library:
        return
    if named not in _SYNCHRONOUS[_ALIASES.get(dbn, dbn)]:
        raise ConfigError(
            f"driver={named!r}: this layer speaks to {dbn} through {library!r}. Leave driver away.", code="TGA503"
        )
    logger.warning(
        "database(driver=%r): a synchronous library; %r serves the database. Leave driver away.", named, library
    )
