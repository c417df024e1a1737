"""Waiting in synchronous code: what goes in and comes out, in a greenlet and in a thread."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from torngas_aio._concurrency import run_in_thread
from torngas_aio.template.waiting import can_wait, in_greenlet, wait_for


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, BaseException):
        raise value
    return value


async def page(*values: Any) -> Any:
    """Waits in both ways by turns."""
    found = []
    for value in values:
        found.append(wait_for(later(value)))
        found.append(await later(value))
    return found


async def test_values_come_back_in_their_order() -> None:
    assert await in_greenlet(page, 1, 2) == [1, 1, 2, 2]


async def test_two_pages_wait_at_once() -> None:
    assert list(await asyncio.gather(in_greenlet(page, 1), in_greenlet(page, 2))) == [[1, 1], [2, 2]]


async def test_a_page_within_a_page() -> None:
    async def outer() -> Any:
        return [wait_for(in_work(1)), await in_greenlet(page, 2)]

    async def in_work(value: int) -> Any:
        return await in_greenlet(page, value)

    assert await in_greenlet(outer) == [[1, 1], [2, 2]]


async def test_errors_are_raised_where_the_code_waits() -> None:
    async def catching() -> str:
        with pytest.raises(LookupError):
            wait_for(later(LookupError()))
        with pytest.raises(LookupError):
            await later(LookupError())
        raise ValueError("of the page")

    with pytest.raises(ValueError, match="of the page"):
        await in_greenlet(catching)


@pytest.mark.parametrize("awaits", [True, False])
async def test_cancelled_while_it_waits(awaits: bool) -> None:
    begun, ends = asyncio.Event(), []

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("work")

    async def waiting() -> None:
        try:
            if awaits:
                await endless()
            else:
                wait_for(endless())
        finally:
            ends.append("page")

    async def run() -> None:
        await in_greenlet(waiting)

    task = asyncio.create_task(run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == ["work", "page"]


async def test_in_a_thread_the_loop_runs_it() -> None:
    loop = asyncio.get_running_loop()

    async def where() -> Any:
        return asyncio.get_running_loop()

    def call() -> Any:
        assert can_wait()
        return wait_for(where())

    assert await run_in_thread(call) is loop


async def test_in_a_coroutine_outside_of_a_page_nothing_can_wait() -> None:
    assert not can_wait()

    async def inside() -> bool:
        return can_wait()

    assert await in_greenlet(inside)


def test_without_greenlet_an_application_with_such_a_module_does_not_start() -> None:
    code = """
import sys
sys.modules["greenlet"] = None
from tornado.web import UIModule
from torngas_aio import Application
class Sync(UIModule):
    def render(self): return ""
class Waits(UIModule):
    async def render(self): return ""
Application([], ui_modules={"Sync": Sync})
Application([], ui_modules={"Waits": Waits})
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip().endswith(
        "Waits: A UI module with `async def render` needs greenlet: pip install greenlet."
    )
