"""How each database is spoken to: one driver a file, behind the contract of `base.py`.

Begin with `make_driver`.
"""

from typing import Any

from torngas_aio._importing import import_object
from torngas_aio.db.basedb.drivers.base import Driver, Result
from torngas_aio.exception import ConfigError

__all__ = ["Driver", "Result", "make_driver"]

_DRIVERS = {
    "sqlite": ("torngas_aio.db.basedb.drivers.sqlite.SQLiteDriver", "aiosqlite", "sqlite"),
    "mysql": ("torngas_aio.db.basedb.drivers.mysql.MySQLDriver", "aiomysql", "mysql"),
    "postgres": ("torngas_aio.db.basedb.drivers.postgres.PostgresDriver", "asyncpg", "postgres"),
}
_ALIASES = {"postgresql": "postgres", "mariadb": "mysql", "sqlite3": "sqlite"}


def make_driver(dbn: str, **params: Any) -> Driver:
    """Return the driver of *dbn* for the database that *params* name.

    Raises:
        ConfigError: There is none of that name, its library is not installed, or a parameter is not its own.
    """
    found = _DRIVERS.get(_ALIASES.get(dbn, dbn))
    if found is None:
        raise ConfigError(f"dbn={dbn!r}: no such database. Write one of {', '.join(map(repr, _DRIVERS))}.")
    path, library, extra = found
    try:
        driver_class: type[Driver] = import_object(path)
    except ModuleNotFoundError as exc:
        if exc.name != library:
            raise
        raise ConfigError(f"dbn={dbn!r} needs {library}: pip install 'torngas-aio[{extra}]'.") from exc
    try:
        return driver_class(**params)
    except TypeError as exc:
        raise ConfigError(f"database(dbn={dbn!r}, …): {str(exc).partition('() ')[2] or exc}.") from exc
