"""Calls of caches and databases, as observers see them, in requests and outside of them.

with watched_calls(listener)     listener(call) after each; `observing.current_observation()` is the request's

caches      those that this loop has opened, or opens from then on, become variants of their classes; the calls are
            those of `Store`, and `get`, `set` and `add` where a class has its own
databases   SQLAlchemy's events, only where it is imported, or DATABASE_CONNECTION names one; statements of basedb
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
    """One call that has ended.

    Attributes:
        kind: "cache" or "sql".
        target: The alias in CACHES; the name in DATABASE_CONNECTION, for basedb the database's own.
        role: Of the database's server: master or slave; "" for basedb.
        server: The database's server as messages name it.
        operation: Of a cache, such as get or set_many; of SQL the statement's first word, in capitals.
        text: The key, or the statement without its parameters; may hold what a client has sent.
        started: As `time.perf_counter()`.
        seconds: How long it took.
        hits: How many keys a cache had of those it was asked for; `misses`: how many it had not.
        error: What it raised.
        parameters: Of the statement, as the driver was given them; may be secret.
        names: Of parameters that are given by place, where SQLAlchemy knows them.
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
    """Have *listener* called after each call while the block runs; it must be quick, and raise nothing."""
    if _become_variant not in caches.on_open:
        caches.on_open.append(_become_variant)
    if settings.DATABASE_CONNECTION or "sqlalchemy" in sys.modules:
        _listen_to_engines()
    if _on_statement not in statement_listeners:
        statement_listeners.append(_on_statement)
    _listeners.append(listener)
    with suppress(RuntimeError):  # no loop runs yet
        for _, cache in caches.opened():
            _become_variant(cache)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _tell(call: Call) -> None:
    for listener in _listeners:
        listener(call)


# Caches

_READS = ("raw_get", "raw_read", "raw_get_many", "get")
_UNSEEN = {"raw_ping", "raw_close"}
_CALLS = (*(name for name in vars(Store) if name.startswith("raw_") and name not in _UNSEEN), "get", "set", "add")
"""What is called with a key, or with several, as the first argument."""


def _become_variant(cache: BaseCache) -> None:
    variant: Any = cache
    if _listeners and not getattr(variant, "is_told", False):
        variant.__class__ = _variant_of(type(variant))  # type: ignore[arg-type]  # classes are hashable


@functools.lru_cache(256)
def _variant_of(cls: type[BaseCache]) -> type[BaseCache]:
    """Return the class that is *cls* but for its calls, which are told; it has the same name."""
    names: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "is_told": True,
    }
    for name in _CALLS:
        base = Store if name.startswith("raw_") else BaseCache
        own = getattr(cls, name, None)  # a RedisClient has none: only its `.client` is used
        if own is not None and own is not getattr(base, name):  # else it consists of others
            names[name] = _told_get(cls.get) if name == "get" else _told(name, own)
    variant: Any = ABCMeta(cls.__name__, (cls,), names)
    return variant  # type: ignore[no-any-return]  # a subclass of cls


def _told(name: str, call: Any) -> Any:
    operation, is_read = name.removeprefix("raw_"), name in _READS

    @functools.wraps(call)
    async def told(self: BaseCache, key: Any, *args: Any, **kwargs: Any) -> Any:
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
            _tell(Call("cache", self.alias, operation, text, started, seconds, hits=hits, misses=misses, error=error))

    return told


def _told_get(get: Any) -> Any:
    """Return the `get` of a class that has its own: what it returns may be the caller's default."""

    async def found_or_none(self: BaseCache, key: Any, version: int | None = None) -> Any:
        found = await get(self, key, MISSING, version)
        return None if found is MISSING else (found,)

    told = _told("get", found_or_none)

    @functools.wraps(get)
    async def told_get(self: BaseCache, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = await told(self, key, version)
        return default if found is None else found[0]

    return told_get


# Databases

_servers: WeakKeyDictionary[Any, tuple[str, str, str]] = WeakKeyDictionary()
"""Name, role and label of the server that each dialect is of: engines with options share theirs."""


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
    _tell_sql(connection.dialect, statement, context, None)


def _on_error(error: Any) -> None:
    _tell_sql(error.dialect, error.statement or "", error.execution_context, error.original_exception)


def _tell_sql(dialect: Any, statement: str, context: Any, error: BaseException | None) -> None:
    started = getattr(context, "torngas_started", None)
    if started is not None and _listeners:
        name, role, server = _server_of(dialect)
        _tell(
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
        _tell(Call("sql", name, operation, statement, started, seconds, server=address, error=error, parameters=values))


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
        found = _servers.setdefault(dialect, ("", "", ""))  # an engine of the project's own
    return found
