"""Conversion of a job's arguments to JSON and back.

write ── checked against JSON and the annotations ──► message ──► restore ── converted to the annotated types
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import chain, repeat
from typing import Any, NoReturn, get_type_hints

import msgspec

from torngas_aio import _json
from torngas_aio.exception import ArgumentError, SerializationError
from torngas_aio.utils.narrowing import is_dict, is_iterable

__all__ = ["VARIADIC", "Arguments"]

_MANY: tuple[type[object], ...] = (list, tuple, set, frozenset)
_PLAIN = frozenset({str, int, float, bool, type(None)})
VARIADIC = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


class Arguments:
    """The checks and conversions of one job's arguments.

    Args:
        name: The job's name in messages.
        function: The job's function, whose annotations define the types.

    Attributes:
        signature: The function's signature.
    """

    def __init__(self, name: str, function: Callable[..., object]) -> None:
        self._name = name
        self._function = function
        self.signature = inspect.signature(function)

    def write(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[list[Any], dict[str, Any]]:
        """Return *args* and *kwargs*, which fit the signature, in JSON form for a message.

        Raises:
            ArgumentError: An argument does not fit its annotation.
            SerializationError: An argument cannot be serialized.
        """
        try:
            _refuse_models([args, kwargs])
            plain = _json.loads(msgspec.json.encode([args, kwargs], enc_hook=_refuse))  # as a worker receives them
        except SerializationError:
            raise
        except (TypeError, ValueError, RecursionError) as exc:
            raise SerializationError(f"{self._name}: an argument cannot be sent: {exc}.") from None
        self.restore(*plain)
        return plain[0], plain[1]

    def restore(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments of a message, converted to the annotated types.

        Raises:
            ArgumentError: An argument does not fit its annotation.
        """
        by_place, more, by_name, others = self._types
        try:
            made = [_convert(value, kind) for value, kind in zip(args, chain(by_place, repeat(more)), strict=False)]
            named = {name: _convert(value, by_name.get(name, others)) for name, value in kwargs.items()}
        except msgspec.ValidationError as exc:
            raise ArgumentError(f"{self._name}: an argument does not fit its annotation: {exc}.") from None
        return made, named

    @cached_property
    def _types(self) -> tuple[list[Any], Any, dict[str, Any], Any]:
        """The types of positional arguments, `*args`, keyword arguments and `**kwargs`; Any: no conversion."""
        try:
            hints = get_type_hints(self._function, include_extras=True)
        except (NameError, TypeError):  # names that are imported under TYPE_CHECKING only
            hints = {}
        found: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for each in self.signature.parameters.values():
            found[each.kind][each.name] = _usable(hints.get(each.name, Any))
        either = found[inspect.Parameter.POSITIONAL_OR_KEYWORD]
        by_place = [*found[inspect.Parameter.POSITIONAL_ONLY].values(), *either.values()]
        by_name = either | found[inspect.Parameter.KEYWORD_ONLY]
        more, others = (next(iter(found[kind].values()), Any) for kind in VARIADIC)
        return by_place, more, by_name, others


def _usable(kind: object) -> object:
    """Return *kind* if msgspec can convert JSON to it, else Any."""
    try:
        found = msgspec.inspect.type_info(kind)
    except (TypeError, NameError):
        return Any
    return Any if isinstance(found, msgspec.inspect.CustomType | msgspec.inspect.AnyType) else kind


def _convert(value: object, kind: object) -> object:
    return value if kind is Any else msgspec.convert(value, kind, str_keys=True)


def _refuse_models(value: object) -> None:
    """Raise SerializationError for a model, even if it is also a dataclass, which msgspec would serialize."""
    if is_dict(value):
        value = list(value.values())
    if isinstance(value, _MANY) and is_iterable(value):
        for each in value:
            if type(each) not in _PLAIN:  # PERF: 6.6 to 3.6 ms for 20,000 numbers
                _refuse_models(each)
    elif hasattr(type(value), "__mapper__"):
        raise SerializationError(
            f"A {type(value).__name__} is a model of the database: pass its id, and read it again in the job."
        )


def _refuse(value: object) -> NoReturn:
    _refuse_models(value)
    raise TypeError(f"{type(value).__name__} is not JSON; pass an id, or plain values")
