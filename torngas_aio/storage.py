"""A dictionary whose keys are also attributes; the type of database rows and parsed forms.

    row.name == row["name"]      a missing key: AttributeError as an attribute, KeyError as a key

A key with the name of a `dict` method, such as `items`, is accessible as a key only.
"""

import sys
import types
from collections.abc import Mapping
from typing import Any

from torngas_aio._former_names import former_names
from torngas_aio.utils.narrowing import is_list, is_list_or_tuple

__all__ = ["Storage", "storage", "storify"]


class Storage(dict[str, Any]):
    """A `dict` whose keys can also be read, set and deleted as attributes.

    It is copied, compared, pickled and encoded as JSON like a dictionary.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"This Storage has no {name!r}; it has {sorted(map(str, self))!r}.") from None

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"This Storage has no {name!r} to delete.") from None

    def __repr__(self) -> str:
        return f"<Storage {super().__repr__()}>"

    def copy(self) -> "Storage":
        return Storage(self)


storage = Storage
"""The lower-case name of `Storage` in torngas 1.8."""


def storify(mapping: Mapping[str, object], *requireds: str, **defaults: object) -> Storage:
    """Return *mapping* as a `Storage` with every required key and every default in it.

    A list, the value of a form field sent twice, is replaced by its last item, unless that key's default is a list:
    then a single value becomes a list of one.

    Raises:
        KeyError: A key of *requireds* is missing.
    """
    found = Storage()
    for key in requireds:
        found[key] = _single(mapping[key])
    for key, value in mapping.items():
        found[key] = _listed(value) if isinstance(defaults.get(key), list) else _single(value)
    for key, default in defaults.items():
        found.setdefault(key, default.copy() if isinstance(default, list) else default)
    return found


def _listed(value: object) -> list[object]:
    return list(value) if is_list_or_tuple(value) else [value]


def _single(value: object) -> object:
    if is_list(value):
        return value[-1] if value else None
    return value


class _CallableModule(types.ModuleType):
    """The type of this module: callable, because `from torngas_aio import storage` was the class in torngas 1.8."""

    def __call__(self, *args: Any, **kwargs: Any) -> Storage:
        return Storage(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule

__getattr__ = former_names(__name__)
