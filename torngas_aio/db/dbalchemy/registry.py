"""The registry of clusters, one per connection name and event loop, and the current session of a context.

    settings.DATABASE_CONNECTION ─► cluster_of(name) ── one per event loop, closed with it
    session_scope(name)   a session for this block ┐
    a request             one for the request      ┴─► current_session(name) ◄── Model.session, Model.Q

This is the only module of the layer that reads settings.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio._cleanup import Close, close_with_loop
from torngas_aio.context import (
    ORDER_TRANSACTION,
    JobScope,
    MessageScope,
    RequestScope,
    current_request,
    current_scope,
    scope_of,
)
from torngas_aio.db._connections import limited
from torngas_aio.db.dbalchemy.cluster import Cluster
from torngas_aio.db.dbalchemy.db_session import DbSession
from torngas_aio.db.dbalchemy.monitoring import LagWatch
from torngas_aio.db.dbalchemy.positions import STICKINESS, Stickiness
from torngas_aio.db.dbalchemy.specs import DatabaseSpec, parse_database, parse_databases
from torngas_aio.exception import ConfigError
from torngas_aio.logger.loggers import request_summary
from torngas_aio.settings_manager import settings

__all__ = [
    "close_sessions",
    "cluster_of",
    "current_session",
    "database_specs",
    "leave_sessions",
    "open_clusters",
    "open_session",
    "open_sessions",
    "rolled_back",
    "session_scope",
    "validate_databases",
]

logger = logging.getLogger("torngas_aio.db")

_Held = dict[tuple[str, int, int], tuple[Cluster, Any, Any]]
_clusters: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Held]" = WeakKeyDictionary()
_NONE: Mapping[str, Any] = {}
_scoped: ContextVar[Mapping[str, DbSession]] = ContextVar("torngas_aio_db_sessions")
_logged: set[str] = set()  # notes that were already logged, on the settings in `_logged_for`
_logged_for: tuple[object, object] = (None, None)
_tested: ContextVar[Mapping[str, DbSession]] = ContextVar("torngas_aio_db_tests")  # the sessions of `rolled_back`


def database_specs() -> tuple[DatabaseSpec, ...]:
    """Return every configured database.

    Raises:
        ConfigError: One list of all faults.
    """
    return parse_databases(settings.DATABASE_CONNECTION, settings.SQLALCHEMY_CONFIGURATION, _log_once)


def validate_databases() -> list[str]:
    """Create every configured engine, without connecting; return notes on accepted but outdated settings.

    Raises:
        ConfigError: One list of all faults: invalid settings, unknown options of SQLAlchemy, missing drivers.
    """
    notes: dict[str, None] = {}
    faults: list[str] = []
    for spec in parse_databases(settings.DATABASE_CONNECTION, settings.SQLALCHEMY_CONFIGURATION, notes.setdefault):
        try:
            Cluster(spec)
        except ConfigError as exc:
            faults += exc.faults
    ConfigError.gather(faults, code="TGA501")
    _forget_other_settings()
    _logged.update(notes)
    return list(notes)


def _forget_other_settings() -> None:
    global _logged_for  # noqa: PLW0603
    current = settings.DATABASE_CONNECTION, settings.SQLALCHEMY_CONFIGURATION
    if any(one is not other for one, other in zip(current, _logged_for, strict=True)):
        _logged.clear()
        _logged_for = current


def _log_once(note: str) -> None:
    _forget_other_settings()
    if note not in _logged:
        _logged.add(note)
        logger.warning("%s", note)


def cluster_of(name: str = "default") -> Cluster:
    """Return the servers of the connection *name* for the running event loop; created on first use.

    Raises:
        UnknownAlias: No such connection is configured.
        ConfigError: Its configuration is invalid.
    """
    connections, configuration = settings.DATABASE_CONNECTION, settings.SQLALCHEMY_CONFIGURATION
    held = _clusters.setdefault(asyncio.get_running_loop(), {})
    key = (name, id(connections), id(configuration))  # settings.override has its own dicts, and so its own clusters
    entry = held.get(key)
    if entry is None:
        cluster = Cluster(parse_database(name, connections, configuration, _log_once))
        held[key] = cluster, connections, configuration  # keep the dicts alive, so that their ids are not reused
        close_with_loop(("database", *key), _closer(held, key, cluster, _watch_lag(cluster)))
        return cluster
    return entry[0]


def _watch_lag(cluster: Cluster) -> LagWatch | None:
    max_seconds = float(settings.MAX_LAG or 0)
    slaves = [slave for slave in cluster.slaves if slave.outage is not None]
    if not slaves or cluster.master.outage is None or max_seconds <= 0:
        return None
    watch = LagWatch(cluster.master, slaves, max_seconds)
    watch.start()
    return watch


def _closer(held: _Held, key: tuple[str, int, int], cluster: Cluster, watch: LagWatch | None) -> Close:
    async def aclose() -> None:
        held.pop(key, None)
        if watch is not None:
            await watch.aclose()
        await cluster.aclose()

    return aclose


def open_clusters() -> list[Cluster]:
    """Return the clusters opened in the running event loop."""
    return [cluster for cluster, _, _ in _clusters.get(asyncio.get_running_loop(), {}).values()]


def open_session(name: str = "default", **options: Any) -> DbSession:
    """Return a new session, which the caller closes with `aclose()`."""
    tested = _tested.get(_NONE).get(name)
    connection: Any = None if tested is None else tested.bind
    request = current_request()
    stickiness: Stickiness | None = None if request is None else scope_of(request).get(STICKINESS)
    if stickiness is None:
        return DbSession(cluster_of(name), connection=connection, **options)
    options = {"is_pinned": stickiness.is_pinned(name), "wanted": stickiness.wanted(name), **options}
    options["notes_commits"] = connection is None
    session = DbSession(cluster_of(name), connection=connection, **options)
    if not isinstance(current_scope(), MessageScope):  # for a message, the cookie was already sent with the 101
        stickiness.watch(name, session)
    return session


def open_sessions() -> list[DbSession]:
    """Return the sessions open in this context: those of `session_scope` blocks, and the request's."""
    scope = current_scope()
    if scope is None:
        return [*_scoped.get(_NONE).values(), *_tested.get(_NONE).values()]
    held = [scope.get(("db_session", name)) for name in settings.DATABASE_CONNECTION]
    return [*_scoped.get(_NONE).values(), *(each for each in held if each is not None)]


