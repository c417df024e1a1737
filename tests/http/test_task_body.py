"""A part of a task that a callback carries on: whatever it does, it does as in the task itself."""

import asyncio
import contextlib
import gc
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from tests.polling import until
from torngas_aio.http.task_body import TaskBody, until_resumed

variable: ContextVar[str] = ContextVar("variable", default="")


class Run:
    """A task around `TaskBody`, each of whose steps a callback of the loop begins."""

    def __init__(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.body = TaskBody(steps())
        self.task = asyncio.create_task(self._main())

    async def _main(self) -> None:
        await self.body

    async def resume(self) -> None:
        """Have a callback resume the body; return right after it, before the task could wake."""
        resumed = asyncio.get_running_loop().create_future()

        def call() -> None:
            self.body.resume()
            resumed.set_result(None)

        asyncio.get_running_loop().call_soon(call)
        await resumed


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_callback_runs_the_body_at_once_as_the_task_and_in_its_context() -> None:
    seen: list[Any] = []

    async def steps() -> None:
        variable.set("of the task")
        for _ in range(3):
            await until_resumed()
            seen.append((asyncio.current_task(), variable.get()))

    run = Run(steps)
    await settle()
    for _ in range(3):
        asyncio.get_running_loop().call_soon(run.body.resume)
        asyncio.get_running_loop().call_soon(lambda: seen.append(asyncio.current_task()))
    await run.task
    assert seen == [(run.task, "of the task"), None] * 3


async def test_what_the_task_sets_afterwards_is_in_the_same_context() -> None:
    seen: list[str] = []

    async def steps() -> None:
        await until_resumed()
        token = variable.set("a callback")
        await asyncio.sleep(0)
        seen.append(variable.get())
        variable.reset(token)

    async def main() -> None:
        variable.set("before")
        body.append(TaskBody(steps()))
        await body[0]
        seen.append(variable.get())

    body: list[TaskBody] = []
    task = asyncio.create_task(main())
    await settle()
    asyncio.get_running_loop().call_soon(body[0].resume)
    await task
    assert seen == ["a callback", "before"]


async def test_within_another_task_its_own_task_carries_it_on() -> None:
    seen: list[Any] = []

    async def steps() -> None:
        await until_resumed()
        seen.append(asyncio.current_task())

    run = Run(steps)
    await settle()
    run.body.resume()
    run.body.resume()
    assert not seen
    await run.task
    assert seen == [run.task]


async def test_a_timeout_that_begins_in_a_callback_ends_what_goes_on_in_the_task() -> None:
    ended: list[str] = []

    async def steps() -> None:
        await until_resumed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        ended.append("timeout")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0)).add_done_callback(lambda _: ended.append("group"))

    run = Run(steps)
    await settle()
    await run.resume()
    await run.task
    assert ended == ["timeout", "group"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
async def test_an_error_is_the_tasks_and_not_the_callbacks(error: BaseException) -> None:
    async def steps() -> None:
        await until_resumed()
        raise error

    caught: list[BaseException] = []

    async def main() -> None:
        try:
            await body
        except BaseException as exc:  # noqa: BLE001  # any of them
            caught.append(exc)

    body = TaskBody(steps())
    task = asyncio.create_task(main())
    await settle()
    asyncio.get_running_loop().call_soon(body.resume)
    await task
    assert caught == [error]


async def test_a_cancellation_reaches_what_is_awaited_before_the_task_has_woken() -> None:
    ended: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("inner")

    async def steps() -> None:
        child = asyncio.create_task(inner())
        await asyncio.sleep(0)
        await until_resumed()
        try:
            await child
        except asyncio.CancelledError:
            ended.append("body")
            raise

    run = Run(steps)
    await settle()
    await run.resume()
    run.task.cancel()
    await asyncio.wait([run.task])
    assert run.task.cancelled()
    assert ended == ["inner", "body"]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_task_that_cancels_itself_in_a_callback_is_cancelled_where_it_waits_next(waits: bool) -> None:
    reached: list[str] = []

    async def steps() -> None:
        await until_resumed()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        reached.append("cancelled itself")
        await (asyncio.sleep(10) if waits else until_resumed())
        reached.append("never")

    run = Run(steps)
    await settle()
    await run.resume()
    await asyncio.wait([run.task], timeout=5)
    assert run.task.cancelled()
    assert reached == ["cancelled itself"]


async def test_a_body_that_is_thrown_away_is_closed() -> None:
    closed: list[str] = []

    async def steps() -> None:
        try:
            await until_resumed()
        finally:
            closed.append("closed")

    waiting = TaskBody(steps()).__await__()
    waiting.send(None)
    waiting.close()
    del waiting
    gc.collect()
    assert closed == ["closed"]


class Program:
    """Steps that wait for their turn, and note what has come of each."""

    def __init__(self, moves: list[str], wait: Callable[[], Awaitable[object]]) -> None:
        self.moves = moves
        self.wait = wait
        self.noted: list[tuple[int, str]] = []

    async def steps(self) -> None:
        for number, move in enumerate(self.moves):
            await self.wait()
            try:
                await _perform(move)
            except (ValueError, TimeoutError, asyncio.CancelledError) as exc:
                self.noted.append((number, repr(exc)))
                if isinstance(exc, asyncio.CancelledError):
                    raise
            else:
                self.noted.append((number, move))

    async def run(self, task: asyncio.Task[None], resume: Callable[[int], Awaitable[None]], cancels_at: int) -> Any:
        """Resume each step after the one before has ended; return what was noted, and whether it was cancelled."""
        await settle()
        for turn in range(len(self.moves)):
            if turn == cancels_at:
                task.cancel()
            await resume(turn)
            await until(lambda: task.done() or len(self.noted) > turn, 5)  # noqa: B023  it has ended by the next turn
            await settle()
        return self.noted, task.cancelled()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_it_awaits_the_same_happens_as_in_a_plain_task(seed: int) -> None:
    """Random steps, resumed by callbacks or woken, and cancelled between two, against the same in a task alone."""
    rng = random.Random(seed)
    moves = [rng.choice(("nothing", "sleep", "task", "cancelled", "timeout", "fail")) for _ in range(12)]
    cancels_at = rng.choice((-1, 3, 6, 9))

    program = Program(moves, until_resumed)
    run = Run(program.steps)

    async def resume(turn: int) -> None:
        if turn % 3:
            await run.resume()
        else:
            run.body.wake()

    gate = asyncio.Semaphore(0)
    plain = Program(moves, gate.acquire)

    async def release(_: int) -> None:
        gate.release()

    assert await program.run(run.task, resume, cancels_at) == await plain.run(
        asyncio.create_task(plain.steps()), release, cancels_at
    )


async def _perform(move: str) -> None:
    if move == "sleep":
        await asyncio.sleep(0)
    elif move == "task":
        await asyncio.create_task(asyncio.sleep(0))
    elif move == "cancelled":
        child = asyncio.create_task(asyncio.sleep(1))
        child.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await child
    elif move == "timeout":
        async with asyncio.timeout(0):
            await asyncio.sleep(1)
    elif move == "fail":
        raise ValueError(move)
