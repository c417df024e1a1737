"""The parts that a SELECT of SQLAlchemy consists of. Begin with `parts_of`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select

__all__ = ["has_common_table", "options_of", "order_by_of", "parts_of"]


def parts_of(statement: Select[Any]) -> frozenset[str]:
    """Return the names of the methods that *statement* was made with, among those of `_PARTS`."""
    found = {name: getattr(statement, attribute) for name, attribute in _PARTS.items()}
    return frozenset(name for name, value in found.items() if value is not None and not _is_empty(value))


def order_by_of(statement: Select[Any]) -> Sequence[Any]:
    """Return the clauses of ORDER BY, in their order."""
    return statement._order_by_clauses


def options_of(statement: Select[Any]) -> Any:
    """Return the loader options, as `Session.get` takes them."""
    return statement._with_options


def has_common_table(clause: Any) -> bool:
    """Return whether a statement has common table expressions that it does not select from (`add_cte`)."""
    return bool(clause._independent_ctes)


_PARTS = {
    "limit": "_limit_clause",
    "offset": "_offset_clause",
    "order_by": "_order_by_clauses",
    "group_by": "_group_by_clauses",
    "having": "_having_criteria",
    "join": "_setup_joins",
    "distinct": "_distinct",
}


def _is_empty(value: Any) -> bool:
    return value is False or (isinstance(value, tuple) and not value)
