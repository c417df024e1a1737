"""Resources are closed and steps bounded, also while the caller is cancelled and where work swallows that."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.polling import until
from torngas_aio import _cleanup
from torngas_aio._cleanup import (
    Close,
    await_result,
    await_to_the_end,
    bounded,
    cancel_tasks,
    close_all,
    close_each,
    close_safely,
    close_with_loop,
    drain_with_loop,
    forget,
    is_imposed,
    tasks_to_drain,
)

Work = Callable[[], Awaitable[None]]


class Stubborn:
    """Work that swallows its cancellations until it is let go."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.cancelled = 0

    async def __call__(self) -> None:
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.cancelled += 1


@pytest.fixture
async def stubborn(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stubborn]:
    monkeypatch.setattr(_cleanup, "CANCEL_SECONDS", 0.02)
    made = Stubborn()
    yield made
    made.may_end.set()
    while _cleanup._left_behind:
        await asyncio.wait(list(_cleanup._left_behind))


async def test_a_closing_that_swallows_its_cancellation_is_left_behind(
    stubborn: Stubborn, caplog: pytest.LogCaptureFixture
) -> None:
    await close_safely("the pool", stubborn, 0.01)
    assert "Closing 'the pool' took more than 0 s; it was abandoned." in caplog.text
    assert "The task that closes 'the pool' was cancelled twice and does not end" in caplog.text
    assert stubborn.cancelled == 2


async def test_a_step_that_swallows_its_cancellation_is_late(stubborn: Stubborn) -> None:
    with pytest.raises(TimeoutError, match="the step took more than"):
        await bounded("the step", stubborn, 0.01)
    assert stubborn.cancelled == 2


async def test_a_step_gives_what_it_raises() -> None:
    async def fails() -> None:
        raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        await bounded("the step", fails, 5)


