"""Conversion of request values to declared types, reporting all faults together.

Converter.from_json(bytes)      the decoder of msgspec; only if it fails, a second pass collects all faults
Converter.from_text(values)     "7" -> 7, for query, path, header, cookie and form
pydantic models                 through pydantic's own validation
"""

import re
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from torngas_aio.api.declared_types import fields_of, holds, holds_pydantic, items_of, unbounded
from torngas_aio.api.messages import code_of, message_of
from torngas_aio.exception import HTTPError, InvalidJson
from torngas_aio.utils.narrowing import is_list, is_mapping

__all__ = [
    "Converter",
    "FieldError",
    "InvalidRequest",
    "Problems",
    "hints_of",
    "make_converter",
]

MAX_ERRORS = 100
MAX_SECONDS = 0.05
"""Time limit for collecting faults; those found until then are reported."""

_REFUSALS = {"media_type": 415, "too_large": 413}
_UNPARSED = frozenset({"body", "empty", "encoding", "depth"})
_PATH_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One faulty value.

    Attributes:
        place: path, query, header, cookie, form, file or body.
        path: Its name, with a dotted path into objects and lists: `items.3.price`; "" for the whole body.
        code: Error code, for programs.
        message: Error message, in the visitor's language.
    """

    place: str
    path: str
    code: str
    message: str


class InvalidRequest(HTTPError):
    """The error for a request with values that cannot be parsed (400), are too large (413), have another media type
    (415) or are invalid (422).

    Attributes:
        errors: All faulty values, at most 100.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        codes = {error.code for error in errors}
        refused = next((status for code, status in _REFUSALS.items() if code in codes), 422)
        status = 400 if codes & _UNPARSED else refused
        text = "; ".join(f"{each.path or each.place}: {each.message}" for each in errors[:3])
        super().__init__(status, "%s", text)
        self.errors = tuple(errors)

        self.problem_members = {
            "errors": [
                {"in": each.place, "path": each.path, "message": each.message, "code": each.code} for each in errors
            ]
        }


Check = Callable[[], None]


def _check_nothing() -> None:
    pass


class Problems:
    """The faults found in one request."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def add(self, place: str, path: str, code: str, message: str | None = None, **values: object) -> None:
        """Record a fault; the default message is that of *code*."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(FieldError(place, path, code, message or message_of(code, values)))


class Converter:
    """A converter to *kind*, based on msgspec.

    Args:
        kind: A type that msgspec supports: builtins, dates, enums, Structs, dataclasses, attrs classes, TypedDicts ...

    Raises:
        TypeError: msgspec does not support *kind*.
    """

    def __init__(self, kind: object) -> None:
        info = msgspec.inspect.type_info(kind)
        if _holds_custom(info):
            raise TypeError(f"nothing converts to {kind!r}. Declare a Struct or a dataclass; Any takes every value.")
        self.kind = kind
        self._has_decimals = holds(info, msgspec.inspect.DecimalType)
        self._has_floats = holds(info, msgspec.inspect.FloatType)
        self._decode = msgspec.json.Decoder(kind).decode

    def from_json(
        self, body: bytes, parse: Callable[[], object], problems: Problems, *, check: Check = _check_nothing
    ) -> Any:
        """Return the value of a JSON body; faults are added to *problems*.

        Args:
            parse: Returns the body as plain values, within the handler's limits; raises `InvalidJson`.
            check: Raises `InvalidJson` for the same size and shape of the body as *parse*.
        """
        try:
            check()
            value = self._decode(body)
            return self._bounded(value, "body", "", problems) if self._has_decimals else value
        except RecursionError:
            problems.add("body", "", "depth")
        except (InvalidJson, msgspec.DecodeError, UnicodeDecodeError):
            value = self._parse(body, parse, problems)
            if not problems.errors:  # only `parse` accepts it, such as with a byte order mark
                return self._convert_value(value, "body", "", True, problems)
        return None

    def from_text(self, value: object, place: str, path: str, problems: Problems) -> Any:
        """Return the value of a string, a list or a mapping of strings; faults are added to *problems*."""
        return self._convert_value(value, place, path, False, problems)

    def _convert_value(self, value: object, place: str, path: str, is_strict: bool, problems: Problems) -> object:
        try:
            found = msgspec.convert(value, self.kind, strict=is_strict, str_keys=True)
        except msgspec.ValidationError:
            _Explanation(place, is_strict, problems).walk(value, self.kind, (path,) if path else ())
            return None
        return self._bounded(found, place, path, problems) if self._has_decimals or self._has_floats else found

    def _bounded(self, value: object, place: str, path: str, problems: Problems) -> object:
        """Return *value*; NaN, infinite and huge numbers in it are added to *problems*."""
        for where, code in unbounded(value, (path,) if path else ()):
            problems.add(place, ".".join(where), code, expected="number")
        return value

    def _parse(self, body: bytes, parse: Callable[[], object], problems: Problems) -> object:
        try:
            return parse()
        except InvalidJson as exc:
            code = "too_large" if exc.status_code == 413 else "body" if body.strip() else "empty"
            problems.add("body", "", code, None if code == "empty" else str(exc))
        return None


