"""Plain data: values that survive JSON or MessagePack unchanged, or that unpickle without importing code."""

import logging
import pickle
from typing import Any

from torngas_aio.exception import SerializationError
from torngas_aio.utils.narrowing import class_of

__all__ = ["JSON_ATOMS", "MSGPACK_ATOMS", "PlainUnpickler", "refuse_lossy"]

logger = logging.getLogger("torngas_aio.cache")

JSON_ATOMS: frozenset[type] = frozenset({type(None), bool, int, float, str})
MSGPACK_ATOMS = JSON_ATOMS | {bytes}

_SAFE_CLASSES = {
    ("builtins", "complex"), ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "bytearray"),
    ("builtins", "range"), ("builtins", "slice"), ("datetime", "datetime"), ("datetime", "date"),
    ("datetime", "time"), ("datetime", "timedelta"), ("datetime", "timezone"), ("decimal", "Decimal"),
    ("uuid", "UUID"), ("collections", "OrderedDict"), ("collections", "deque"), ("fractions", "Fraction"),
}  # fmt: skip

_MAX_TOLD = 1000
_MAX_DEPTH = 254  # levels; low enough that a reader deeper in the stack than the writer can still decode it

_CHOOSE_ANOTHER = (
    "choose a serializer that keeps any object: SESSION['serializer'] = 'signed-pickle', "
    "or SERIALIZER in a cache's OPTIONS."
)


def refuse_lossy(
    value: Any, path: str, atoms: frozenset[type], tuples_told: set[str] | None = None, depth: int = 0
) -> None:
    """Raise if *value* would be read back as something else, naming the place; *atoms* are the lossless types.

    Args:
        tuples_told: The places whose tuples were already logged; a tuple then becomes a list, logged once per place.
            None: tuples are refused.
        depth: The number of lists and dicts that enclose *value*.

    Raises:
        SerializationError: It holds a tuple, a set, a subclass, an object or a key that is not text, or it is nested
            too deeply (a container that contains itself is).
    """
    kind = class_of(value)
    if kind in atoms:
        return
    if depth >= _MAX_DEPTH:
        raise SerializationError(f"{path[:100]}… lies too deep: at most {_MAX_DEPTH} levels can be kept.")
    if kind is tuple and tuples_told is not None:
        _log_tuple(path, tuples_told)
    if kind is list or (kind is tuple and tuples_told is not None):
        for place, item in enumerate(value):
            if type(item) not in atoms:
                refuse_lossy(item, f"{path}[{place}]", atoms, tuples_told, depth + 1)
    elif kind is dict:
        _refuse_keys(value, path)
        for key, item in value.items():
            if type(item) not in atoms:
                refuse_lossy(item, f"{path}[{key!r}]", atoms, tuples_told, depth + 1)
    else:
        raise SerializationError(
            f"{path} is of type {type(value).__qualname__}, which would not come back as it went. "
            f"Convert it first, such as a tuple to a list or a date to text, or {_CHOOSE_ANOTHER}"
        )


def _refuse_keys(value: dict[object, object], path: str) -> None:
    for key in value:
        if type(key) is not str:
            raise SerializationError(
                f"{path} has the key {key!r} of type {type(key).__qualname__}; keys are str. "
                f"Use str(key) to store and to look up, or {_CHOOSE_ANOTHER}"
            )


def _log_tuple(path: str, told: set[str]) -> None:
    if path not in told and len(told) < _MAX_TOLD:
        told.add(path)
        logger.warning("%s is a tuple, kept as a list. SESSION['serializer'] = 'signed-pickle' keeps tuples.", path)


class PlainUnpickler(pickle.Unpickler):
    """An unpickler of plain data: a pickle that refers to any other class or function is refused."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) in _SAFE_CLASSES:
            return super().find_class(module_name, global_name)
        raise SerializationError(f"A stored pickle refers to {module_name}.{global_name}, which is not plain data.")