async def test_a_step_that_is_cancelled_ends_before_its_caller() -> None:
    ended = asyncio.Event()

    async def step() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    caller = asyncio.create_task(bounded("the step", step, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_nothing_is_cancelled_where_nothing_is() -> None:
    await cancel_tasks([], 60)


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise LookupError("on purpose")


async def test_an_error_of_a_closing_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    await close_safely("the pool", fail)
    (record,) = caplog.records
    assert record.getMessage() == "Closing 'the pool' failed."
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


async def test_a_closing_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def close() -> None:
        try:
            await wait_for_ever()
        finally:
            ended.append("closed")

    await close_safely("the pool", close, 0.01)
    assert ended == ["closed"]
    assert "it was abandoned" in caplog.text


@pytest.mark.parametrize("times", [1, 3])
async def test_a_caller_that_is_cancelled_is_held_until_the_closing_has_ended(times: int) -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        await may_end.wait()
        ended.set()

    closing = asyncio.create_task(close_safely("the pool", close, 60))
    for _ in range(times):
        await asyncio.sleep(0)
        closing.cancel()
    await asyncio.sleep(0)
    assert not closing.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert ended.is_set()


@pytest.mark.parametrize("is_open_with_loop", [False, True])
async def test_a_caller_that_is_cancelled_closes_all_the_same_what_is_left(is_open_with_loop: bool) -> None:
    begun, closed = asyncio.Event(), list[int]()

    def closing(number: int) -> Close:
        async def close() -> None:
            begun.set()
            await asyncio.sleep(0)
            closed.append(number)

        return close

    if is_open_with_loop:
        for number in (2, 1, 0):
            close_with_loop(number, closing(number))
        task = asyncio.create_task(close_all())
    else:
        task = asyncio.create_task(close_each([(number, closing(number)) for number in range(3)]))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [0, 1, 2]


async def test_work_is_awaited_to_its_end_and_gives_what_it_returns() -> None:
    async def work() -> int:
        return 7

    assert await await_to_the_end(work()) == 7
    with pytest.raises(LookupError, match="on purpose"):
        await await_to_the_end(fail())


async def test_work_goes_on_when_its_caller_is_cancelled_and_its_error_is_not_lost() -> None:
    may_end = asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        raise LookupError("seen")  # else the loop would complain of an exception that nobody has retrieved

    caller = asyncio.create_task(await_to_the_end(work()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_caller_that_is_cancelled_goes_on_with_the_result_until_its_next_await() -> None:
    may_end = asyncio.Event()
    seen: list[int] = []

    async def work() -> int:
        await may_end.wait()
        return 7

    async def call() -> None:
        seen.append(await await_result(work()))
        await asyncio.sleep(60)

    async def end_late() -> None:
        await until(limit.expired)
        may_end.set()

    limit = asyncio.timeout(0.01)
    ending = asyncio.create_task(end_late())
    with pytest.raises(TimeoutError):  # the cancellation counts once
        async with limit:
            await call()
    await ending
    assert seen == [7]


async def test_work_that_does_not_end_in_time_is_cancelled_with_its_caller() -> None:
    working: list[asyncio.Task[None]] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        working.append(task)
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await await_result(work(), 0.01)
    assert working[0].cancelled()


async def test_tasks_that_end_when_cancelled_are_all_waited_for() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        try:
            await wait_for_ever()
        finally:
            for _ in range(number):
                await asyncio.sleep(0)
            ended.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    await asyncio.sleep(0)
    await cancel_tasks(tasks, 60)
    assert ended == [0, 1, 2]
    assert all(task.cancelled() for task in tasks)


async def test_a_task_that_was_left_behind_is_not_waited_for_again(
    stubborn: Stubborn, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.create_task(stubborn(), name="the import")
    await asyncio.sleep(0)
    await cancel_tasks([task], 0.02)
    assert stubborn.cancelled == 2
    await cancel_tasks([task], 60)
    assert stubborn.cancelled == 2
    assert len(caplog.records) == 1


async def test_what_was_opened_last_is_closed_first_and_once() -> None:
    closed: list[str] = []

    def closing(name: str) -> Close:
        async def close() -> None:
            closed.append(name)

        return close

    for name in ("pool", "cache", "forgotten", "cache"):
        close_with_loop(name, closing(name))
    close_with_loop("broken", fail)
    forget("forgotten")
    forget("unknown")
    await close_all()
    await close_all()
    assert closed == ["cache", "pool"]


def test_each_loop_closes_its_own() -> None:
    closed: list[str] = []

    async def open_and_leave() -> None:
        async def close() -> None:
            closed.append("of the first loop")

        close_with_loop("pool", close)

    asyncio.run(open_and_leave())
    asyncio.run(close_all())
    assert closed == []


async def test_a_stop_waits_for_tasks_that_go_on_only() -> None:
    may_end = asyncio.Event()
    task = asyncio.create_task(may_end.wait())
    drain_with_loop(task)
    assert tasks_to_drain() == {task}
    may_end.set()
    await task
    await asyncio.sleep(0)
    assert tasks_to_drain() == set()


async def test_a_cancellation_of_the_task_is_imposed_and_one_that_code_raised_is_not() -> None:
    found: list[bool] = []

    async def work(error: type[BaseException] | None) -> None:
        try:
            if error is not None:
                _raise(error)
            await wait_for_ever()
        except BaseException as exc:
            found.append(is_imposed(exc))
            raise

    for error in (asyncio.CancelledError, GeneratorExit, LookupError):
        with pytest.raises(error):
            await work(error)
    assert found == [False, False, False]
    found.clear()
    task = asyncio.create_task(work(None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == [True]
    found.clear()
    coroutine = work(None)
    coroutine.send(None)
    coroutine.close()
    assert found == [True]


def _raise(error: type[BaseException]) -> None:
    raise error


END = "import atexit, gc; atexit.register(lambda: print('frozen', gc.get_freeze_count() > 1000))\n"
SERVER = """
import asyncio, os, signal
from torngas_aio.application import Application
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.serving import run_until_stopped
application = Application([])
stop = lambda: os.kill(os.getpid(), signal.SIGTERM)
asyncio.run(run_until_stopped(application, make_backend(application), [], on_ready=stop))
"""
COMMAND = "from torngas_aio.cli import main; main(['--version'])"


@pytest.mark.parametrize("code", [SERVER, COMMAND], ids=["server", "command"])
def test_a_process_that_ends_has_nothing_to_collect(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", END + code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("frozen True\n")