def leave_sessions() -> None:
    """Hide the surrounding `session_scope` blocks from this context until it ends; for independent work."""
    _scoped.set(_NONE)


def current_session(name: str = "default") -> DbSession:
    """Return the session of the innermost `session_scope`, else that of the request or job, created on first use.

    Raises:
        RuntimeError: There is no scope, request or job.
    """
    scoped: DbSession | None = _scoped.get(_NONE).get(name)
    if scoped is not None:
        return scoped
    scope = current_scope()
    if scope is None:
        tested: DbSession | None = _tested.get(_NONE).get(name)
        if tested is not None:
            return tested
        raise RuntimeError(
            f"No database session of {name!r} here: this code runs outside any request. "
            f"Open one: `from torngas_aio import session_scope`, `async with session_scope({name!r}) as session:`. "
            "A script has one in `async with torngas_aio.project():`, or when it is run by `torngas-aio run`."
        )
    key = ("db_session", name)
    session: DbSession | None = scope.get(key)
    return session if session is not None else _open_for_request(scope, name, key)


async def close_sessions() -> None:
    """Roll back the current request's open transactions and return its connections; its sessions stay usable."""
    scope = current_scope()
    if scope is None:
        return
    for name in settings.DATABASE_CONNECTION:
        session: DbSession | None = scope.get(("db_session", name))
        if session is not None:
            if session.has_changes:
                _log_loss(name, session, "the handshake, or the head of the stream,")
            await session.close()


