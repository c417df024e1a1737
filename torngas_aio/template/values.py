"""Awaitables among the values of a page: found, and awaited before the page is made.

Begin with `await_values`.
"""

from collections.abc import Coroutine, Mapping
from inspect import isawaitable, iscoroutine
from types import GeneratorType
from typing import Any

from torngas_aio.exception import ArgumentError

__all__ = ["await_values", "awaitable_names", "has_awaitables", "run_without_waiting"]


def has_awaitables(values: Mapping[str, Any]) -> bool:
    """Return whether any of *values* must be awaited."""
    return any(map(_must_await, values.values()))


def awaitable_names(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the *values* that must be awaited."""
    return [name for name, value in values.items() if _must_await(value)]


async def await_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with awaitables replaced by their results, awaited one after the other.

    When one fails, or the caller is cancelled, coroutines that were not begun are closed.
    """
    results = dict(values)
    try:
        for name in awaitable_names(results):
            results[name] = await results[name]
    except BaseException:
        for value in results.values():
            if iscoroutine(value):
                value.close()
        raise
    return results


def run_without_waiting(coroutine: Coroutine[Any, Any, bytes], name: str) -> bytes:
    """Run *coroutine*, which renders the template *name*, at once and return its result; for code that cannot await.

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


def _must_await(value: Any) -> bool:
    # PERF: `inspect.isawaitable` asks an ABC, which takes four times as long; only generators need it.
    kind = type(value)
    return isawaitable(value) if kind is GeneratorType else hasattr(kind, "__await__")