class _PydanticConverter(Converter):
    """A converter to pydantic models, or types that contain them."""

    def __init__(self, kind: Any) -> None:
        from pydantic import TypeAdapter

        self.kind = kind
        self._adapter: Any = TypeAdapter(kind)

    def from_json(
        self, body: bytes, parse: Callable[[], object], problems: Problems, *, check: Check = _check_nothing
    ) -> object:
        value = self._parse(body, parse, problems)
        return None if problems.errors else self.from_text(value, "body", "", problems)

    def from_text(self, value: object, place: str, path: str, problems: Problems) -> object:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)
        except ValidationError as exc:
            for error in exc.errors(include_url=False, include_context=False, include_input=False):
                steps = (*((path,) if path else ()), *map(str, error["loc"]))
                problems.add(place, ".".join(steps), error["type"], error["msg"])
        return None


def make_converter(kind: object) -> Converter:
    """Return a converter to *kind*.

    Raises:
        TypeError: No installed library supports it.
    """
    return _PydanticConverter(kind) if holds_pydantic(kind) else Converter(kind)


def hints_of(kind: object) -> dict[str, Any]:
    """Return the type of each field of the object type *kind*, with limits and with type variables substituted."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    hints = {name: _bare(hint) for name, hint in typing.get_type_hints(origin, include_extras=True).items()}
    given: dict[object, object] = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
    return {name: _filled(hint, given) for name, hint in hints.items()} if given else hints


class _Explanation:
    """A search for all faults of a value that msgspec has refused, by converting each part separately."""

    def __init__(self, place: str, is_strict: bool, problems: Problems) -> None:
        self._place = place
        self._is_strict = is_strict
        self._problems = problems
        self._ends_at = time.monotonic() + MAX_SECONDS

    def walk(self, value: object, kind: object, path: tuple[str, ...]) -> None:
        errors = self._problems.errors
        try:
            msgspec.convert(value, kind, strict=self._is_strict, str_keys=True)
        except msgspec.ValidationError as exc:
            before, sentence = len(errors), str(exc)
        else:
            return
        kind = _plain(kind, value)
        fields = fields_of(kind) if is_mapping(value) else ()
        if fields and is_mapping(value):
            self._check_names(value, kind, fields, path)
        for child, child_kind, step in _parts(value, kind, fields):
            if len(errors) >= MAX_ERRORS or time.monotonic() > self._ends_at:
                break
            self.walk(child, child_kind, (*path, step))
        if len(errors) == before:
            self._add(sentence, path)

    def _check_names(
        self, value: Mapping[object, object], kind: object, fields: Sequence[Any], path: tuple[str, ...]
    ) -> None:
        for field in fields:
            if field.required and field.encode_name not in value:
                self._problems.add(self._place, ".".join((*path, field.encode_name)), "missing")
        config = getattr(kind, "__struct_config__", None)
        if config is not None and config.forbid_unknown_fields:
            known = {field.encode_name for field in fields} | {config.tag_field}
            for name in islice(value.keys() - known, MAX_ERRORS):
                self._problems.add(self._place, ".".join((*path, str(name)[:100])), "unknown")

    def _add(self, sentence: str, path: tuple[str, ...]) -> None:
        reason, _, where = sentence.partition(" - at `$")
        steps = [name or index for name, index in _PATH_STEP.findall(where.rstrip("`"))]
        code, values = code_of(reason)
        if "field" in values:
            steps.append(values["field"])
        self._problems.add(self._place, ".".join((*path, *steps)), code, **values)


_LISTS = (list, set, frozenset, Sequence, tuple)


def _plain(kind: Any, value: object) -> Any:
    """Return *kind* without aliases and limits; for a union the member that *value* matches."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif hasattr(kind, "__value__"):
            kind = kind.__value__
        elif get_origin(kind) in {Union, UnionType}:
            choice = _choice(get_args(kind), value)
            if choice is None:
                return kind
            kind = choice
        else:
            return kind


