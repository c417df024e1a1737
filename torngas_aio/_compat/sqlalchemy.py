"""Private names of SQLAlchemy: the parts of a SELECT, the state of a session, and the adapter of asyncpg."""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from sqlalchemy import QueuePool, Select
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.pool.base import _ConnectionRecord

__all__ = [
    "call_and_discard",
    "has_common_table",
    "has_connection",
    "is_dirty",
    "is_empty",
    "is_flushing",
    "leave_block",
    "locks_rows",
    "max_overflow_of",
    "options_of",
    "order_by_of",
    "parts_of",
    "ping_asyncpg",
    "raise_adapted",
    "raw_columns_of",
    "resolve_lambda",
    "unopened_record",
]


def parts_of(statement: Select[Any]) -> frozenset[str]:
    """Return the names of the methods that built *statement*, among those of `_PARTS`."""
    found = {name: getattr(statement, attribute) for name, attribute in _PARTS.items()}
    return frozenset(name for name, value in found.items() if value is not None and not _is_empty(value))


def order_by_of(statement: Select[Any]) -> Sequence[object]:
    """Return the clauses of ORDER BY, in order."""
    return statement._order_by_clauses


def options_of(statement: Select[Any]) -> Any:
    """Return the loader options, in the form that `Session.get` accepts."""
    return statement._with_options


def has_common_table(clause: Any) -> bool:
    """Return whether a statement has common table expressions that it does not select from (`add_cte`)."""
    return bool(clause._independent_ctes)


def resolve_lambda(clause: object) -> object:
    """Return the statement of a `lambda_stmt`; any other clause unchanged."""
    return getattr(clause, "_resolved", clause)


def locks_rows(clause: object) -> bool:
    """Return whether *clause* is a SELECT ... FOR UPDATE, or FOR SHARE."""
    return getattr(clause, "_for_update_arg", None) is not None


def raw_columns_of(clause: object) -> Sequence[object] | None:
    """Return the columns and tables of a SELECT; None for other statements."""
    return getattr(clause, "_raw_columns", None)


def has_connection(session: Session) -> bool:
    """Return whether the transaction of *session* already has a connection."""
    transaction = session._transaction
    return transaction is not None and bool(transaction._connections)


def is_flushing(session: Session) -> bool:
    """Return whether *session* is flushing."""
    return session._flushing


def is_dirty(session: Session) -> bool:
    """Return whether *session* may have something to flush; cheaper than `session.dirty`."""
    return bool(session._new or session._deleted or session.identity_map._modified)


def is_empty(session: Session) -> bool:
    """Return whether *session* contains no object."""
    return not session._new and not session.identity_map.keys()


def leave_block(session: Session) -> None:
    """Make *session* usable inside the `begin()` block whose transaction has ended."""
    session._trans_context_manager = None


def max_overflow_of(pool: QueuePool) -> int:
    """Return how many connections *pool* may have beyond its size; -1: no limit."""
    return pool._max_overflow


def unopened_record(pool: Pool) -> ConnectionPoolEntry:
    """Return an empty record of *pool*, whose connection is opened on checkout."""
    return _ConnectionRecord(pool, connect=False)


async def call_and_discard(connection: Any, end: Callable[[], Awaitable[object]]) -> None:
    """Await *end*, which ends the transaction of an adapted asyncpg *connection*, and discard the transaction."""
    await connection._call_and_discard(end)


async def ping_asyncpg(connection: Any) -> None:
    """Check with a query that the server of an adapted asyncpg *connection* responds."""
    await connection._async_ping()


def raise_adapted(connection: Any, error: Exception) -> NoReturn:
    """Raise *error* of asyncpg as the corresponding error of SQLAlchemy's driver."""
    connection._handle_exception(error)
    raise error


_PARTS = {
    "limit": "_limit_clause",
    "offset": "_offset_clause",
    "order_by": "_order_by_clauses",
    "group_by": "_group_by_clauses",
    "having": "_having_criteria",
    "join": "_setup_joins",
    "distinct": "_distinct",
}


def _is_empty(value: object) -> bool:
    return value is False or (isinstance(value, tuple) and not value)
