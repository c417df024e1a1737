"""A worker process and its parent."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.http.conftest import Run

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


async def test_a_worker_that_is_still_starting_ends_in_order(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    program.fate.write_text("hang", encoding="utf-8")
    program.process.send_signal(signal.SIGHUP)
    await program.said("hangs")
    program.process.send_signal(signal.SIGTERM)
    assert await program.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_whole_group_ends_a_start_in_order(run: Run, number: signal.Signals) -> None:
    """As Ctrl-C in a terminal, or a service manager, sends it."""
    program = await run(2, fate="hang")
    parent = program.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children")
    await program.said("hangs", 2)
    for pid in (parent, *map(int, children.read_text(encoding="ascii").split())):
        with contextlib.suppress(ProcessLookupError):  # the parent was quicker
            os.kill(pid, number)
    assert await program.end() == 0


async def test_workers_end_when_their_parent_is_killed(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    program.process.kill()
    assert await program.end() == -signal.SIGKILL  # the log, which is waited for, ends when the last worker has
