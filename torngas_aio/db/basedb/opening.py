"""Construction of a database from a URL or from parameters.

"mysql://user:p%40ss@db.local/shop" ─┐
dbn="mysql", user="user", ...       ─┴─► driver and pool parameters ─► Database
"""

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from torngas_aio.db.basedb.database import Database
from torngas_aio.db.basedb.drivers import make_driver
from torngas_aio.exception import ConfigError

__all__ = ["MySQLDB", "PostgresDB", "SqliteDB", "database", "dburl2dict"]

_POOL_PARAMS = ("pooling", "node_connections", "pool_size", "pool_timeout", "pool_recycle", "timeout")


_QUOTE = "User and password must be quoted: '/' as %2F, '@' as %40, ':' as %3A, '#' as %23 (urllib.parse.quote)."


def database(dburl: str | None = None, **params: Any) -> Database:
    """Return the database of *dburl* or *params*; no connection is opened yet.

        database("mysql://user:p%40ss@db.local:3306/shop?charset=utf8mb4")
        database(dbn="mysql", user="user", pw="p@ss", host="db.local", db="shop")
        database("sqlite:///shop.db")     database("sqlite:////var/lib/shop.db")     database("sqlite://:memory:")

    Args:
        dburl: The URL; without it and without `dbn`, the environment variable `DATABASE_URL` is used.
        params: `dbn` (sqlite, mysql, postgres), `db`, `user`, `pw`, `host`, `port`; `pool_size` (10),
            `pool_timeout` (5 s of waiting for a connection), `timeout` (30 s for one statement),
            `pool_recycle` (seconds after which a connection is replaced, 0: never), `node_connections` (instead of
            `pool_size`: for all processes of this node together), `pooling` (True; False closes a connection after
            its statement or transaction); `driver`, a library's name as in web.py; and further arguments of the
            driver. They override the URL.

    Raises:
        ConfigError: The kind of database is unknown, its library is not installed, or a parameter is invalid.
    """
    if dburl is None and "dbn" not in params:
        dburl = os.environ.get("DATABASE_URL")
    chosen = {**(dburl2dict(dburl) if dburl else {}), **params}
    if "dbn" not in chosen:
        raise ConfigError("database() was told no database. Pass a URL or dbn=…, or set DATABASE_URL.", code="TGA503")
    pool = {name: chosen.pop(name) for name in _POOL_PARAMS if name in chosen}
    return Database(make_driver(chosen.pop("dbn"), **chosen), **pool)


def _kind(dbn: str) -> Callable[..., Database]:
    def make(**params: Any) -> Database:
        return database(dbn=dbn, **params)

    make.__doc__ = f"Return a {dbn} database; see `database`."
    return make


MySQLDB = _kind("mysql")
PostgresDB = _kind("postgres")
SqliteDB = _kind("sqlite")


def dburl2dict(url: str) -> dict[str, Any]:
    """Parse a database's URL into parameters of `database`; absent parts are left out.

    Raises:
        ConfigError: The URL is invalid.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"database(): the URL cannot be read. {_QUOTE}", code="TGA503") from None
    scheme = parts.scheme.partition("+")[0]
    if not scheme or "://" not in url:
        raise ConfigError(
            "database(): the URL has no scheme. Write such as 'mysql://user:password@host/database'.", code="TGA503"
        )
    found: dict[str, object] = dict(parse_qsl(parts.query))
    found["dbn"] = scheme
    if scheme.startswith("sqlite"):
        place = url.partition("://")[2].partition("?")[0]
        found["db"] = unquote(place.removeprefix("/")) or ":memory:"
        return found
    if "@" not in parts.netloc and "@" in url.partition("?")[0]:
        raise ConfigError(
            f"database(): the URL's host cannot be read: it has an '@' behind its first '/'. {_QUOTE}", code="TGA503"
        )
    try:
        port = parts.port
    except ValueError:  # its message quotes the text after the ':', which may be a password
        raise ConfigError(f"database(): the URL's port cannot be read. {_QUOTE}", code="TGA503") from None
    wanted = {
        "db": unquote(parts.path.removeprefix("/")) or None,
        "user": parts.username and unquote(parts.username),
        "pw": parts.password and unquote(parts.password),
        "host": parts.hostname,
        "port": port,
    }
    found.update((name, value) for name, value in wanted.items() if value is not None)
    return found
