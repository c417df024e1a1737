"""Single flight, cancelled at each turn."""

import asyncio

import pytest

from torngas_aio._single_flight import SingleFlight


@pytest.mark.parametrize("cancel_at", range(8))
@pytest.mark.parametrize("victims", [(0,), (1,), (0, 1), (1, 0), (0, 1, 2), (3,)])
async def test_whoever_is_cancelled_the_others_get_a_value(cancel_at: int, victims: tuple[int, ...]) -> None:
    flights, computed = SingleFlight(), []

    async def load() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        computed.append(1)
        return "value"

    tasks = [asyncio.ensure_future(flights.run("key", load)) for _ in range(4)]
    for _ in range(cancel_at):
        await asyncio.sleep(0)
    for victim in victims:
        tasks[victim].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for number, result in enumerate(results):
        if number not in victims:
            assert result == "value"
        else:
            assert result == "value" or isinstance(result, asyncio.CancelledError)
    assert len(computed) == 1
    assert len(flights) == 0


async def test_the_lead_passed_to_one_who_is_cancelled_in_that_turn_is_passed_on() -> None:
    flights, release = SingleFlight(), asyncio.Event()

    async def load() -> str:
        await release.wait()
        return "value"

    tasks = [asyncio.ensure_future(flights.run("key", load)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)  # the lead has come to the second, which has not run yet
    tasks[1].cancel()
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[2] == "value"
    assert len(flights) == 0


async def test_an_error_reaches_all_who_waited_and_ends_the_flight() -> None:
    flights = SingleFlight()

    async def load() -> None:
        await asyncio.sleep(0)
        raise LookupError("no")

    results = await asyncio.gather(*(flights.run("key", load) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [LookupError] * 3
    assert len(flights) == 0


async def test_keys_fly_apart() -> None:
    flights, release = SingleFlight(), asyncio.Event()

    async def slow() -> int:
        await release.wait()
        return 1

    async def quick() -> int:
        return 2

    task = asyncio.ensure_future(flights.run("slow", slow))
    await asyncio.sleep(0)
    assert await flights.run("quick", quick) == 2
    release.set()
    assert await task == 1
