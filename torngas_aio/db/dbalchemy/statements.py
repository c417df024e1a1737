"""Classification of statements before they run (read, lock or change), and cached statements for lookups by key.

    SELECT of tables, columns, known functions              read     a slave may answer
    SELECT ... FOR UPDATE                                    lock     the master, also for later reads
    INSERT, UPDATE, DELETE, DDL, CALL, unknown functions     change   the master, also for later reads
    text("SELECT ...")                                       text     the master, unless the role is 'slave'

    lookup_of(User) ──► SELECT ... WHERE users.id = :key      built once, sent with different values

SQLAlchemy's `Session.get` builds a new statement, and its cache key, for each call: 45 of the 290 us for one row
(benchmarks/db.py, one).
"""

import enum
import re
from typing import Any, Literal

from sqlalchemy import Select, bindparam, inspect, select
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause, TextClause
from sqlalchemy.sql.functions import Function, FunctionElement
from sqlalchemy.sql.schema import Table

from torngas_aio._compat.sqlalchemy import has_common_table, locks_rows, raw_columns_of, resolve_lambda
from torngas_aio.db._connections import PURE_FUNCTIONS
from torngas_aio.utils.narrowing import class_of

__all__ = ["Effect", "Lookup", "effect_of", "lookup_of"]


class Effect(enum.Enum):
    """The effect of a statement, as needed for routing."""

    READ = "read"
    TEXT = "text"
    LOCK = "lock"
    CHANGE = "change"


_READING_TEXT = re.compile(r"\s*(?:\(\s*)*(?:select|show|explain|describe|desc|values|pragma)\b", re.IGNORECASE)
_LOCKING_TEXT = re.compile(
    r"\bfor\s+(?:no\s+key\s+)?(?:update|share|key\s+share)\b|\block\s+in\s+share\b", re.IGNORECASE
)


def effect_of(clause: object) -> Effect:
    """Return the effect of *clause*; anything not known to be a read counts as a change."""
    clause = resolve_lambda(clause)
    if isinstance(clause, TextClause):
        return _effect_of_text(clause.text)
    inner = getattr(clause, "element", None)  # select(Model).from_statement(text(...))
    if isinstance(inner, TextClause):
        return _effect_of_text(inner.text)
    if not getattr(clause, "is_select", False):
        return Effect.CHANGE
    if locks_rows(clause):
        return Effect.LOCK
    if _is_plain(clause):
        return Effect.READ
    return _effect_of_parts(clause)


def _is_plain(clause: object) -> bool:
    """Return whether *clause* selects tables and columns only.

    PERF: true for nearly every read of a model: 0.5 us, while inspecting every part costs 15 us and more.
    """
    columns = raw_columns_of(clause)
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
        if locks_rows(part):
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


class Lookup:
    """The lookup of one model's objects by primary key.

    Attributes:
        statement: Selects the object with the primary key `_torngas_pk0`, `_torngas_pk1`, ...
    """

    __slots__ = ("_mapper", "_names", "statement")

    def __init__(self, mapper: Mapper[Any]) -> None:
        self._mapper = mapper
        self._names = tuple(f"_torngas_pk{number}" for number in range(len(mapper.primary_key)))
        criteria = (column == bindparam(name) for column, name in zip(mapper.primary_key, self._names, strict=True))
        self.statement: Select[Any] = select(mapper.class_).where(*criteria)

    def values_of(self, ident: Any) -> dict[str, object] | None:
        """Return the statement's values for *ident*: a number or text, or a tuple of them; None for anything else."""
        values: tuple[object, ...] = ident if class_of(ident) is tuple else (ident,)
        if len(values) != len(self._names) or not all(type(value) in _PLAIN for value in values):
            return None
        return dict(zip(self._names, values, strict=True))

    def key_of(self, values: dict[str, object]) -> Any:
        """Return the key in a session's identity map for the object with these values."""
        return self._mapper.identity_key_from_primary_key(tuple(values.values()))


_PLAIN = frozenset({int, str, bytes})


def lookup_of(entity: object) -> Lookup | None:
    """Return the `Lookup` of the model *entity*; None if it needs more than one plain statement."""
    if not isinstance(entity, type):
        return None
    known: Lookup | Literal[False] | None = entity.__dict__.get(_KEPT)
    if known is None:
        mapper: Mapper[Any] | None = inspect(entity, raiseerr=False)
        if mapper is None:
            return None
        has_one_table = mapper.inherits is None and mapper.polymorphic_on is None and not mapper.always_refresh
        known = Lookup(mapper) if has_one_table else False
        type.__setattr__(entity, _KEPT, known)  # stored on the model, for its lifetime
    return known or None


_KEPT = "_torngas_lookup"
