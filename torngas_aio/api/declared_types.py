"""Declared types: fields and JSON Schema from msgspec and pydantic, and checks for NaN, infinite and huge numbers."""

import functools
import inspect
import json
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, get_args, get_origin

import msgspec

from torngas_aio._json import JsonObject
from torngas_aio.utils.narrowing import is_dict, is_iterable, is_list, is_mapping

__all__ = [
    "MAX_DIGITS",
    "REF",
    "fields_of",
    "holds",
    "holds_pydantic",
    "items_of",
    "schemas_of",
    "unbounded",
    "without_none",
]

REF = "#/components/schemas/{name}"

MAX_DIGITS = 4300
"""Most digits of a decimal, including its exponent, as of int: `int(Decimal("1e999999999"))` would fill the memory."""

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


def without_none(kind: object) -> object:
    """Return the type X of `X | None`; any other type unchanged."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    rest = [each for each in get_args(kind) if each is not type(None)]
    return rest[0] if type(None) in get_args(kind) and len(rest) == 1 else kind


def items_of(info: object) -> list[Any]:
    """Return the types of a collection's items, or of a union's members, as types of `msgspec.inspect`."""
    names = ("item_type", "key_type", "value_type")
    parts = [getattr(info, name) for name in names if hasattr(info, name)]
    return [*parts, *getattr(info, "types", ()), *getattr(info, "item_types", ())]


def holds(info: object, kind: type, seen: set[int] | None = None) -> bool:
    """Return whether a value of *info* may contain one of *kind*, at any depth."""
    if isinstance(info, kind):
        return True
    seen = set() if seen is None else seen
    if id(info) in seen:  # a recursive type
        return False
    seen.add(id(info))
    fields = [field.type for field in getattr(info, "fields", ())]
    return any(holds(part, kind, seen) for part in (*items_of(info), *fields))


def holds_pydantic(kind: object) -> bool:
    """Return whether *kind* is a pydantic model, or contains one."""
    pydantic = sys.modules.get("pydantic")  # None: no model can exist
    if pydantic is None:
        return False
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return True
    return any(map(holds_pydantic, get_args(kind)))


def unbounded(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield path and error code of each NaN, infinite or huge number in the converted *value*."""
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
def _known_fields(kind: object) -> tuple[Any, ...]:
    return fields_of(kind)


def schemas_of(kinds: Sequence[object], taken: Collection[str] = ()) -> tuple[list[JsonObject], JsonObject]:
    """Return the schema of each of *kinds*, and the components that they reference.

    If two types have the same name, their components are named with the module.

    Args:
        taken: Names that components must not have.
    """
    own = [kind for kind in kinds if not holds_pydantic(kind)]
    made, shared = msgspec.json.schema_components(own, ref_template=REF)
    schemas, components = _rename(made, shared, taken)
    for name, each in components.items():
        if "description" in each:
            each["description"] = inspect.cleandoc(each["description"])
        if "." in name and "title" in each:  # client generators use the title as type name
            each["title"] = name
    others, more = _pydantic_schemas([kind for kind in kinds if holds_pydantic(kind)], {*taken, *components})
    ours, theirs = iter(schemas), iter(others)
    return [next(theirs if holds_pydantic(kind) else ours) for kind in kinds], {**components, **more}


def _pydantic_schemas(kinds: list[object], taken: Collection[str]) -> tuple[list[JsonObject], JsonObject]:
    if not kinds:
        return [], {}
    from pydantic import TypeAdapter

    listed: Any = list  # the items of a list are a reference; the type itself would be inlined
    inputs: list[Any] = [(number, "validation", TypeAdapter(listed[kind])) for number, kind in enumerate(kinds)]
    made, shared = TypeAdapter.json_schemas(inputs, ref_template=REF.replace("{name}", "{model}"))
    schemas = [made[number, "validation"]["items"] for number in range(len(kinds))]
    return _rename(schemas, shared.get("$defs", {}), taken)


def _rename(
    schemas: Iterable[object], components: JsonObject, taken: Collection[str]
) -> tuple[list[JsonObject], JsonObject]:
    """Return both with components renamed if their name is in *taken*."""
    names = {name: f"{name}.1" if name in taken else name for name in components}
    text = json.dumps([list(schemas), components])
    for name, new in names.items():
        text = text.replace(f'"{REF.format(name=name)}"', f'"{REF.format(name=new)}"')
    found, components = _plain(json.loads(text))
    return found, {names[name]: schema for name, schema in components.items()}


def _plain(schema: object) -> Any:
    """Return *schema* without `items: false` in tuples, which client generators cannot handle; `maxItems` suffices."""
    if is_dict(schema):
        return {key: _plain(value) for key, value in schema.items() if not (key == "items" and value is False)}
    return [_plain(each) for each in schema] if is_list(schema) else schema
