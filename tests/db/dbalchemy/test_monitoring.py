"""Replicas that lag are left out, and used again; idle connections that are dead are replaced."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pymysql
import pytest
from sqlalchemy import insert

from tests.db.models import User
from tests.db.support import configured, in_use, maria, prepared, server, servers_of
from tests.polling import until
from tests.services.mariadb import DATABASE, MariaCluster
from tests.services.postgres import PostgresServer, PostgresStandby
from tests.services.proxy import Proxy
from torngas_aio.db.dbalchemy import engines, monitoring, session_scope
from torngas_aio.db.dbalchemy.monitoring import KeepAlive
from torngas_aio.db.dbalchemy.positions import Position

SAID = "s: left out until it has caught up"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample often, so that the tests need not wait; the limits below are in the same proportion."""
    monkeypatch.setattr(monitoring, "SAMPLE_SECONDS", 0.1)


async def write(name: str = "x") -> None:
    async with session_scope() as session:
        await session.execute(insert(User).values(name=name))
        await session.commit()


async def late(expected: int) -> None:
    """Return once so many slaves are left out."""
    await until(lambda: sum(slave.is_late for slave in servers_of().slaves) == expected)


async def samples(count: int = 5) -> None:
    await asyncio.sleep(count * 0.1)


@asynccontextmanager
async def watched(connections: dict[str, Any], cluster: MariaCluster | None = None) -> AsyncIterator[None]:
    with configured(connections, MAX_LAG=0.4):
        async with prepared(cluster):
            yield


