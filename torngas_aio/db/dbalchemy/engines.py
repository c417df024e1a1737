"""SQLAlchemy's engine of one server, configured from the settings: its pool, limits and translation of errors.

A slave's engine uses AUTOCOMMIT without rollbacks, so a read takes one round trip.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool
from sqlalchemy.util.concurrency import await_, greenlet_spawn

from torngas_aio._cleanup import CLOSE_SECONDS, await_result
from torngas_aio._names import import_object, nearest
from torngas_aio.db._connections import advice_on, is_given_up, said_by
from torngas_aio.db._outage import Outage, is_refusal
from torngas_aio.db.dbalchemy.mysql_dialects import AiomysqlDialect, AsyncmyDialect
from torngas_aio.db.dbalchemy.pool import IDLE_SECONDS, POOL_CLASSES, NamedPool, WaitingPool, watch_idle
from torngas_aio.db.dbalchemy.postgres_dialect import AsyncpgDialect
from torngas_aio.db.dbalchemy.specs import ServerSpec
from torngas_aio.db.dbalchemy.sqlite_dialect import AiosqliteDialect, closed_on_error
from torngas_aio.exception import ConfigError, DatabaseUnavailable, Fault, OutcomeUnknown
from torngas_aio.utils.kinds import fault

__all__ = ["begins_with_change", "is_in_memory", "make_engine", "open_connection", "watch_outage"]

logger = logging.getLogger("torngas_aio.db")

begins_with_change: ContextVar[bool] = ContextVar("torngas_aio_db_change", default=False)
"""Whether the transaction that a session is about to begin starts with a write."""

ENGINE_OPTIONS = (
    "connect_args", "creator", "echo", "echo_pool", "enable_from_linting", "execution_options", "hide_parameters",
    "insertmanyvalues_page_size", "isolation_level", "json_deserializer", "json_serializer", "label_length",
    "logging_name", "max_identifier_length", "max_overflow", "paramstyle", "plugins", "pool_logging_name",
    "pool_pre_ping", "pool_recycle", "pool_reset_on_return", "pool_size", "pool_timeout", "pool_use_lifo",
    "poolclass", "query_cache_size", "use_insertmanyvalues",
)  # fmt: skip
"""Options of SQLAlchemy's engines, for a hint when a name is misspelt."""

_UNKNOWN_OPTIONS = re.compile(r"Invalid argument\(s\) (.+?) sent to create_engine").search
_POOL_ONLY = ("pool_size", "max_overflow", "pool_timeout", "pool_use_lifo")


def make_engine(spec: ServerSpec, label: str) -> AsyncEngine:
    """Return an engine for *spec*; it does not connect yet.

    Raises:
        ConfigError: The driver is not installed or not asynchronous, or an option does not exist.
    """
    _register_dialects()
    options = _options(spec)
    try:
        engine = create_async_engine(spec.url, **_coerce(spec.url, options))
    except Exception as exc:  # SQLAlchemy raises arbitrary errors for an invalid option's value
        raise ConfigError(*_unusable(spec, label, exc), code="TGA501") from exc
    _set_limits(engine, spec, label)
    if spec.role == "master":
        _finish_commits(engine)
    _forgive_rollbacks(engine)
    event.listen(engine.sync_engine, "handle_error", _translator(engine.sync_engine, spec, label))
    if spec.is_sqlite:
        _make_sqlite_usual(engine.sync_engine, is_slave=spec.role == "slave")
    return engine


def _register_dialects() -> None:
    """Register our dialects in SQLAlchemy under their driver names. Calling it twice is harmless."""
    for name, dialect in (
        ("mysql.torngas_aiomysql", AiomysqlDialect),
        ("mysql.torngas_asyncmy", AsyncmyDialect),
        ("postgresql.torngas_asyncpg", AsyncpgDialect),
        ("sqlite.torngas_aiosqlite", AiosqliteDialect),
    ):
        registry.register(name, dialect.__module__, dialect.__name__)


