"""The loop that a server runs on."""

import asyncio

import pytest
from tornado.ioloop import IOLoop

from torngas_aio.webserver.runner import LoopRunner


def test_a_loop_of_its_own_gives_the_result_and_closes() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    with LoopRunner() as runner:
        assert runner.run(answer()) == 42


def test_work_for_a_loop_that_will_not_run_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in start scripts of Tornado 4: `PeriodicCallback(...).start()` before `server.start()`."""
    monkeypatch.setattr(IOLoop, "_ioloop_for_asyncio", {})  # without those that other tests have left

    async def idle() -> None:
        """Nothing."""

    with LoopRunner() as runner:
        runner.run(idle())
    assert not caplog.messages
    early = IOLoop(make_current=False)
    try:
        early.call_later(0, print)
        with LoopRunner() as runner:
            runner.run(idle())
    finally:
        early.close(all_fds=True)
    (told,) = caplog.messages
    assert "PeriodicCallback.start" in told
    assert "process_init" in told
    with LoopRunner() as runner:
        runner.run(idle())
    assert caplog.messages == [told]