@pytest.mark.mariadb
@pytest.mark.parametrize("driver", ["mysql+aiomysql", "mysql+asyncmy"])
async def test_a_slave_that_lags_is_left_out_until_it_has_caught_up(
    cluster: MariaCluster, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(maria(cluster, driver), cluster):
        await write()
        await samples()
        first, second = servers_of().slaves
        assert not first.is_late
        first_server = cluster.slaves[0]
        first_server.execute("STOP SLAVE SQL_THREAD")
        await write()
        await late(1)
        assert first.is_late
        assert {servers_of().choose() for _ in range(20)} == {second}
        first_server.execute("START SLAVE SQL_THREAD")
        await late(0)
        assert {servers_of().choose() for _ in range(50)} == {first, second}
        assert [in_use(node) for node in servers_of().nodes] == [0, 0, 0]
    assert caplog.text.count(SAID) == 1
    assert caplog.text.count("has caught up: it is used again") == 1
    assert "not watched" not in caplog.text  # the user has no privilege beyond its own database


@pytest.mark.mariadb
async def test_an_idle_master_is_no_lag(cluster: MariaCluster, caplog: pytest.LogCaptureFixture) -> None:
    """Also while the replication stands still: there is nothing to miss."""
    async with watched(maria(cluster), cluster):
        await write()
        cluster.wait_for_slaves()
        await samples()
        cluster.stop_replication()
        await samples(10)
        assert not any(slave.is_late for slave in servers_of().slaves)
        assert SAID not in caplog.text
        await write()
        await late(2)
        assert servers_of().choose() is None  # the master
        assert await _count_from_anywhere() == 2


async def _count_from_anywhere() -> int:
    async with session_scope() as session:
        return await session.query(User).count()


@pytest.mark.mariadb
async def test_a_slave_that_is_cut_off_from_its_master_is_left_out(cluster: MariaCluster) -> None:
    """Its own status says `Seconds_Behind_Master: 0` then."""
    slave = cluster.slaves[0]
    async with Proxy(cluster.master.port) as proxy:
        slave.execute("STOP SLAVE")
        slave.execute(f"CHANGE MASTER TO MASTER_PORT={proxy.port}")
        slave.execute("START SLAVE")
        try:
            async with watched(maria(cluster, slaves=1)):
                await write()
                await until(lambda: servers_of().slaves[0].position is not None)
                await asyncio.sleep(0.5)
                proxy.stall()
                await write()
                await late(1)
                proxy.flow()
                await late(0)
        finally:
            slave.execute("STOP SLAVE")
            slave.execute(f"CHANGE MASTER TO MASTER_PORT={cluster.master.port}")
            slave.execute("START SLAVE")


@pytest.mark.mariadb
async def test_servers_that_are_not_replicas_are_told_once_and_used(
    cluster: MariaCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The master as its own slave has all changes; a server whose position says nothing is not judged."""
    connections = maria(cluster, slaves=0)
    connections["default"]["connections"].append(server("slave", cluster.master.port, "mysql+aiomysql"))
    async with watched(connections):
        await write()
        await samples(8)
        assert not servers_of().slaves[0].is_late
        assert "not watched" not in caplog.text


@pytest.mark.mariadb
async def test_a_server_that_forbids_the_question_is_told_once(
    cluster: MariaCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(maria(cluster, slaves=1), cluster):
        node = servers_of().slaves[0]
        opened = node.open_connection

        class Forbidding:
            def __init__(self) -> None:
                self.real = opened()

            def position(self) -> tuple[Position | None, bool]:
                raise pymysql.err.OperationalError(1227, "Access denied; you need the SUPER privilege")

            def __getattr__(self, name: str) -> Any:
                return getattr(self.real, name)

        monkeypatch.setattr(type(node), "open_connection", lambda self: Forbidding() if self is node else opened())
        await write()
        while "its lag is not watched" not in caplog.text:
            await samples(1)
        for _ in range(3):
            await write()
            await samples(3)
        assert not node.is_late
        assert caplog.text.count("its lag is not watched: OperationalError: 1227 Access denied") == 1


@pytest.mark.mariadb
async def test_a_silent_or_dead_slave_delays_no_judgement(cluster: MariaCluster) -> None:
    async with Proxy(cluster.slaves[0].port) as proxy:
        connections = maria(cluster)
        connections["default"]["connections"][1]["PORT"] = proxy.port
        async with watched(connections, cluster):
            await write()
            await samples()
            proxy.stall()
            cluster.slaves[1].execute("STOP SLAVE")
            await write()
            await late(1)
            assert servers_of().slaves[1].is_late
            cluster.slaves[1].execute("START SLAVE")
            await late(0)


@pytest.mark.mariadb
async def test_a_master_that_turned_read_only_is_noticed_without_a_write(cluster: MariaCluster) -> None:
    async with watched(maria(cluster), cluster):
        outage = servers_of().master.outage
        assert outage is not None
        cluster.master.execute("SET GLOBAL read_only = ON")
        try:
            while not outage.is_read_only:
                await samples(1)
        finally:
            cluster.master.execute("SET GLOBAL read_only = OFF")
        while outage.is_read_only:
            await samples(1)


@pytest.mark.mariadb
async def test_zero_watches_nothing(cluster: MariaCluster) -> None:
    with configured(maria(cluster), MAX_LAG=0):
        async with prepared(cluster):
            with cluster.master.general_log() as statements:
                await samples(5)
            assert statements == []


@pytest.mark.mariadb
async def test_the_watch_leaves_no_connection(cluster: MariaCluster) -> None:
    async with watched(maria(cluster), cluster):
        await samples(3)
    sessions = cluster.slaves[0].execute(
        f"SELECT COUNT(*) AS n FROM information_schema.processlist WHERE db = '{DATABASE}'"
    )
    assert sessions[0]["n"] == 0


@pytest.mark.mariadb
@pytest.mark.postgres
async def test_a_standby_of_postgresql_is_watched_too(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with PostgresStandby(postgres) as standby:
        servers = [server("master", postgres.port, "postgresql+asyncpg")]
        servers.append(server("slave", standby.port, "postgresql+asyncpg"))
        async with watched({"default": {"connections": servers}}):
            await write()
            await samples(10)
            assert not servers_of().slaves[0].is_late
            standby.execute("SELECT pg_wal_replay_pause()")
            await write()
            await late(1)
            standby.execute("SELECT pg_wal_replay_resume()")
            await late(0)
    assert "not watched" not in caplog.text


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
            await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
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
