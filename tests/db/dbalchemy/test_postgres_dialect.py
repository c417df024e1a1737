"""A PostgreSQL server that dies and freezes."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.db.models import User
from tests.db.support import LOOPS, configured, in_use, on_loop, pg, prepared, servers_of
from tests.services.postgres import PostgresServer
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.exception import DatabaseUnavailable

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slave that was down is tried again soon."""
    monkeypatch.setattr("torngas_aio.db.dbalchemy.cluster.RETRY_SECONDS", 0.05)


@pytest.mark.parametrize("loop", LOOPS)
def test_postgres_killed_and_frozen(postgres: PostgresServer, loop: str) -> None:
    async def main() -> None:
        connections = pg(postgres, has_slave=True)
        for each in connections["default"]["connections"]:
            each["READ_TIMEOUT"] = 0.3
        with configured(connections, connect_args={"connect_timeout": 0.5}):
            async with prepared():
                for _ in range(2):
                    async with session_scope() as session:
                        session.add(User(name="x"))
                        await session.commit()
                        assert await User.Q.exists()
                    async with session_scope():
                        assert await User.Q.exists()
                    await asyncio.to_thread(postgres.process.restart)
                async with session_scope():
                    await User.Q.count()
                    await _with_frozen(postgres, User.Q.count)
                async with session_scope():
                    assert await User.Q.count() == 2
                assert [in_use(node) for node in servers_of().nodes] == [0, 0]

    on_loop(loop, main)


async def _with_frozen(postgres: PostgresServer, work: Callable[[], Awaitable[Any]]) -> None:
    """Freeze the process that serves us: the server's first one only accepts."""
    children = Path(f"/proc/{postgres.process.pid}/task/{postgres.process.pid}/children").read_text(encoding="ascii")
    pids = [int(pid) for pid in children.split()] + [postgres.process.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable):
            await work()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
