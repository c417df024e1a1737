"""Nothing at a start or a stop is waited for without a limit."""

import asyncio
import contextvars
import functools
import logging
import re
import sys
from typing import Any

import pytest

from tests.polling import until
from tests.test_cleanup import Stubborn, stubborn
from torngas_aio.application import Application
from torngas_aio.lifespan import Background, Lifespan, StopEvent

__all__ = ["stubborn"]


@pytest.mark.parametrize("code", [None, 0, 3, "no database"])
async def test_a_step_that_exits_fails_like_any_other(code: object) -> None:
    """A SystemExit would leave the loop at once; the steps before it are closed."""
    closed: list[str] = []

    async def close() -> None:
        closed.append("first")

    async def leave() -> None:
        sys.exit(code)  # type: ignore[arg-type]

    lifespan = Lifespan()
    lifespan.add("the first", close=close)
    lifespan.add("Hook", leave)
    with pytest.raises(RuntimeError, match=re.escape(f"Hook called sys.exit({code!r}).")):
        await lifespan.open()
    assert closed == ["first"]
    assert not lifespan.is_open


async def test_a_start_that_swallows_its_cancellation_is_left_behind(stubborn: Stubborn) -> None:
    """The steps before it are closed."""
    told: list[str] = []

    async def tell() -> None:
        told.append("closed")

    lifespan = Lifespan(step_seconds=0.01)
    lifespan.add("first", None, tell)
    lifespan.add("second", stubborn)
    with pytest.raises(TimeoutError, match=r"second took more than 0\.01 s"):
        await lifespan.open()
    assert told == ["closed"]
    assert not lifespan.is_open


async def test_a_close_ends_an_opening_that_goes_on(stubborn: Stubborn) -> None:
    lifespan = Lifespan()
    lifespan.add("first", asyncio.Event().wait)
    opening = asyncio.create_task(lifespan.open())
    await asyncio.sleep(0)
    await lifespan.close()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_what_one_step_sets_the_next_one_sees() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    async def first() -> None:
        variable.set("set")

    async def second() -> None:
        seen.append(variable.get())

    lifespan = Lifespan()
    lifespan.add("first", first)
    lifespan.add("second", second)
    await lifespan.open()
    await lifespan.close()
    assert seen == ["set"]


class TestBackground:
    async def test_a_task_that_swallows_its_cancellation_is_named_and_left_behind(
        self, stubborn: Stubborn, caplog: pytest.LogCaptureFixture
    ) -> None:
        background = Background()
        background.start_soon(stubborn, name="the import")
        await asyncio.sleep(0)
        await background.close(0.02)
        assert stubborn.cancelled == 2
        assert "The task the import was cancelled twice and does not end; it is left behind." in caplog.text

    async def test_a_task_gets_the_time_that_is_left(self) -> None:
        background = Background()
        told: list[str] = []

        async def job(number: int) -> None:
            await asyncio.sleep(0)
            told.append(f"job {number}")
            if number < 3:
                background.start_soon(job, number + 1)

        background.start_soon(job, 1)
        await background.drain(30)
        assert told == ["job 1", "job 2", "job 3"]
        assert not len(background)

    async def test_a_daemon_is_not_waited_for_and_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        background = Background()
        background.start_soon(asyncio.Event().wait, daemon=True)
        await background.drain(60)
        assert len(background) == 1
        await background.close()
        assert not len(background)
        assert not caplog.records

    @pytest.mark.parametrize(
        ("arguments", "shown"),
        [
            ((), "()"),
            ((7, "a\nb"), r"(7, 'a\nb')"),
            (({"password": "hunter2", "to": "x"},), "({'password': ••••••••, 'to': 'x'})"),
            (("mysql://root:hunter2@db/x",), "('mysql://root:••••••••@db/x')"),
            (("x" * 5000,), "… (5000 in all))"),
        ],
    )
    async def test_what_is_dropped_is_logged_with_its_arguments_masked(
        self, arguments: tuple[Any, ...], shown: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def send_mail(*_: Any) -> None:
            await asyncio.Event().wait()

        background = Background()
        background.start_soon(send_mail, *arguments)
        await asyncio.sleep(0)
        await background.drain(0.01)
        await background.close()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert re.search(r"The background task \S*send_mail\(", caplog.text)
        assert "hunter2" not in caplog.text
        assert shown in caplog.messages[0]

    async def test_a_stop_says_at_once_for_what_it_waits(self, caplog: pytest.LogCaptureFixture) -> None:
        end = asyncio.Event()

        async def tick(password: str) -> None:
            await end.wait()

        background = Background()
        await background.drain(30)
        background.start_soon(tick, "hunter2")
        background.start_soon(tick, "hunter2", name="the clock")
        background.start_soon(asyncio.Event().wait, daemon=True)
        caplog.set_level(logging.INFO, "torngas_aio.lifespan")
        draining = asyncio.create_task(background.drain(30))
        await until(lambda: bool(caplog.messages))
        assert not draining.done()
        end.set()
        await draining
        (message,) = caplog.messages
        told = r"The stop waits up to 30 s for background tasks: \S*tick\(••••••••\), the clock\(••••••••\)\. "
        assert re.match(told, message)
        assert message.endswith("with daemon=True.")
        await background.close()

    async def test_what_a_parameter_s_name_or_a_partial_hides_is_masked(self, caplog: pytest.LogCaptureFixture) -> None:
        async def log_in(user: str, password: str, *more: str, token: str = "") -> None:
            await asyncio.Event().wait()

        background = Background()
        background.start_soon(log_in, "me", "hunter2", "more")
        background.start_soon(functools.partial(log_in, "you", token="hunter2"), "hunter2")
        await asyncio.sleep(0)
        await background.close()
        await background.close()
        assert "hunter2" not in caplog.text
        assert [message.partition("log_in")[2] for message in caplog.messages] == [
            "('me', ••••••••, 'more') was dropped at the stop.",
            "('you', ••••••••, token=••••••••) was dropped at the stop.",
        ]

    async def test_a_stop_finishes_the_work_before_the_hooks_that_close_what_it_uses(self) -> None:
        told: list[str] = []

        class Store:
            async def process_init(self, application: Any) -> None:
                told.append("open")

            async def process_shutdown(self, application: Any) -> None:
                told.append("closed")

        async def job() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                told.append("job ends")

        application = Application(middlewares=[Store])
        await application.startup()
        application.background.start_soon(job)
        await asyncio.sleep(0)
        await application.shutdown()
        assert told == ["open", "job ends", "closed"]


async def test_a_handler_can_ask_and_await_the_stop() -> None:
    application = Application()
    await application.startup()
    assert not application.is_stopping
    waiting = asyncio.create_task(application.is_stopping.wait())
    await application.shutdown()
    assert application.is_stopping
    assert await waiting
    await application.startup()
    assert not application.is_stopping
    await application.shutdown()


def test_the_truth_of_a_stop_event() -> None:
    event = StopEvent()
    assert not event
    event.set()
    assert event
