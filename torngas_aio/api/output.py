"""Output of a method as JSON of the declared type, limited to its fields.

    async def get(self) -> list[TaskOut]               models, Structs, mappings; lists of them
    async def post(self) -> Created[TaskOut]           201
    @returns(Created[TaskOut])                         if the method returns a model; or TaskOut, status=201
    @returns(TaskOut | Created[TaskOut] | NoContent)   one of several

If an attribute of a SQLAlchemy model is not loaded, its field is omitted if it has a default; otherwise it is an error.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from inspect import isawaitable
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from torngas_aio.api.conversion import hints_of, make_converter
from torngas_aio.api.declared_types import fields_of, holds_pydantic, without_none
from torngas_aio.exception import ArgumentError, SerializationError
from torngas_aio.handler.api import ApiHandler, Reply
from torngas_aio.utils.narrowing import is_iterable

__all__ = ["Output", "Page", "answer_none", "output_of", "returns"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


class Page(msgspec.Struct, Generic[T]):
    """One page of a query: the output type for the result of `Query.paginate`.

    Attributes:
        items: The rows of this page.
        page: Its number, from 1.
        per_page: Maximum number of rows in a page.
        total: Number of rows in all pages.
        pages: Number of pages.
    """

    items: list[T]
    page: int = 1
    per_page: int = 0
    total: int | None = None
    pages: int | None = None


class Output:
    """The declared types of a response, by status.

    Args:
        kind: The type, a `Reply` of it such as `Created[TaskOut]`, or a union of them; None: no body.
        status: Status code of values other than a `Reply`.
        name: The method's name, for messages.

    Attributes:
        kinds: The type of each declared status; None: no body.
        status: The status code of values other than a `Reply`; if only `Reply`s are declared, that of the first.
    """

    def __init__(self, kind: object, status: int = 200, name: str = "The method") -> None:
        self.kinds = _kinds_of(kind, status)
        self.status = status if status in self.kinds else next(iter(self.kinds))
        self.name = name

    @property
    def kind(self) -> Any:
        """The type of values other than a `Reply`."""
        return self.kinds[self.status]

    def check(self) -> None:
        """Raise TypeError if no installed library supports a declared type."""
        for kind in self.kinds.values():
            if kind is not None:
                make_converter(kind)

    def encode(self, value: object, status: int | None = None) -> bytes:
        """Return *value* as JSON of the type declared for *status*; b"" if that has no body.

        Raises:
            SerializationError: The value does not match the type, or a required attribute is not loaded.
        """
        kind = self.kinds.get(status or self.status, self.kind)
        if kind is None and value is None:
            return b""
        try:
            if holds_pydantic(kind):
                adapter = _adapter_of(kind)
                encoded: bytes = adapter.dump_json(adapter.validate_python(value, from_attributes=True), by_alias=True)
                return encoded
            plain = _shown(value, kind)
            return msgspec.json.encode(msgspec.convert(plain, kind, from_attributes=True, str_keys=True))
        except (ValueError, TypeError) as exc:  # msgspec's and pydantic's are ValueErrors
            raise SerializationError(
                f"{self.name} returned what does not fit its declared output {kind!r}: {exc}"
            ) from exc


def returns(kind: object, *, status: int = 200) -> Callable[[F], F]:
    """Declare the output of a method if its annotation differs, for instance because it returns a model.

    Args:
        kind: The type; a `Reply` of it such as `Created[TaskOut]`, which has its own status; or a union of them.
        status: Status code of values other than a `Reply`.
    """

    def declare(method: F) -> F:
        name = f"{method.__module__}.{method.__qualname__}"
        method.declared_output = Output(kind, status, name)  # type: ignore[attr-defined]
        return method

    return declare


def output_of(method: Callable[..., object], annotation: object) -> Output | None:
    """Return the output that *method* declares, if any.

    Raises:
        TypeError: No installed library supports a declared type.
    """
    declared: Output | None = getattr(method, "declared_output", None)
    name = f"{method.__module__}.{method.__qualname__}"
    if declared is None:
        is_reply = any(map(_is_reply, _parts_of(annotation)))
        if annotation in {None, type(None), Any} or not (is_reply or _is_encodable(annotation)):
            return None
        declared = Output(annotation, name=name)
    elif declared.status == 200 and _is_reply(annotation):  # returns(TaskOut), "-> Created[Any]"
        ((status, kind),) = Output(annotation).kinds.items()
        declared = Output(None if kind is None else declared.kind, status, name)
    declared.check()
    return declared


async def answer_none(handler: ApiHandler, result: object) -> object:
    """Return the result of a method with a declared output; None, if nothing was written, as a `Reply` with null."""
    value = await result if isawaitable(result) else result
    if value is None and not handler.has_answer and handler.get_status() == handler.declared_output.status:
        return Reply(None, status=handler.get_status())
    return value


def _kinds_of(kind: object, status: int) -> dict[int, Any]:
    found: dict[int, list[object]] = {}
    for part in _parts_of(kind):
        given = get_args(part)
        if _is_reply(part):
            reply: Any = get_origin(part) or part
            code: int = reply.status_code
            found.setdefault(code, []).append(None if code == 204 else given[0] if given else Any)
        else:
            found.setdefault(status, []).append(part)
    if not all(200 <= code <= 599 for code in found):
        raise ArgumentError(f"@returns(..., status={status!r}): write the number of a final status, such as 201.")
    return {code: _joined(kinds) for code, kinds in found.items()}


def _joined(kinds: list[object]) -> object:
    if len(kinds) > 1:
        return Union[tuple(kinds)]  # noqa: UP007  # of a list
    return None if kinds[0] is type(None) else kinds[0]


def _parts_of(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _is_reply(kind: object) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Reply)


def _is_encodable(kind: object) -> bool:
    """Return whether *kind* is a type to respond with, unlike that of an awaitable or of no value."""
    try:
        make_converter(kind)
    except TypeError:
        return False
    return True


@functools.lru_cache(1024)
def _adapter_of(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _shown(value: object, kind: object) -> object:
    """Return *value* with models converted to mappings of the fields of *kind*."""
    if isinstance(value, _WHOLE):
        return value
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    fields, hints, item_kind = _shape_of(kind)
    if (isinstance(value, _LISTS) or not fields) and is_iterable(value):  # a Pagination is iterable but has fields
        return [_shown(each, item_kind) for each in value]
    if not fields:
        return value
    missing = _unloaded(value)
    shown: dict[str, object] = {}
    for field in fields:
        if field.name in missing:
            if field.required:
                raise ArgumentError(
                    f"{type(value).__qualname__}.{field.name} is not loaded. Load it with the query: "
                    f".options(selectinload({type(value).__qualname__}.{field.name})), or give the field of "
                    f"{getattr(without_none(kind), '__qualname__', kind)} a default."
                )
            continue
        if hasattr(value, field.name):
            shown[field.encode_name] = _shown(getattr(value, field.name), hints.get(field.name, Any))
    return shown


_WHOLE: tuple[type[object], ...] = (msgspec.Struct, str, int, float, bool, type(None), bytes, Mapping)
"""Types of values that need no conversion; the most frequent ones first."""

_LISTS: tuple[type[object], ...] = (list, tuple, set, frozenset)


@functools.lru_cache(1024)
def _shape_of(kind: object) -> tuple[tuple[Any, ...], dict[str, object], object]:
    """Return the fields of *kind*, which may be optional, with their types; and the item type of a list.

    PERF: cached, saves 58 us a response (benchmarks, typed-json).
    """
    kind = without_none(kind)
    fields, arguments = fields_of(kind), get_args(kind)
    return fields, hints_of(kind) if fields else {}, arguments[0] if arguments else Any


def _unloaded(value: object) -> set[str]:
    """Return the attributes of a SQLAlchemy model that are not loaded."""
    sqlalchemy = sys.modules.get("sqlalchemy")
    state = None if sqlalchemy is None else sqlalchemy.inspect(value, raiseerr=False)
    return set(getattr(state, "unloaded", ()))