def _open_for_request(scope: RequestScope, name: str, key: tuple[str, str]) -> DbSession:
    session = _open_for_message(name, key) if isinstance(scope, MessageScope) else open_session(name)
    close = session.aclose if isinstance(scope, JobScope) else partial(_close, scope, name, session)
    settle = session.settle if settings.ATOMIC_REQUESTS else None
    scope.add(key, session, order=ORDER_TRANSACTION, settle=settle, close=close, close_now=session.close_now)
    return session


def _open_for_message(name: str, key: tuple[str, str]) -> DbSession:
    """Return a new session; it reads from the master if the previous session of the same request did."""
    request = current_request()
    assert request is not None
    outer, last = scope_of(request), (*key, "of a message")
    before: DbSession | None = outer.get(last) or outer.get(key)
    session = open_session(name)
    if before is not None and before.is_on_master:
        session.using_master()
    outer.add(last, session)
    return session


async def _close(scope: RequestScope, name: str, session: DbSession) -> None:
    """Close *session*, and log uncommitted changes unless they belong to a failed request."""
    if session.has_changes and not scope.has_failed:
        _log_loss(name, session, "a message" if isinstance(scope, MessageScope) else "the request")
    await session.aclose()


def _log_loss(name: str, session: DbSession, what: str) -> None:
    request = current_request()
    where = "" if request is None else f" of {request_summary(request)}"
    waiting = session.sync_session.transaction_end.waiting_for_commit
    logger.warning(
        "Changes of the database session %r are rolled back: nothing has committed them when %s%s ended.%s "
        "Changes made without ATOMIC_REQUESTS, in scripts, after the response was sent, or in an event stream "
        "need their own `await session.commit()`; `await session.rollback()` drops them without this warning.",
        name, what, where, "".join(f" Not done: {function!r}." for function in waiting),
    )  # fmt: skip


_SERVERS: Any = object()


@asynccontextmanager
async def session_scope(
    name: str = "default", *, timeout: float | None = _SERVERS, **options: Any
) -> AsyncGenerator[DbSession]:
    """Provide a session of the connection *name* for this block, also to `Model.session` and `Model.Q` in it.

    Uncommitted changes are rolled back at the end, with a warning unless the block failed. Inside a request the session
    is separate from the request's and has its own transaction, so each of several tasks can have one.

    Args:
        timeout: Deadline of each statement in this block in seconds, None for no limit; default, the server's
            READ_TIMEOUT.
        options: Of SQLAlchemy's `AsyncSession`, such as `autoflush=False`.
    """
    session = open_session(name, **options)
    token = _scoped.set({**_scoped.get(_NONE), name: session})
    with nullcontext() if timeout is _SERVERS else limited(timeout):
        try:
            yield session
            if session.has_changes:
                _log_loss(name, session, "its block")
        finally:
            _leave(_scoped, token, name, session)
            await session.aclose()


def _leave(held: ContextVar[Mapping[str, Any]], token: Any, name: str, entered: object) -> None:
    try:
        held.reset(token)
    except ValueError:  # a generator that is closed in another context, such as a pytest fixture's
        left = held.get(_NONE)
        if left.get(name) is entered:
            held.set({key: each for key, each in left.items() if key != name})


@asynccontextmanager
async def rolled_back(name: str = "default") -> AsyncGenerator[DbSession]:
    """Provide a session whose changes, including commits, are undone at the end; for tests.

    Sessions opened meanwhile in this context, and by requests and jobs it starts, share the same outer transaction on
    the master: each commits or rolls back a savepoint, and sees the changes of the others. Rows that the provided
    session reads replace the state of objects it has loaded before.
    """
    connection = await cluster_of(name).master.engine.connect()
    transaction = await connection.begin()
    session = DbSession(cluster_of(name), connection=connection, reads_again=True)
    token = _tested.set({**_tested.get(_NONE), name: session})
    try:
        yield session
    finally:
        _leave(_tested, token, name, session)
        await session.aclose()
        await transaction.rollback()
        await connection.close()