def _options(spec: ServerSpec) -> dict[str, object]:
    options = dict(spec.options)
    poolclass = _pool_class(spec, options.pop("poolclass", None))
    options["poolclass"] = poolclass
    if issubclass(poolclass, WaitingPool):
        options.setdefault("pool_use_lifo", True)  # keeps few connections busy instead of many nearly idle
    else:
        for key in _POOL_ONLY:
            options.pop(key, None)
    if spec.role == "slave":
        options |= {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    return options


def _coerce(url: URL, options: dict[str, object]) -> dict[str, object]:
    """Return *options* with text converted to SQLAlchemy's types; its own coercion truncates seconds to integers."""
    types = url.get_dialect().engine_config_types
    seconds = {"pool_timeout": float, "pool_recycle": float}
    return {
        key: (seconds.get(key) or types.get(key) or str)(value) if isinstance(value, str) else value
        for key, value in options.items()
    }


def _pool_class(spec: ServerSpec, named: object) -> type[Pool]:
    if is_in_memory(spec.url):
        return POOL_CLASSES["StaticPool"]  # every further connection would open a new, empty database
    if named is None:
        return WaitingPool
    if isinstance(named, str):
        if named in POOL_CLASSES:
            return POOL_CLASSES[named]
        try:
            named = import_object(named)
        except ImportError as exc:
            raise ConfigError(
                f"SQLALCHEMY_CONFIGURATION['sqlalchemy.poolclass'] = {named!r}: no such pool. "
                f"Write one of {', '.join(sorted(POOL_CLASSES))}, or a full dotted path.",
                code="TGA501",
            ) from exc
    found: object = POOL_CLASSES.get(getattr(named, "__name__", ""), named)
    if not (isinstance(found, type) and issubclass(found, Pool)):
        raise ConfigError(fault("'sqlalchemy.poolclass'", named, "no subclass of sqlalchemy.pool.Pool."), code="TGA501")
    return found


def is_in_memory(url: URL) -> bool:
    if url.get_backend_name() != "sqlite":
        return False
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _set_limits(engine: AsyncEngine, spec: ServerSpec, label: str) -> None:
    module: Any = engine.dialect.loaded_dbapi
    if hasattr(module, "read_seconds"):  # one of our own dialects
        module.read_seconds = spec.read_seconds
        module.connect_seconds = spec.connect_seconds
    pool = engine.sync_engine.pool
    if isinstance(pool, NamedPool):
        pool.label, pool.account = f"database {label}", spec.account
    if not spec.is_sqlite:
        watch_idle(pool, _pinger(engine.sync_engine), IDLE_SECONDS)


def _finish_commits(engine: AsyncEngine) -> None:
    """Defer a cancellation during a COMMIT until its outcome is known, so that functions after the commit can run."""
    dialect: Any = engine.dialect
    commit = dialect.do_commit

    def do_commit(connection: object) -> None:
        await_(await_result(greenlet_spawn(commit, connection), CLOSE_SECONDS))

    dialect.do_commit = do_commit


def _forgive_rollbacks(engine: AsyncEngine) -> None:
    """Ignore the error of a ROLLBACK on a lost connection: the server rolls the transaction back itself.

    The pool replaces the connection at its next checkout.
    """
    dialect: Any = engine.dialect
    rollback = dialect.do_rollback

    def do_rollback(connection: object) -> None:
        try:
            rollback(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise

    dialect.do_rollback = do_rollback


def _pinger(engine: Engine) -> Callable[[DBAPIConnection], bool]:
    dialect = engine.dialect

    def ping(connection: DBAPIConnection) -> bool:
        try:
            return bool(dialect.do_ping(connection))
        except dialect.loaded_dbapi.Error:
            return False

    return ping


def _translator(engine: Engine, spec: ServerSpec, label: str) -> Callable[[ExceptionContext], BaseException | None]:
    """Return a listener that translates lost and refused connections; other errors stay SQLAlchemy's.

    A value that does not fit its column or parameter raises `DataError`, whatever the driver raises.
    """
    module = engine.dialect.loaded_dbapi
    account = spec.account

    def translate(context: ExceptionContext) -> BaseException | None:
        error = context.original_exception
        if not isinstance(error, Exception):  # cancelled
            return None
        if context.connection is None:
            return DatabaseUnavailable(
                f"database {label}: no connection{account} ({said_by(error)}). {advice_on(error)}"
            )
        if context.is_disconnect:
            if getattr(error, "is_of_commit", False):
                return OutcomeUnknown(
                    f"database {label}: the connection was lost ({said_by(error)}) during a COMMIT, whose outcome is "
                    "unknown: read what was written before doing it again."
                )
            return DatabaseUnavailable(f"database {label}: the connection was lost ({said_by(error)}).")
        outage: Outage | None = getattr(module, "outage", None)
        if spec.role == "master" and outage is not None and is_refusal(error):
            return _translate_refusal(context, outage)
        return _of_statement(context, error, label)

    return translate


def _of_statement(context: ExceptionContext, error: Exception, label: str) -> BaseException | None:
    """Return our error if the server has ended the statement, or a `DataError` if a value does not fit.

    None if SQLAlchemy's error is appropriate.
    """
    if is_given_up(error):
        return DatabaseUnavailable(f"database {label}: the server has ended the statement ({said_by(error)}).")
    is_of_values = isinstance(error, OverflowError) or str(getattr(error, "sqlstate", "")).startswith("22")  # asyncpg's
    if not is_of_values or isinstance(context.sqlalchemy_exception, sa_exc.DataError):
        return None
    assert context.engine is not None
    return sa_exc.DataError(context.statement, context.parameters, error, context.engine.hide_parameters)


def _translate_refusal(context: ExceptionContext, outage: Outage) -> BaseException | None:
    """Return the error to raise for a refused write; None if the statement itself is at fault."""
    assert context.connection is not None
    connection: Any = context.connection.connection.dbapi_connection
    if not await_(outage.refuses_writes(partial(greenlet_spawn, connection.takes_writes))):
        return None
    context.is_disconnect, context.invalidate_pool_on_disconnect = True, False
    return outage.unavailable()


def watch_outage(engine: AsyncEngine, spec: ServerSpec, label: str) -> Outage | None:
    """Watch the engine's statements and connections for an outage; probes use a connection outside the pool."""
    module: Any = engine.dialect.loaded_dbapi
    if not hasattr(module, "outage"):  # not one of our own dialects
        return None

    def takes_its_writes() -> bool:
        connection = open_connection(engine.sync_engine, spec)
        try:
            return spec.role == "slave" or bool(connection.takes_writes())
        finally:
            connection.close()

    def drop_idle() -> None:
        if isinstance(pool := engine.sync_engine.pool, WaitingPool):
            pool.drop_idle()

    module.outage = Outage(
        f"Database {label}", partial(greenlet_spawn, takes_its_writes), partial(greenlet_spawn, drop_idle)
    )
    pool = engine.sync_engine.pool
    if isinstance(pool, NamedPool):
        pool.outage = module.outage
    return module.outage  # type: ignore[no-any-return]  # set just above


def open_connection(engine: Engine, spec: ServerSpec) -> Any:
    """Return a connection outside the pool; call it in one of SQLAlchemy's greenlets."""
    arguments, options = engine.dialect.create_connect_args(spec.url)
    return engine.dialect.connect(*arguments, **{**options, **spec.options.get("connect_args", {})})


def _unusable(spec: ServerSpec, label: str, error: Exception) -> Iterator[str]:
    if isinstance(error, ImportError):
        extra, library = spec.driver.install if spec.driver else "db", (error.name or str(error)).partition(".")[0]
        text = f"its driver is not installed ({error}). Install it with `pip install 'torngas-aio[{extra}]'`."
        yield Fault(f"database {label}: {text}", code="TGA105", cause=f"missing {library}")
    elif isinstance(error, sa_exc.NoSuchModuleError):
        yield f"database {label}: {error}. Write a driver such as 'mysql+aiomysql', 'sqlite+aiosqlite'."
    elif isinstance(error, TypeError) and (unknown := _UNKNOWN_OPTIONS(str(error))):
        for name in re.findall(r"'(\w+)'", unknown[1]):
            near = nearest(name, ENGINE_OPTIONS)
            hint = f"Did you mean 'sqlalchemy.{near}'?" if near else "Take it out."
            text = f"'sqlalchemy.{name}': SQLAlchemy has no such option for this database. {hint}"
            yield Fault(f"SQLALCHEMY_CONFIGURATION or 'kwargs' of database {label}: {text}", code="TGA502", cause=text)
    else:
        yield f"database {label}: {type(error).__name__}: {error}"


def _make_sqlite_usual(engine: Engine, *, is_slave: bool) -> None:
    """Enable foreign keys and WAL (readers concurrent with a writer), and let SQLAlchemy begin transactions."""

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        with closed_on_error(connection):
            connection.isolation_level = None  # no implicit BEGIN: savepoints and SELECTs are inside
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA query_only = ON" if is_slave else "PRAGMA journal_mode = WAL")
            cursor.close()

    if not is_slave:
        dialect: Any = engine.dialect
        rollback = dialect.do_rollback

        def do_rollback(connection: Any) -> None:  # also called when a committed connection returns to the pool
            if connection.driver_connection.in_transaction:
                rollback(connection)

        dialect.do_rollback = do_rollback

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if begins_with_change.get() else "BEGIN")
