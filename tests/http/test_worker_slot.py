"""A worker as its parent sees it."""

import signal

import pytest

from tests.http.conftest import Run
from tests.http.wire import get
from torngas_aio.http import supervisor
from torngas_aio.http.worker_slot import RenewalLimits, Slot

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


async def test_a_worker_that_keeps_dying_is_replaced_after_growing_pauses(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    for count in range(1, 4):
        async with await program.client() as client:
            client.send(get("/die"))
            await client.rest()
        await program.said("is ready", count + 1)
    pauses = [line.rpartition("starts in ")[2] for line in program.lines if "starts in" in line]
    assert pauses == ["0.0 s.", "0.1 s.", "0.4 s."]


async def test_the_pause_before_a_restart_is_never_longer_than_a_second() -> None:
    """The connections that wait in a dead worker's sockets wait for its successor."""
    assert max(supervisor._PAUSES) <= 1.0


async def test_a_worker_that_does_not_get_ready_is_killed(run: Run) -> None:
    program = await run(1, "ready_timeout=0.2", fate="hang")
    assert await program.end() == 1
    assert any("is not ready in time" in line for line in program.lines)


async def test_a_time_in_which_nobody_could_be_heard_postpones_every_deadline() -> None:
    slot = Slot(0, RenewalLimits(), reported_at=99.0, hung_until=103.0, kill_at=104.0, ready_until=105.0)
    slot.postpone(10.0, 112.0)
    assert (slot.reported_at, slot.hung_until, slot.kill_at, slot.ready_until) == (109.0, 113.0, 114.0, 115.0)
    slot = Slot(0, RenewalLimits(), reported_at=99.0)
    slot.postpone(10.0, 100.0)  # it reported meanwhile
    assert (slot.reported_at, slot.hung_until, slot.kill_at, slot.ready_until) == (100.0, None, None, None)


async def test_a_worker_that_ends_badly_shows_in_the_status(run: Run) -> None:
    program = await run(1, fate="leave badly")
    await program.said("is ready")
    program.process.send_signal(signal.SIGINT)
    assert await program.end() == 1
