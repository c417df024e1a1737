"""What kind of values a page was given: is anything in them to be awaited?

    coroutine, task, future      AWAITABLE        awaited before the page is made, in every engine
    has __aiter__                ASYNC_ITERABLE   `{% for %}` of Jinja2 walks it
    generator, cursor, map       ONE_SHOT         can be walked once only, so a page must not be begun twice

The answer is kept by type: a request's ten values cost less than a microsecond. Begin with `shape_of`.
"""

from collections.abc import Coroutine, Mapping
from enum import IntFlag
from inspect import CO_ITERABLE_COROUTINE, iscoroutine
from types import GeneratorType
from typing import Any

from torngas_aio.exception import ArgumentError

__all__ = ["Shape", "awaited", "driven", "shape_of", "shape_of_value"]

_MAX_TYPES = 4096


class Shape(IntFlag):
    """What a value, or any of several, asks of the one who renders it."""

    PLAIN = 0
    AWAITABLE = 1
    ASYNC_ITERABLE = 2
    ONE_SHOT = 4


_shapes: dict[type, Shape] = {}


def shape_of(values: Mapping[str, Any]) -> Shape:
    """Return the shapes of all *values* together."""
    found = 0
    known = _shapes
    for value in values.values():
        shape = known.get(type(value))
        found |= _shape_of_type(value) if shape is None else shape
    return Shape(found) if found else Shape.PLAIN


def shape_of_value(value: Any) -> Shape:
    """Return the shape of one value."""
    shape = _shapes.get(type(value))
    return _shape_of_type(value) if shape is None else shape


async def awaited(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with what can be awaited replaced by its result, one after the other.

    When one fails, or the caller is cancelled, coroutines that were not begun are closed.
    """
    settled = dict(values)
    try:
        for name, value in settled.items():
            if shape_of_value(value) & Shape.AWAITABLE:
                settled[name] = await value
    except BaseException:
        for value in settled.values():
            if iscoroutine(value):
                value.close()
        raise
    return settled


def driven(coroutine: Coroutine[Any, Any, bytes], name: str) -> bytes:
    """Return what *coroutine* gives, run here and now; for code that cannot await.

    Raises:
        ArgumentError: It has to wait for something. What it did until then is done.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        page: bytes = done.value
        return page
    coroutine.close()
    raise ArgumentError(
        f"Template {name!r} has to wait for something; it can be rendered with `await template.render(...)` only."
    )


def _shape_of_type(value: Any) -> Shape:
    kind = type(value)
    if kind is GeneratorType:  # the same type serves plain generators and `types.coroutine`: never kept
        is_coroutine = bool(value.gi_code.co_flags & CO_ITERABLE_COROUTINE)
        return Shape.AWAITABLE if is_coroutine else Shape.ONE_SHOT
    shape = Shape.PLAIN
    if hasattr(kind, "__await__"):
        shape = Shape.AWAITABLE
    elif hasattr(kind, "__aiter__"):
        shape = Shape.ASYNC_ITERABLE
    elif hasattr(kind, "__next__"):
        shape = Shape.ONE_SHOT
    if len(_shapes) >= _MAX_TYPES:  # types made at run time must not pile up
        _shapes.clear()
    _shapes[kind] = shape
    return shape
