"""What a statement does to a database, seen before it runs: read, lock, or change.

    SELECT of tables, columns, known functions              read     a slave may answer
    SELECT ... FOR UPDATE                                    lock     the master; what is read next too
    INSERT, UPDATE, DELETE, DDL, CALL, unknown functions     change   the master, and reads follow it
    text("SELECT ...")                                       text     the master, unless a role says 'slave'

Begin with `effect_of`.
"""

import enum
import re
from typing import Any

from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause, TextClause
from sqlalchemy.sql.functions import Function, FunctionElement
from sqlalchemy.sql.schema import Table

from torngas_aio._compat.sqlalchemy import has_common_table
from torngas_aio.db._connections import PURE_FUNCTIONS

__all__ = ["Effect", "effect_of"]


class Effect(enum.Enum):
    """What a statement does, as far as the routing must know."""

    READ = "read"
    TEXT = "text"
    LOCK = "lock"
    CHANGE = "change"


_READING_TEXT = re.compile(r"\s*(?:\(\s*)*(?:select|show|explain|describe|desc|values|pragma)\b", re.IGNORECASE)
_LOCKING_TEXT = re.compile(
    r"\bfor\s+(?:no\s+key\s+)?(?:update|share|key\s+share)\b|\block\s+in\s+share\b", re.IGNORECASE
)


def effect_of(clause: object) -> Effect:
    """Return what *clause* does; whatever is not known to read counts as a change."""
    clause = getattr(clause, "_resolved", clause)  # a lambda's statement
    if isinstance(clause, TextClause):
        return _effect_of_text(clause.text)
    inner = getattr(clause, "element", None)  # select(Model).from_statement(text(...))
    if isinstance(inner, TextClause):
        return _effect_of_text(inner.text)
    if not getattr(clause, "is_select", False):
        return Effect.CHANGE
    if getattr(clause, "_for_update_arg", None) is not None:
        return Effect.LOCK
    if _is_plain(clause):
        return Effect.READ
    return _effect_of_parts(clause)


def _is_plain(clause: object) -> bool:
    """Whether *clause* selects tables and columns only.

    PERF: nearly every read of a model is: 0.5 us, where looking at every part costs 15 us and more.
    """
    columns = getattr(clause, "_raw_columns", None)
    if columns is None or has_common_table(clause):
        return False
    return all(
        isinstance(column, Table) or (isinstance(column, ColumnClause) and isinstance(column.table, Table))
        for column in columns
    )


def _effect_of_parts(clause: Any) -> Effect:
    found = Effect.READ
    for part in visitors.iterate(clause):
        if getattr(part, "is_dml", False) or part.__visit_name__ in _CHANGING:
            return Effect.CHANGE
        if getattr(part, "_for_update_arg", None) is not None:
            found = Effect.LOCK
        if isinstance(part, FunctionElement) and _may_write(part):
            return Effect.CHANGE
    return found


_CHANGING = frozenset({"next_value", "sequence"})


def _may_write(function: Any) -> bool:
    if not isinstance(function, Function):
        return function.__visit_name__ in _CHANGING
    return function.name.lower() not in PURE_FUNCTIONS or bool(function.packagenames)


def _effect_of_text(text: str) -> Effect:
    if not _READING_TEXT.match(text) or ";" in text.rstrip().rstrip(";"):
        return Effect.CHANGE
    return Effect.LOCK if _LOCKING_TEXT.search(text) else Effect.TEXT
