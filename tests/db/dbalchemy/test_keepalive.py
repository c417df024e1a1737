"""Pings in the background: dead connections are replaced, slaves that are back are used again."""

import asyncio
import logging
from typing import Any

import pytest

from tests.db.models import User
from tests.db.support import configured, maria, prepared, servers_of
from tests.services.mariadb import MariaCluster
from torngas_aio.db.dbalchemy import engines, session_scope
from torngas_aio.db.dbalchemy.keepalive import KeepAlive


@pytest.mark.mariadb
async def test_idle_connections_are_pinged_and_no_more_than_told(
    cluster: MariaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "IDLE_SECONDS", 0.0)
    with configured(maria(cluster, slaves=1), pool_size=5):
        async with prepared(cluster):
            slave = servers_of().slaves[0]
            held = [await slave.engine.connect() for _ in range(4)]
            for connection in held:
                await connection.close()
            before = cluster.slaves[0].status("Com_admin_commands")
            await KeepAlive(lambda: [servers_of()], 1, 3).ping()
            assert cluster.slaves[0].status("Com_admin_commands") == before + 3


@pytest.mark.mariadb
async def test_a_slave_that_is_back_is_noticed(cluster: MariaCluster) -> None:
    with configured(maria(cluster, slaves=1)):
        async with prepared(cluster):
            async with session_scope():
                await User.Q.count()
            slave = servers_of().slaves[0]
            keep_alive = KeepAlive(lambda: [servers_of()], 1, 3)
            cluster.slaves[0].process.kill()
            await keep_alive.ping()
            assert slave.is_down
            await keep_alive.ping()
            assert slave.is_down
            cluster.slaves[0].process.start()
            await keep_alive.ping()
            assert not slave.is_down


async def test_it_runs_until_it_is_closed_and_survives_its_errors(
    sqlite: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    rounds = 0
    enough = asyncio.Event()

    def clusters() -> list[Any]:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ValueError("a bug")
        if rounds == 3:
            enough.set()
        return [servers_of()]

    with configured(sqlite):
        async with prepared():
            keep_alive = KeepAlive(clusters, 0.001, 3)
            await keep_alive.aclose()
            keep_alive.start()
            keep_alive.start()
            await enough.wait()
            await keep_alive.aclose()
            await keep_alive.aclose()
            seen = rounds
            await asyncio.sleep(0.01)
            assert rounds == seen
    assert [record.levelno for record in caplog.records if "Pinging" in record.message] == [logging.ERROR]


async def test_a_full_pool_is_left_alone(sqlite: dict[str, Any]) -> None:
    with configured(sqlite, pool_size=1, max_overflow=0, pool_timeout=0.01):
        async with prepared():
            master = servers_of().master
            held = await master.engine.connect()
            master.mark_down()
            await KeepAlive(lambda: [servers_of()], 1, 3).ping()
            assert master.is_down
            await held.close()
            await KeepAlive(lambda: [servers_of()], 1, 3).ping()
            assert not master.is_down
