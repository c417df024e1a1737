"""As many callers as there are places hold one; the next waits for a bounded time."""

import asyncio

import pytest

from torngas_aio._places import Places


async def test_a_caller_beyond_the_size_waits_and_is_refused_in_time() -> None:
    places = Places(2)
    await places.take(0)
    await places.take(0)
    with pytest.raises(TimeoutError):
        await places.take(0.001)
    places.release()
    await places.take(0)


async def test_a_cancelled_caller_leaves_the_place_to_the_next() -> None:
    places = Places(1)
    await places.take(0)
    first, second = (asyncio.ensure_future(places.take(5)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    places.release()
    await second
    assert first.cancelled()
