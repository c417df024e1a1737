"""A background task runs once at a time, outside the request that started it, and ends with its owner."""

import asyncio
import contextvars

import pytest

from torngas_aio._background import BackgroundTask

request_id = contextvars.ContextVar("request_id", default="none")


async def test_it_runs_once_at_a_time_in_a_context_of_its_own() -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append(request_id.get())
        await asyncio.sleep(0)

    request_id.set("of a request")
    task = BackgroundTask("work")
    for _ in range(3):
        task.start(work)
    async with asyncio.timeout(5):
        while task.is_running:
            await asyncio.sleep(0)
    assert seen == ["none"]
    task.start(work)
    await asyncio.sleep(0)
    assert seen == ["none", "none"]
    await task.aclose()


@pytest.mark.parametrize("swallows", [False, True])
async def test_closing_ends_it_also_where_a_cancellation_is_swallowed(swallows: bool) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallows:
                raise
            await asyncio.Event().wait()

    task = BackgroundTask("work")
    await task.aclose()
    task.start(work)
    await asyncio.sleep(0)
    await task.aclose()
    await task.aclose()
    assert not task.is_running
