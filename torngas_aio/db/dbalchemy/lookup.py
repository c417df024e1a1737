"""One object by its primary key: the statement for that, built once for each model.

    lookup_of(User) ──► SELECT ... WHERE users.id = :key      sent with other values each time

`Session.get` of SQLAlchemy builds, and keys for its cache, a new statement for each call: 45 of the 290 us that one
row takes (benchmarks/db.py, one). Begin with `lookup_of`.
"""

from typing import Any, Literal

from sqlalchemy import Select, bindparam, inspect, select
from sqlalchemy.orm import Mapper

from torngas_aio.utils.narrowing import class_of

__all__ = ["Lookup", "lookup_of"]


class Lookup:
    """How the objects of one model are found.

    Attributes:
        statement: Selects the object with the primary key `_torngas_pk0`, `_torngas_pk1`, ...
    """

    __slots__ = ("_mapper", "_names", "statement")

    def __init__(self, mapper: Mapper[Any]) -> None:
        self._mapper = mapper
        self._names = tuple(f"_torngas_pk{number}" for number in range(len(mapper.primary_key)))
        criteria = (column == bindparam(name) for column, name in zip(mapper.primary_key, self._names, strict=True))
        self.statement: Select[Any] = select(mapper.class_).where(*criteria)

    def values_of(self, ident: Any) -> dict[str, Any] | None:
        """Return the statement's values for *ident*: a number or text, or a tuple of them; None for what else it is."""
        values: tuple[Any, ...] = ident if class_of(ident) is tuple else (ident,)
        if len(values) != len(self._names) or not all(type(value) in _PLAIN for value in values):
            return None
        return dict(zip(self._names, values, strict=True))

    def key_of(self, values: dict[str, Any]) -> Any:
        """Return what a session's identity map has the object with these values under."""
        return self._mapper.identity_key_from_primary_key(tuple(values.values()))


_PLAIN = frozenset({int, str, bytes})


def lookup_of(entity: object) -> Lookup | None:
    """Return how objects of the model *entity* are found; None where that takes more than one plain statement."""
    if not isinstance(entity, type):
        return None
    known: Lookup | Literal[False] | None = entity.__dict__.get(_KEPT)
    if known is None:
        mapper: Mapper[Any] | None = inspect(entity, raiseerr=False)
        if mapper is None:
            return None
        has_one_table = mapper.inherits is None and mapper.polymorphic_on is None and not mapper.always_refresh
        known = Lookup(mapper) if has_one_table else False
        type.__setattr__(entity, _KEPT, known)  # with the model, for as long as it lives
    return known or None


_KEPT = "_torngas_lookup"
