"""Cache and database calls, reported to listeners, inside and outside of requests.

with watched_calls(listener)     listener(call) after each call; `observing.current_observation()` is the request's

caches      every cache that this loop opens is switched to a subclass that reports its calls: the methods of `Store`,
            and `get`, `set` and `add` if the class overrides them
databases   SQLAlchemy's events, if it is imported or DATABASE_CONNECTION is set; and the statements of basedb
"""

import functools
import sys
from abc import ABCMeta
from collections.abc import Callable, Generator, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio.cache.backends.base import MISSING, BaseCache
from torngas_aio.cache.registry import caches
from torngas_aio.cache.store import Store
from torngas_aio.db import statement_listeners
from torngas_aio.settings_manager import settings

__all__ = ["Call", "Listener", "watched_calls"]


@dataclass(frozen=True, slots=True)
class Call:
    """A completed call.

    Attributes:
        kind: "cache" or "sql".
        target: The alias in CACHES, or the name in DATABASE_CONNECTION; for basedb the name of the database.
        role: The database server's role, master or slave; "" for basedb.
        server: The database server's label in messages.
        operation: The cache's method, such as get or set_many; or the statement's first word, in capitals.
        text: The key, or the statement without its parameters; may contain data sent by a client.
        started: Start, as `time.perf_counter()`.
        seconds: Duration.
        hits: Number of requested keys that the cache held; `misses`: of those that it did not.
        error: The exception raised, if any.
        parameters: The statement's parameters as passed to the driver; may contain secrets.
        names: Names of positional parameters, if SQLAlchemy knows them.
    """

    kind: str
    target: str
    operation: str
    text: str
    started: float
    seconds: float
    role: str = ""
    server: str = ""
    hits: int = 0
    misses: int = 0
    error: BaseException | None = None
    parameters: Any = None
    names: Sequence[str] = ()


Listener = Callable[[Call], None]

_listeners: list[Listener] = []


@contextmanager
def watched_calls(listener: Listener) -> Generator[None]:
    """Invoke *listener* after each call while the block runs; it must be fast and must not raise."""
    if _instrument not in caches.on_open:
        caches.on_open.append(_instrument)
    if settings.DATABASE_CONNECTION or "sqlalchemy" in sys.modules:
        _listen_to_engines()
    if _on_statement not in statement_listeners:
        statement_listeners.append(_on_statement)
    _listeners.append(listener)
    with suppress(RuntimeError):  # no event loop is running yet
        for _, cache in caches.opened():
            _instrument(cache)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _notify(call: Call) -> None:
    for listener in _listeners:
        listener(call)


# Caches

_READS = ("raw_get", "raw_read", "raw_get_many", "get")
_UNSEEN = {"raw_ping", "raw_close"}
_CALLS = (*(name for name in vars(Store) if name.startswith("raw_") and name not in _UNSEEN), "get", "set", "add")
"""Methods whose first argument is a key, or several keys."""


def _instrument(cache: BaseCache) -> None:
    variant: Any = cache
    if _listeners and not getattr(variant, "is_reporting", False):
        variant.__class__ = _variant_of(type(variant))  # type: ignore[arg-type]  # classes are hashable


@functools.lru_cache(256)
def _variant_of(cls: type[BaseCache]) -> type[BaseCache]:
    """Return a subclass of *cls*, with the same name, whose methods report their calls."""
    names: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "is_reporting": True,
    }
    for name in _CALLS:
        base = Store if name.startswith("raw_") else BaseCache
        own = getattr(cls, name, None)  # a RedisClient has no such methods: only its `.client` is used
        if own is not None and own is not getattr(base, name):  # the base's method calls others, which are reported
            names[name] = _reporting_get(cls.get) if name == "get" else _reporting(name, own)
    variant: Any = ABCMeta(cls.__name__, (cls,), names)
    return variant  # type: ignore[no-any-return]  # a subclass of cls


def _reporting(name: str, call: Any) -> Any:
    operation, is_read = name.removeprefix("raw_"), name in _READS

    @functools.wraps(call)
    async def reporting(self: BaseCache, key: Any, *args: Any, **kwargs: Any) -> Any:
        if name.endswith("_many"):
            key = key if isinstance(key, Sized) else list(key)
        started, hits, wanted, error = perf_counter(), 0, 0, None
        try:
            found = await call(self, key, *args, **kwargs)
            if is_read:
                wanted = len(key) if name == "raw_get_many" else 1
                hits = len(found) if name == "raw_get_many" else int(found is not None)
            return found
        except BaseException as exc:
            error = exc
            raise
        finally:
            text = f"{len(key)} keys" if name.endswith("_many") else str(key)
            seconds = perf_counter() - started
            misses = wanted - hits
            _notify(Call("cache", self.alias, operation, text, started, seconds, hits=hits, misses=misses, error=error))

    return reporting


def _reporting_get(get: Any) -> Any:
    """Return a reporting `get` for a class that overrides it: a returned default must count as a miss."""

    async def found_or_none(self: BaseCache, key: Any, version: int | None = None) -> Any:
        found = await get(self, key, MISSING, version)
        return None if found is MISSING else (found,)

    reporting = _reporting("get", found_or_none)

    @functools.wraps(get)
    async def reporting_get(self: BaseCache, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = await reporting(self, key, version)
        return default if found is None else found[0]

    return reporting_get


# Databases

_servers: WeakKeyDictionary[Any, tuple[str, str, str]] = WeakKeyDictionary()
"""Dialect: name, role and label of its server. An engine and its copies with execution options share one dialect."""


@functools.cache
def _listen_to_engines() -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "before_cursor_execute", _on_begin)
    event.listen(Engine, "after_cursor_execute", _on_end)
    event.listen(Engine, "handle_error", _on_error)


def _on_begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:  # noqa: PLR0917  SQLAlchemy's
    if context is not None:
        context.torngas_started, context.torngas_parameters = perf_counter(), parameters


def _on_end(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:  # noqa: PLR0917  SQLAlchemy's
    _notify_sql(connection.dialect, statement, context, None)


def _on_error(error: Any) -> None:
    _notify_sql(error.dialect, error.statement or "", error.execution_context, error.original_exception)


def _notify_sql(dialect: Any, statement: str, context: Any, error: BaseException | None) -> None:
    started = getattr(context, "torngas_started", None)
    if started is not None and _listeners:
        name, role, server = _server_of(dialect)
        _notify(
            Call(
                "sql", name, _operation_of(statement), statement, started, perf_counter() - started,
                role=role, server=server, error=error,
                parameters=context.torngas_parameters, names=getattr(context.compiled, "positiontup", None) or (),
            )
        )  # fmt: skip


def _on_statement(
    address: str, statement: str, values: Sequence[object], started: float, error: BaseException | None
) -> None:
    if _listeners:
        name, operation = address.rpartition("/")[2], _operation_of(statement)
        seconds = perf_counter() - started
        _notify(
            Call("sql", name, operation, statement, started, seconds, server=address, error=error, parameters=values)
        )


def _operation_of(statement: str) -> str:
    return statement.split(None, 1)[0].upper() if statement.strip() else ""


def _server_of(dialect: Any) -> tuple[str, str, str]:
    from torngas_aio.db.dbalchemy.registry import open_clusters

    found = _servers.get(dialect)
    if found is None:
        for cluster in open_clusters():
            for node in cluster.nodes:
                role = "master" if node.is_master else "slave"
                _servers[node.sync_engine.dialect] = cluster.name, role, node.label
        found = _servers.setdefault(dialect, ("", "", ""))  # an engine that the project made itself
    return found
