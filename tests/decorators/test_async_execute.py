"""Plain functions in threads: who waits, who is cancelled, how many run."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tornado import gen

from torngas_aio._cleanup import close_all
from torngas_aio.decorators.async_execute import _threads_of, async_execute
from torngas_aio.exception import ArgumentError, PoolExhausted
from torngas_aio.settings_manager import settings

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


class Gate:
    """Holds threads until it is opened, and counts those inside."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.entered = threading.Semaphore(0)
        self.inside = self.most = self.finished = 0

    def __call__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        self._open.wait(10)
        with self._lock:
            self.inside -= 1
            self.finished += 1

    async def wait_for(self, count: int) -> None:
        for _ in range(count):
            await asyncio.to_thread(self.entered.acquire, True, 10)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


class Worker:
    factor = 2

    @async_execute
    def method(self, number: int, plus: int = 0) -> int:
        return number * self.factor + plus

    @async_execute
    @staticmethod
    def static(number: int) -> int:
        return number * 3

    @staticmethod
    @async_execute
    def static_below(number: int) -> int:
        return number * 3

    @async_execute
    @classmethod
    def of_class(cls, number: int) -> int:
        return number * cls.factor


@async_execute
def thread_name() -> str:
    return threading.current_thread().name


@async_execute
def fail(error: BaseException) -> None:
    raise error


async def test_functions_methods_static_and_class_methods_run_in_threads() -> None:
    worker = Worker()
    assert await worker.method(3, plus=1) == 7
    assert await worker.static(3) == await Worker.static_below(3) == 9
    assert await Worker.of_class(3) == 6
    assert await thread_name() != threading.current_thread().name
    assert thread_name.__name__ == "thread_name"
    assert thread_name.__wrapped__() == threading.current_thread().name  # type: ignore[attr-defined]


async def test_it_is_yielded_in_an_old_style_coroutine() -> None:
    @gen.coroutine
    def get() -> Any:
        first = yield Worker().method(1)
        second, third = yield [Worker().method(2), Worker().method(3)]
        return [first, second, third]

    assert await get() == [2, 4, 6]


async def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    with pytest.raises(ValueError, match="bad"):
        await fail(ValueError("bad"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await fail(StopIteration())


async def test_context_variables_travel_in_and_not_back() -> None:
    @async_execute
    def read_and_write() -> str:
        seen = who.get()
        who.set("thread")
        return seen

    who.set("caller")
    assert await read_and_write() == "caller"
    assert who.get() == "caller"


async def test_the_callback_gets_the_result_in_the_loop() -> None:
    got: list[object] = []
    called = asyncio.Event()

    async def callback(value: int) -> None:
        got.append((value, threading.current_thread() is threading.main_thread()))
        called.set()

    await Worker().method(2, callback=got.append)
    Worker().method(3, callback=callback)
    await called.wait()
    assert got == [4, (6, True)]


async def test_a_failing_callback_or_function_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def callback(value: int) -> None:
        raise ValueError("in the callback")

    def never(value: None) -> None:
        raise AssertionError("called after an error")

    assert await Worker().method(2, callback=callback) == 4
    fail(ValueError("in the thread"), callback=never)
    await _threads_of(asyncio.get_running_loop()).settle()
    assert "The callback of Worker.method failed." in caplog.text
    assert "fail failed in its thread." in caplog.text


async def test_no_more_run_at_a_time_than_there_are_threads(gate: Gate) -> None:
    with settings.override(THREADS_NUM=3):
        held = [async_execute(gate)() for _ in range(9)]
    await gate.wait_for(3)
    assert gate.inside == 3
    gate.open()
    await asyncio.gather(*held)
    assert (gate.most, gate.finished) == (3, 9)


@pytest.mark.parametrize(("threads", "waiting"), [(1, 0), (1, 2), (3, 4)])
async def test_only_so_many_calls_wait_for_a_thread(gate: Gate, threads: int, waiting: int) -> None:
    with settings.override(THREADS_NUM=threads, THREADS_MAX_WAITING=waiting):
        held = [async_execute(gate)() for _ in range(threads + waiting)]  # all in one turn of the loop
        with pytest.raises(PoolExhausted, match=f"all {threads} threads .* and {waiting} calls"):
            async_execute(gate)()
    await gate.wait_for(threads)
    with pytest.raises(PoolExhausted):
        async_execute(gate)()
    gate.open()
    await asyncio.gather(*held)
    assert await async_execute(len)("ab") == 2


async def test_a_caller_cancelled_in_the_queue_means_it_never_runs(gate: Gate) -> None:
    with settings.override(THREADS_NUM=1):
        running = async_execute(gate)()
    await gate.wait_for(1)
    ran: list[int] = []

    async def caller() -> None:
        await async_execute(ran.append)(1)

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    await running
    await async_execute(int)()
    assert ran == []


async def test_a_cancelled_caller_goes_at_once_and_the_thread_keeps_its_place(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def held_then_failing() -> None:
        gate()
        raise ValueError("nobody waits for this")

    with settings.override(THREADS_NUM=1):
        task = asyncio.ensure_future(async_execute(held_then_failing)())
    await gate.wait_for(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    following = async_execute(threading.current_thread)()
    await asyncio.sleep(0)
    assert not following.done()
    assert gate.inside == 1
    gate.open()
    await following
    assert gate.finished == 1
    assert "held_then_failing failed in its thread." in caplog.text


async def test_a_result_that_nobody_waits_for_any_more_is_dropped(gate: Gate) -> None:
    called: list[object] = []
    future = async_execute(gate)(callback=called.append)
    await gate.wait_for(1)
    future.cancel()
    gate.open()
    await _threads_of(asyncio.get_running_loop()).settle()
    assert gate.finished == 1
    assert called == []


async def test_shutdown_awaits_what_runs_and_drops_what_waits(gate: Gate) -> None:
    with settings.override(THREADS_NUM=1):
        running = async_execute(gate)()
    waiting = async_execute(gate)()
    await gate.wait_for(1)
    closing = asyncio.create_task(close_all())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not closing.done()
    gate.open()
    await closing
    assert running.done()
    assert gate.finished == 1
    assert await Worker().method(1) == 2  # a second application in this loop works on
    await close_all()


def test_without_a_loop_the_mend_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"call thread_name\.__wrapped__"):
        thread_name()


def test_a_coroutine_function_needs_no_thread() -> None:
    async def already() -> None: ...

    with pytest.raises(ArgumentError, match="already is async already"):
        async_execute(already)


def test_each_loop_has_threads_of_its_own() -> None:
    async def places() -> object:
        await Worker().method(1)
        return _threads_of(asyncio.get_running_loop())

    assert asyncio.run(places()) is not asyncio.run(places())


@pytest.mark.parametrize(
    "error", [SystemExit(3), SystemExit(), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()], ids=repr
)
async def test_what_would_end_the_thread_is_the_callers_error(error: BaseException) -> None:
    """The caller would wait for ever, and the place be lost."""

    def stop() -> None:
        raise error

    with settings.override(THREADS_NUM=1):
        for _ in range(3):
            with pytest.raises(RuntimeError, match=r"stop raised .* in its thread") as caught:
                await async_execute(stop)()
            assert caught.value.__cause__ is error
        assert await Worker().method(1) == 2


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), ValueError()], ids=repr)
async def test_a_callback_ends_no_loop(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def callback(value: object) -> None:
        raise error

    assert await Worker.static(4, callback=callback) == await Worker.static(4)
    await _threads_of(asyncio.get_running_loop()).settle()
    assert "The callback of Worker.static failed." in caplog.text
