"""What a call in a worker thread comes back with."""

import asyncio

import pytest

from torngas_aio._threads import run_in_thread


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
