"""Shared computations, places, background tasks and calls in threads, cancelled at each turn."""

import asyncio
import contextvars

import anyio.to_thread
import pytest

from torngas_aio._concurrency import BackgroundTask, Places, SingleFlight, run_in_loop, run_in_thread


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


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()], ids=repr
)
async def test_what_would_end_the_thread_is_an_error_of_the_call(error: BaseException) -> None:
    def stop(number: int) -> None:
        raise error

    with pytest.raises(RuntimeError, match=r"stop raised .* in its thread") as caught:
        await run_in_thread(stop, 1)
    assert caught.value.__cause__ is error


async def test_results_and_errors_pass() -> None:
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(divmod, 7, 0)


async def test_a_thread_waits_for_the_loop() -> None:
    async def there(value: int) -> int:
        await asyncio.sleep(0)
        return 10 // value

    assert await run_in_thread(lambda: run_in_loop(there(5))) == 2
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: run_in_loop(there(0)))


async def test_what_a_thread_waits_for_does_not_wait_for_its_place() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, 1

    async def nested(depth: int) -> int:
        return await run_in_thread(lambda: 1 + run_in_loop(nested(depth - 1)) if depth else 0)

    try:
        assert await nested(3) == 3
    finally:
        limiter.total_tokens = before
