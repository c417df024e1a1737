"""What a method's value becomes: JSON of the type that it declares, and no field more.

    async def get(self) -> list[TaskOut]               models, Structs, mappings; lists of them
    async def post(self) -> Created[TaskOut]           201
    @returns(Created[TaskOut])                         where the body returns a model; or TaskOut, status=201

An attribute of a SQLAlchemy model that is not loaded is left out where its field has a default; else it is an error.
Begin with `output_of`.
"""

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import msgspec

from torngas_aio.api.conversion import fields_of, hints_of
from torngas_aio.exception import ArgumentError, SerializationError
from torngas_aio.handler.replies import Reply

__all__ = ["Output", "Page", "output_of", "returns"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Page(msgspec.Struct, Generic[T]):
    """One page of a query: what `Query.paginate` returns, as a client sees it.

    Attributes:
        items: The rows of this page.
        page: Its number, from 1.
        per_page: The most rows a page holds.
        total: The rows of all pages.
        pages: How many pages there are.
    """

    items: list[T]
    page: int = 1
    per_page: int = 0
    total: int | None = None
    pages: int | None = None


class Output:
    """The declared type of a response and its status.

    Attributes:
        kind: The type; None: the status has no body.
        status: The status code of a plain value; that of a `Reply` comes first.
    """

    def __init__(self, kind: Any, status: int) -> None:
        self.kind = kind
        self.status = status

    def encode(self, value: Any) -> bytes:
        """Return *value* as JSON of the declared type.

        Raises:
            SerializationError: It does not fit the type, or an attribute that is needed is not loaded.
        """
        try:
            plain = _shown(value, self.kind)
            return msgspec.json.encode(msgspec.convert(plain, self.kind, from_attributes=True, str_keys=True))
        except (msgspec.ValidationError, TypeError) as exc:
            raise SerializationError(f"The value does not fit the declared output {self.kind!r}: {exc}") from exc


def returns(kind: Any, *, status: int = 200) -> Callable[[F], F]:
    """Declare the output of a method whose annotation cannot name it, such as one that returns a model.

    Args:
        kind: The type, or a `Reply` of it such as `Created[TaskOut]`, which has its own status.
        status: Of a plain value.
    """

    def declare(method: F) -> F:
        method.declared_output = _reply_output(kind) or Output(kind, status)  # type: ignore[attr-defined]
        return method

    return declare


def output_of(method: Any, annotation: Any) -> Output | None:
    """Return the output that *method* declares; None where it declares none."""
    declared: Output | None = getattr(method, "declared_output", None)
    reply = _reply_output(annotation)
    if declared is not None and reply is not None and declared.status == 200:  # returns(TaskOut), "-> Created[Any]"
        return Output(None if reply.kind is None else declared.kind, reply.status)
    if declared is not None or annotation in {None, type(None), Any}:
        return declared
    return reply or (Output(annotation, 200) if _is_encodable(annotation) else None)


def _reply_output(kind: Any) -> Output | None:
    """The output that a `Reply` type such as `Created[TaskOut]` names; None for other types."""
    origin = get_origin(kind) or kind
    if not (isinstance(origin, type) and issubclass(origin, Reply)):
        return None
    kinds = get_args(kind)
    return Output(None if origin.status_code == 204 else kinds[0] if kinds else Any, origin.status_code)


def _is_encodable(kind: Any) -> bool:
    """Whether *kind* is a type to respond with; a method may also return an awaitable, or nothing."""
    try:
        found = msgspec.inspect.type_info(kind)
    except TypeError:
        return False
    return not isinstance(found, msgspec.inspect.CustomType)


def _shown(value: Any, kind: Any) -> Any:
    """*value* with models as mappings of the fields that *kind* has."""
    if isinstance(value, _WHOLE):
        return value
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    fields, hints = _shape_of(kind)
    if isinstance(value, _LISTS) or (not fields and isinstance(value, Iterable)):  # a Pagination is iterable, too
        arguments = get_args(kind)
        return [_shown(each, arguments[0] if arguments else Any) for each in value]
    if not fields:
        return value
    missing = _unloaded(value)
    shown = {}
    for field in fields:
        if field.name in missing:
            if field.required:
                raise ArgumentError(
                    f"{type(value).__qualname__}.{field.name} is not loaded. Load it with the query: "
                    f".options(selectinload({type(value).__qualname__}.{field.name})), or give the field of "
                    f"{getattr(kind, '__qualname__', kind)} a default."
                )
            continue
        if hasattr(value, field.name):
            shown[field.encode_name] = _shown(getattr(value, field.name), hints.get(field.name, Any))
    return shown


_WHOLE = (msgspec.Struct, str, int, float, bool, type(None), bytes, Mapping)
"""Values that are written as they are; the most frequent ones first."""

_LISTS = (list, tuple, set, frozenset)


@functools.lru_cache(1024)
def _shape_of(kind: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The fields of *kind* and their types. PERF: 58 us to look for them in each response (benchmarks, typed-json)."""
    fields = fields_of(kind)
    return fields, hints_of(kind) if fields else {}


def _unloaded(value: Any) -> set[str]:
    """The attributes of a SQLAlchemy model that a look would have to load."""
    sqlalchemy = sys.modules.get("sqlalchemy")
    state = None if sqlalchemy is None else sqlalchemy.inspect(value, raiseerr=False)
    return set(getattr(state, "unloaded", ()))