def _choice(kinds: Sequence[object], value: object) -> object:
    """Return the only type of a union that matches the shape of *value*; None if it is ambiguous."""
    plain = [_plain(kind, value) for kind in kinds]
    if is_mapping(value):
        fitting = [kind for kind in plain if fields_of(kind) or (get_origin(kind) or kind) is dict]
        tagged = [kind for kind in fitting if _has_tag(kind, value)]
        fitting = tagged or fitting
    elif isinstance(value, list):
        fitting = [kind for kind in plain if (get_origin(kind) or kind) in _LISTS]
    else:
        fitting = []
    return fitting[0] if len(fitting) == 1 else None


def _has_tag(kind: object, value: Mapping[object, object]) -> bool:
    config = getattr(kind, "__struct_config__", None)
    return config is not None and config.tag_field is not None and value.get(config.tag_field) == config.tag


def _parts(value: Any, kind: Any, fields: Sequence[Any]) -> Iterator[tuple[Any, Any, str]]:
    """Yield the parts of *value*, each with its type and its step in the path."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if fields:
        hints = hints_of(kind)
        for field in fields:
            if field.encode_name in value:
                yield value[field.encode_name], hints[field.name], field.encode_name
    elif is_mapping(value) and origin is dict and arguments:
        for key, item in value.items():
            if not _fits_key(key, arguments[0]):
                yield key, arguments[0], str(key)[:100]
            yield item, arguments[1], str(key)[:100]
    elif is_list(value) and origin in _LISTS and arguments:
        is_fixed = origin is tuple and arguments[-1] is not Ellipsis
        kinds = arguments if is_fixed else (arguments[0],) * len(value)
        for index, (item, item_kind) in enumerate(zip(value, kinds, strict=False)):
            yield item, item_kind, str(index)


def _fits_key(key: object, kind: Any) -> bool:
    """Return whether the string *key* is valid as a mapping key of *kind*, such as "1" for an int."""
    try:
        msgspec.convert({key: None}, dict[kind, Any], str_keys=True)
    except msgspec.ValidationError:
        return False
    return True


def _bare(hint: object) -> object:
    """Return *hint* without `Required` and `NotRequired` of a TypedDict."""
    while get_origin(hint) in {typing.Required, typing.NotRequired}:
        hint = get_args(hint)[0]
    return hint


def _filled(hint: Any, given: Mapping[object, object]) -> object:
    if isinstance(hint, TypeVar):
        return given.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(each, Any) for each in parameters)] if parameters else hint


def _holds_custom(info: object) -> bool:
    """Return whether *info* is or contains a class that msgspec cannot create, which it reports only at decoding."""
    return isinstance(info, msgspec.inspect.CustomType) or any(map(_holds_custom, items_of(info)))
