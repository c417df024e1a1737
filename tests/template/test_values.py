"""Which values have to be awaited."""

import asyncio
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from torngas_aio.template import values
from torngas_aio.template.values import Shape, awaited, shape_of, shape_of_value


async def coroutine() -> int:
    return 1


async def walk() -> AsyncIterator[int]:
    yield 1


def generator() -> Iterator[int]:
    yield 1


@types.coroutine
def old_coroutine() -> Iterator[None]:
    yield


def test_each_kind_of_value_has_its_shape() -> None:
    running, old = coroutine(), old_coroutine()
    assert shape_of_value(running) is Shape.AWAITABLE
    assert shape_of_value(old) is Shape.AWAITABLE
    assert shape_of_value(generator()) is Shape.ONE_SHOT
    assert shape_of_value(map(str, ())) is Shape.ONE_SHOT
    assert shape_of_value(walk()) is Shape.ASYNC_ITERABLE
    for plain in (1, "a", [], {}, None, coroutine, object(), range(3)):
        assert shape_of_value(plain) is Shape.PLAIN
    assert shape_of({"a": 1, "b": iter(()), "c": running}) == Shape.AWAITABLE | Shape.ONE_SHOT
    running.close()
    old.close()


def test_types_made_at_run_time_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_MAX_TYPES", 10)
    for number in range(50):
        shape_of_value(type(f"T{number}", (), {})())
    assert len(values._shapes) <= 10


async def test_awaited_keeps_the_order_and_the_rest() -> None:
    order: list[str] = []

    async def note(name: str) -> str:
        await asyncio.sleep(0)
        order.append(name)
        return name.upper()

    found = await awaited({"a": note("a"), "x": 1, "b": note("b")})
    assert found == {"a": "A", "x": 1, "b": "B"}
    assert order == ["a", "b"]


async def test_cancelled_midway_nothing_is_left_unawaited() -> None:
    started = asyncio.Event()

    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    given: dict[str, Any] = {"a": waits(), "b": coroutine()}
    task = asyncio.create_task(awaited(given))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given["b"].cr_frame is None, "it was closed"
