"""A task that is cancelled while it connects to SQLite leaves neither a connection nor a thread."""

import asyncio
import gc
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.db.support import LOOPS, on_loop
from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.settings_manager import settings


def threads_of_aiosqlite() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name}


async def use() -> Any:
    async with session_scope("default") as session:
        return await session.scalar(text("SELECT 'abc' REGEXP '^a'"))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_is_cancelled_at_any_step_is_closed(loop: str, tmp_path: Path) -> None:
    server = {"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(tmp_path / "a.db")}
    before = threads_of_aiosqlite()

    async def main() -> None:
        assert await use() == 1
        await close_all()
        for step in range(16):
            task = asyncio.create_task(use())
            for _ in range(min(step, 8)):
                await asyncio.sleep(0)
            await asyncio.sleep(max(step - 8, 0) / 1000)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.result() == 1
            await close_all()
            gc.collect()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with settings.override(DATABASE_CONNECTION={"default": {"connections": [server]}}):
            on_loop(loop, main)
    assert [str(each.message) for each in told] == []  # of SQLite, since Python 3.13
    assert threads_of_aiosqlite() <= before  # pages of the docs leave some in this process
