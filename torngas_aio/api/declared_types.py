"""What msgspec knows of a declared type, and the numbers in a value that no JSON has or that are huge.

Begin with `fields_of`.
"""

import functools
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, get_args, get_origin

import msgspec

from torngas_aio.utils.narrowing import is_iterable, is_mapping

__all__ = ["MAX_DIGITS", "fields_of", "holds", "items_of", "unbounded", "without_none"]

MAX_DIGITS = 4300
"""Of a decimal, its exponent counted: as of Python's integers. `int(Decimal("1e999999999"))` would take all memory."""

_LISTS: tuple[type[object], ...] = (list, tuple, set, frozenset)
_BUILTINS = frozenset({int, str, float, bool, bytes, list, dict, tuple, set, frozenset, type(None), Any})


def fields_of(kind: object) -> tuple[Any, ...]:
    """Return the fields of an object type, with `name`, `encode_name` and `required`; () for every other type."""
    if not isinstance(get_origin(kind) or kind, type) or (get_origin(kind) or kind) in _BUILTINS:
        return ()
    try:
        info = msgspec.inspect.type_info(kind)
    except TypeError:
        return ()
    is_object = not getattr(info, "array_like", False) and not isinstance(info, msgspec.inspect.NamedTupleType)
    return tuple(getattr(info, "fields", ())) if is_object else ()


def without_none(kind: Any) -> Any:
    """Return what an optional type is when it is not None; another type as it is."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    rest = [each for each in get_args(kind) if each is not type(None)]
    return rest[0] if type(None) in get_args(kind) and len(rest) == 1 else kind


def items_of(info: object) -> list[Any]:
    """Return the types of a collection's items, or of a union's members, as `msgspec.inspect` has them."""
    names = ("item_type", "key_type", "value_type")
    parts = [getattr(info, name) for name in names if hasattr(info, name)]
    return [*parts, *getattr(info, "types", ()), *getattr(info, "item_types", ())]


def holds(info: object, kind: type, seen: set[int] | None = None) -> bool:
    """Return whether a value of *info* may hold one of *kind*, in the fields of objects as well."""
    if isinstance(info, kind):
        return True
    seen = set() if seen is None else seen
    if id(info) in seen:  # of a type that holds itself
        return False
    seen.add(id(info))
    fields = [field.type for field in getattr(info, "fields", ())]
    return any(holds(part, kind, seen) for part in (*items_of(info), *fields))


def unbounded(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield path and code of each number in *value*, which has been converted, that is none, infinite or huge."""
    if isinstance(value, float | Decimal):
        if code := _fault_of(value):
            yield path, code
        return
    parts: list[tuple[str, object]]
    if is_mapping(value):
        parts = [(str(key)[:100], item) for key, item in value.items()]
    elif isinstance(value, _LISTS) and is_iterable(value):
        parts = [(str(index), item) for index, item in enumerate(value)]
    else:
        kind: Any = type(value)
        parts = [(field.encode_name, getattr(value, field.name, None)) for field in _known_fields(kind)]
    for step, part in parts:
        yield from unbounded(part, (*path, step))


def _fault_of(number: float | Decimal) -> str | None:
    if not isinstance(number, Decimal):
        return None if math.isfinite(number) else "format"
    if not number.is_finite():
        return "format"
    exponent = number.as_tuple().exponent
    is_huge = number.adjusted() > MAX_DIGITS or (isinstance(exponent, int) and exponent < -MAX_DIGITS)
    return "size" if is_huge else None


@functools.lru_cache(1024)
def _known_fields(kind: Any) -> tuple[Any, ...]:
    return fields_of(kind)
