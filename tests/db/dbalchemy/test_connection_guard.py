"""Servers that die, freeze, cut and come back under load; requests that are cancelled anywhere.

Nothing acknowledged is lost, no answer is wrong, no connection leaks, and nothing needs a restart of ours.
"""

import asyncio
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy import func, select, text

from tests.db.models import User
from tests.db.support import LOOPS, configured, in_request, in_use, maria, on_loop, prepared, server, servers_of
from tests.polling import until
from tests.services.mariadb import DATABASE, MariaCluster
from tests.services.proxy import Proxy
from torngas_aio.db import _outage
from torngas_aio.db.dbalchemy import engines, session_scope
from torngas_aio.exception import DatabaseUnavailable, PoolExhausted

DRIVERS = ["mysql+aiomysql", "mysql+asyncmy"]

pytestmark = pytest.mark.mariadb

both_loops = pytest.mark.parametrize("loop", LOOPS)
both_drivers = pytest.mark.parametrize("driver", DRIVERS)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slave that was down is tried again soon."""
    monkeypatch.setattr("torngas_aio.db.dbalchemy.cluster.RETRY_SECONDS", 0.05)


async def fill(cluster: MariaCluster, count: int = 20) -> None:
    async with session_scope() as session:
        session.add_all([User(id=number, name=f"u{number}") for number in range(1, count + 1)])
        await session.commit()
    cluster.wait_for_slaves()


def assert_all_returned() -> None:
    assert [in_use(node) for node in servers_of().nodes] == [0] * len(servers_of().nodes)


class Load:
    """Requests that are made again and again until told to stop.

    Attributes:
        acknowledged: Ids whose commit was confirmed.
        uncertain: Ids whose commit failed: it may have happened.
        reads: How many reads were answered rightly.
        errors: What reads raised.
    """

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.uncertain: set[int] = set()
        self.reads = 0
        self.errors: list[BaseException] = []
        self._next = 1000
        self._is_over = False

    @asynccontextmanager
    async def running(self, readers: int = 8, writers: int = 4) -> AsyncIterator["Load"]:
        async with asyncio.TaskGroup() as group:
            for _ in range(readers):
                group.create_task(self._read())
            for _ in range(writers):
                group.create_task(self._write())
            try:
                yield self
            finally:
                self._is_over = True

    async def more(self, name: str, count: int) -> None:
        """Return once so many more reads, or writes, were answered."""
        started = self._done(name)
        await until(lambda: self._done(name) >= started + count)

    def _done(self, name: str) -> int:
        return self.reads if name == "reads" else len(self.acknowledged)

    async def _read(self) -> None:
        while not self._is_over:
            try:
                async with in_request():
                    user = await User.Q.get(7)
                    assert user is not None
                    assert user.name == "u7"
                    self.reads += 1
            except (DatabaseUnavailable, PoolExhausted, sa_exc.SQLAlchemyError) as exc:
                self.errors.append(exc)
                await asyncio.sleep(0.01)

    async def _write(self) -> None:
        while not self._is_over:
            self._next += 1
            number = self._next
            try:
                async with in_request():
                    User.session.add(User(id=number, name="w"))
                    await User.session.commit()
                self.acknowledged.add(number)
            except DatabaseUnavailable:
                self.uncertain.add(number)
                await asyncio.sleep(0.01)


@both_loops
@both_drivers
def test_a_killed_slave_fails_no_read_and_is_used_again_when_it_is_back(
    cluster: MariaCluster, driver: str, loop: str
) -> None:
    async def main() -> None:
        with configured(maria(cluster, driver)):
            async with prepared(cluster):
                await fill(cluster)
                load = Load()
                async with load.running(writers=0):
                    await load.more("reads", 50)
                    await asyncio.to_thread(cluster.slaves[0].process.kill)
                    await load.more("reads", 100)
                    assert servers_of().slaves[0].is_down
                    await asyncio.to_thread(cluster.slaves[0].process.start)
                    while servers_of().slaves[0].is_down:
                        await load.more("reads", 10)
                    await load.more("reads", 50)
                assert load.errors == []
                assert_all_returned()

    on_loop(loop, main)


@both_loops
def test_with_every_slave_dead_the_master_answers(cluster: MariaCluster, loop: str) -> None:
    async def main() -> None:
        with configured(maria(cluster)):
            async with prepared(cluster):
                await fill(cluster)
                for slave in cluster.slaves:
                    slave.process.kill()
                for _ in range(5):
                    async with in_request():
                        assert await User.Q.count() == 20
                        assert await User.session.scalar(select(text("@@server_id"))) == 1
                assert_all_returned()

    on_loop(loop, main)


@both_loops
@both_drivers
def test_a_killed_master_loses_nothing_and_reads_go_on(
    cluster: MariaCluster, driver: str, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outage, "SUSPECT_SECONDS", 30)  # on a busy machine a slave that is slow is not down

    async def main() -> None:
        with configured(maria(cluster, driver)):
            async with prepared(cluster):
                await fill(cluster)
                load = Load()
                async with load.running():
                    await load.more("writes", 20)
                    await asyncio.to_thread(cluster.master.process.kill)
                    await load.more("reads", 100)
                    await asyncio.to_thread(cluster.master.process.start)
                    async with asyncio.timeout(30):  # it takes some tens of milliseconds; a busy machine takes longer
                        await load.more("writes", 20)
                assert load.errors == []
                assert load.uncertain
                assert_all_returned()
                kept = {row["id"] for row in cluster.master.execute("SELECT id FROM users WHERE id > 1000", DATABASE)}
                assert load.acknowledged <= kept
                assert kept <= load.acknowledged | load.uncertain

    on_loop(loop, main)


async def test_a_dead_master_is_a_clear_error_without_the_password(cluster: MariaCluster) -> None:
    with configured(maria(cluster)):
        async with prepared(cluster):
            await fill(cluster)
            cluster.master.process.kill()
            async with session_scope() as session:
                assert await User.Q.count() == 20
                session.add(User(name="x"))
                with pytest.raises(
                    DatabaseUnavailable, match=r"database 'default', master 127\.0\.0\.1:\d+: "
                ) as caught:
                    await session.flush()
                assert caught.value.status_code == 503
                assert "s3cret" not in f"{caught.value} {caught.value.__cause__}"
            cluster.master.process.start()
            async with session_scope() as session:
                session.add(User(name="x"))
                await session.commit()
            assert_all_returned()


@both_loops
@both_drivers
def test_a_frozen_slave_is_left_out_after_its_deadline(cluster: MariaCluster, driver: str, loop: str) -> None:
    async def main() -> None:
        connections = maria(cluster, driver, slaves=1, READ_TIMEOUT=0.2)
        with configured(connections, connect_args={"connect_timeout": 0.2}):
            async with prepared(cluster):
                await fill(cluster)
                async with in_request():
                    assert await User.session.scalar(select(text("@@server_id"))) == 2
                cluster.slaves[0].process.pause()
                async with in_request():
                    assert await User.session.scalar(select(text("@@server_id"))) == 1
                assert servers_of().slaves[0].is_down
                cluster.slaves[0].process.resume()
                assert_all_returned()

    on_loop(loop, main)


@both_loops
@both_drivers
def test_a_frozen_master_is_an_error_after_its_deadline(cluster: MariaCluster, driver: str, loop: str) -> None:
    async def main() -> None:
        connections = maria(cluster, driver, slaves=0)
        connections["default"]["connections"][0]["READ_TIMEOUT"] = 0.3
        with configured(connections, connect_args={"connect_timeout": 0.3}):
            async with prepared(cluster):
                await fill(cluster)
                async with session_scope() as session:
                    await User.Q.count()
                    cluster.master.process.pause()
                    with pytest.raises(DatabaseUnavailable, match="the connection was lost"):
                        await User.Q.count()
                    failures = await asyncio.gather(_count(), _count(), return_exceptions=True)
                    assert [type(failure) for failure in failures] == [DatabaseUnavailable] * 2
                    cluster.master.process.resume()
                    await session.rollback()
                    assert await User.Q.count() == 20
                assert_all_returned()

    on_loop(loop, main)


async def _count() -> int:
    async with session_scope():
        return await User.Q.count()


@both_loops
@both_drivers
def test_a_result_cut_in_the_middle_is_read_again(cluster: MariaCluster, driver: str, loop: str) -> None:
    async def main() -> None:
        async with Proxy(cluster.slaves[0].port) as proxy:
            connections = maria(cluster, driver, slaves=0)
            connections["default"]["connections"].append(server("slave", proxy.port, driver))
            with configured(connections):
                async with prepared(cluster):
                    await fill(cluster)
                    async with in_request():
                        await User.Q.all()
                    made = proxy.connections
                    for size in (1, 4, 20, 60, 150, 300, 420):
                        proxy.cut_after(size)
                        async with in_request():
                            assert [user.id for user in await User.Q.order_by(User.id)] == list(range(1, 21))
                            assert await User.session.scalar(select(text("@@server_id"))) == 2
                    assert proxy.connections == made + 7
                    assert_all_returned()

    on_loop(loop, main)


@both_loops
@both_drivers
def test_a_lost_commit_is_an_error_and_never_an_ok(cluster: MariaCluster, driver: str, loop: str) -> None:
    async def main() -> None:
        async with Proxy(cluster.master.port) as proxy:
            connections = {"default": {"connections": [server("master", proxy.port, driver)]}}
            with configured(connections):
                async with prepared(cluster):
                    async with session_scope() as session:
                        session.add(User(id=1, name="a"))
                        await session.flush()
                        proxy.cut_after(0)
                        with pytest.raises(DatabaseUnavailable, match="the connection was lost"):
                            await session.commit()
                        await session.rollback()
                        session.add(User(id=2, name="b"))
                        await session.commit()
                    assert_all_returned()
        assert {row["id"] for row in cluster.master.execute("SELECT id FROM users", DATABASE)} >= {2}

    on_loop(loop, main)


@both_loops
@both_drivers
def test_connections_that_the_server_killed_fail_no_request(cluster: MariaCluster, driver: str, loop: str) -> None:
    async def main() -> None:
        with configured(maria(cluster, driver, slaves=1)):
            async with prepared(cluster):
                await fill(cluster)
                for _ in range(2):
                    async with in_request():
                        assert await User.Q.count() == 20
                        User.session.add(User(name="x"))
                        await User.session.commit()
                        await User.Q.filter(User.name == "x").delete()
                        await User.session.commit()
                    for each in (cluster.master, cluster.slaves[0]):
                        for row in each.execute("SELECT id FROM information_schema.processlist WHERE user = 'torngas'"):
                            each.execute(f"KILL {row['id']}")
                    cluster.wait_for_slaves()
                assert_all_returned()

    on_loop(loop, main)


@both_loops
@both_drivers
def test_idle_connections_are_pinged_and_dead_ones_replaced(
    cluster: MariaCluster, driver: str, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "IDLE_SECONDS", 0.0)

    async def main() -> None:
        async with Proxy(cluster.master.port) as proxy:
            connections = {"default": {"connections": [server("master", proxy.port, driver)]}}
            with configured(connections):
                async with prepared(cluster):
                    async with session_scope() as session:
                        session.add(User(name="x"))
                        await session.commit()
                    made = proxy.connections
                    proxy.cut_after(3)  # within the answer to the ping
                    async with session_scope() as session:
                        session.add(User(name="y"))
                        await session.commit()
                    assert proxy.connections == made + 1
                    proxy.cut()
                    async with session_scope():
                        assert await User.Q.count() == 2
                    assert proxy.connections == made + 2

    on_loop(loop, main)


async def _write_and_read() -> None:
    async with in_request():
        await User.Q.get(1)
        User.session.add(User(name="c"))
        await User.session.flush()
        await User.Q.filter(User.id == 1).update({"visits": 1})
        await User.session.commit()
        async for _ in User.Q.limit(3):
            pass


@types.coroutine
def _cancelled_at(step: int, work: Coroutine[Any, Any, None]) -> Generator[Any, None, None]:
    """Run *work*, and cancel the task while it waits for the *step*th time."""
    iterator = work.__await__()
    error: BaseException | None = None
    taken = 0
    while True:
        try:
            waited = next(iterator) if error is None else iterator.throw(error)
        except StopIteration:
            return
        error = None
        taken += 1
        if taken == step:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            yield waited
        except BaseException as exc:  # noqa: BLE001  # handed to the work, which decides
            error = exc


async def _run_cancelled_at(step: int) -> bool:
    """Whether the request was cancelled, rather than over before its *step*th wait."""

    async def run() -> None:
        await _cancelled_at(step, _write_and_read())

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task.cancelled()


@both_loops
@both_drivers
def test_a_request_cancelled_at_any_await_leaves_nothing_behind(cluster: MariaCluster, driver: str, loop: str) -> None:
    async def main() -> None:
        connections = maria(cluster, driver, slaves=1)
        with configured(connections, pool_size=1, max_overflow=0, pool_timeout=5):
            async with prepared(cluster):
                await fill(cluster, 5)
                step = 1
                while await _run_cancelled_at(step):
                    assert_all_returned()
                    step += 1
                assert step > 8
                await until(lambda: not _open_transactions(cluster))
                await _write_and_read()

    on_loop(loop, main)


def _open_transactions(cluster: MariaCluster) -> int:
    """Transactions of ours that hold anything; the server takes a moment to notice a closed connection."""
    return int(cluster.master.execute("SELECT COUNT(*) AS n FROM information_schema.innodb_trx")[0]["n"])


@both_loops
def test_500_requests_share_a_pool_of_10(cluster: MariaCluster, loop: str) -> None:
    async def main() -> None:
        with configured(maria(cluster, slaves=1), pool_size=10, max_overflow=0, pool_timeout=15):
            async with prepared(cluster):
                await fill(cluster)

                async def one(number: int) -> int:
                    async with in_request():
                        user = await User.Q.get(number % 20 + 1)
                        assert user is not None
                        if number % 10 == 0:
                            User.session.add(User(name="x"))
                            await User.session.commit()
                        return user.id

                got = await asyncio.gather(*(one(number) for number in range(500)))
                assert got == [number % 20 + 1 for number in range(500)]
                assert_all_returned()
                assert servers_of().slaves[0].sync_engine.pool.checkedin() <= 10  # type: ignore[attr-defined]  # a queue pool

    on_loop(loop, main)


async def test_an_exhausted_pool_is_an_error_after_a_bounded_wait(
    cluster: MariaCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(maria(cluster, slaves=1), pool_size=1, max_overflow=0, pool_timeout=0.05):
        async with prepared(cluster):
            async with session_scope() as holder:
                await holder.scalar(select(func.count()).select_from(User))
                async with session_scope():
                    with pytest.raises(PoolExhausted):
                        await User.Q.count()
            assert "Pool exhausted: database 'default', slave 127.0.0.1:" in caplog.text
            assert "in use 1, in line 0, waited 0.0" in caplog.text
            async with session_scope():
                assert await User.Q.count() == 0
            assert_all_returned()


async def test_a_deadlock_rolls_one_back_and_lets_the_other_commit(cluster: MariaCluster) -> None:
    with configured(maria(cluster, slaves=0)):
        async with prepared(cluster):
            await fill(cluster, 2)
            both_hold = asyncio.Barrier(2)

            async def swap(first: int, second: int) -> str:
                async with session_scope() as session:
                    await User.Q.filter(User.id == first).update({"visits": first}, synchronize_session=False)
                    await both_hold.wait()
                    try:
                        await User.Q.filter(User.id == second).update({"visits": first}, synchronize_session=False)
                        await session.commit()
                    except sa_exc.OperationalError as exc:
                        return str(exc.orig)
                    return "committed"

            deadlock, committed = sorted(await asyncio.gather(swap(1, 2), swap(2, 1)))
            assert committed == "committed"
            assert deadlock.startswith("(1213,")
            rows = cluster.master.execute("SELECT visits FROM users ORDER BY id", DATABASE)
            assert rows in ([{"visits": 1}] * 2, [{"visits": 2}] * 2)
            assert_all_returned()
