"""JSON Schemas of declared types, by msgspec and pydantic. Begin with `schemas_of`."""

import inspect
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from torngas_aio.api.conversion import holds_pydantic
from torngas_aio.utils.narrowing import is_dict, is_list

__all__ = ["REF", "schemas_of"]

REF = "#/components/schemas/{name}"


def schemas_of(kinds: Sequence[Any], taken: Collection[str] = ()) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the schema of each of *kinds*, and the components that they refer to.

    Two types of one name are called by their modules, too.

    Args:
        taken: Names that no component may have.
    """
    own = [kind for kind in kinds if not holds_pydantic(kind)]
    made, shared = msgspec.json.schema_components(own, ref_template=REF)
    schemas, components = _rename(made, shared, taken)
    for name, each in components.items():
        if "description" in each:
            each["description"] = inspect.cleandoc(each["description"])
        if "." in name and "title" in each:  # makers of clients call a type by its title
            each["title"] = name
    others, more = _pydantic_schemas([kind for kind in kinds if holds_pydantic(kind)], {*taken, *components})
    ours, theirs = iter(schemas), iter(others)
    return [next(theirs if holds_pydantic(kind) else ours) for kind in kinds], {**components, **more}


def _pydantic_schemas(kinds: list[Any], taken: Collection[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    if not kinds:
        return [], {}
    from pydantic import TypeAdapter

    listed: Any = list  # of it: its items are a reference, where the type itself would be written out
    inputs: list[Any] = [(number, "validation", TypeAdapter(listed[kind])) for number, kind in enumerate(kinds)]
    made, shared = TypeAdapter.json_schemas(inputs, ref_template=REF.replace("{name}", "{model}"))
    schemas = [made[number, "validation"]["items"] for number in range(len(kinds))]
    return _rename(schemas, shared.get("$defs", {}), taken)


def _rename(
    schemas: Iterable[Any], components: dict[str, Any], taken: Collection[str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Both with other names for the components whose own is taken."""
    names = {name: f"{name}.1" if name in taken else name for name in components}
    text = json.dumps([list(schemas), components])
    for name, new in names.items():
        text = text.replace(f'"{REF.format(name=name)}"', f'"{REF.format(name=new)}"')
    found, components = _plain(json.loads(text))
    return found, {names[name]: schema for name, schema in components.items()}


def _plain(schema: object) -> Any:
    """*schema* without the `items: false` of tuples, at which makers of clients stumble; `maxItems` says it too."""
    if is_dict(schema):
        return {key: _plain(value) for key, value in schema.items() if not (key == "items" and value is False)}
    return [_plain(each) for each in schema] if is_list(schema) else schema
