"""Which values have to be awaited."""

import asyncio
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from torngas_aio.template.values import await_values, awaitable_names, has_awaitables


async def coroutine() -> int:
    return 1


async def walk() -> AsyncIterator[int]:
    yield 1


def generator() -> Iterator[int]:
    yield 1


@types.coroutine
def old_coroutine() -> Iterator[None]:
    yield


class Awaitable:
    def __await__(self) -> Iterator[None]:
        yield


async def test_what_must_be_awaited_is_told_from_the_rest() -> None:
    running, old = coroutine(), old_coroutine()
    future = asyncio.get_running_loop().create_future()
    plain = [
        1,
        "a",
        [],
        {},
        None,
        coroutine,
        Awaitable,
        object(),
        range(3),
        iter(()),
        generator(),
        map(str, ()),
        walk(),
    ]
    for value in (running, old, future, Awaitable()):
        assert has_awaitables({"value": value})
    assert not has_awaitables({str(number): value for number, value in enumerate(plain)})
    assert awaitable_names({"a": 1, "b": iter(()), "c": running, "d": old}) == ["c", "d"]
    running.close()
    old.close()


async def test_awaited_keeps_the_order_and_the_rest() -> None:
    order: list[str] = []

    async def note(name: str) -> str:
        await asyncio.sleep(0)
        order.append(name)
        return name.upper()

    found = await await_values({"a": note("a"), "x": 1, "b": note("b")})
    assert found == {"a": "A", "x": 1, "b": "B"}
    assert order == ["a", "b"]


async def test_cancelled_midway_nothing_is_left_unawaited() -> None:
    started = asyncio.Event()

    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    given: dict[str, Any] = {"a": waits(), "b": coroutine()}
    task = asyncio.create_task(await_values(given))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given["b"].cr_frame is None, "it was closed"
