"""Which server answers, asked of a MariaDB that really replicates: servers 2 and 3 are the slaves, 1 is the master."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy import func, insert, select, text, update

from tests.db.models import Post, User
from tests.db.support import configured, in_request, in_use, maria, prepared, servers_of
from tests.services.mariadb import DATABASE, MariaCluster
from tests.services.process import free_port
from torngas_aio.context import Outcome
from torngas_aio.db.dbalchemy import DbSession, session_scope
from torngas_aio.db.dbalchemy.registry import open_session
from torngas_aio.exception import ConcurrentUse, DatabaseUnavailable

pytestmark = pytest.mark.mariadb

SERVER = select(text("@@server_id"))


@pytest.fixture
async def routed(cluster: MariaCluster) -> AsyncIterator[MariaCluster]:
    with configured(maria(cluster)):
        async with prepared(cluster):
            yield cluster


async def read_from(session: DbSession) -> int:
    return int(await session.scalar(SERVER))


async def test_reads_go_to_one_slave_for_the_whole_request(routed: MariaCluster) -> None:
    seen = set()
    for _ in range(20):
        async with session_scope() as session:
            servers = {await read_from(session) for _ in range(4)}
            assert len(servers) == 1
            seen |= servers
    assert seen == {2, 3}


async def test_weights_share_the_reads(cluster: MariaCluster) -> None:
    connections = maria(cluster)
    connections["default"]["connections"][1]["WEIGHT"] = 1000
    connections["default"]["connections"][2]["WEIGHT"] = 0.001
    with configured(connections):
        async with prepared(cluster):
            for _ in range(10):
                async with session_scope() as session:
                    assert await read_from(session) == 2


async def _flush(session: DbSession) -> None:
    session.add(User(name="a"))
    await session.flush()


async def _merge(session: DbSession) -> None:
    await session.merge(User(id=1, name="a"))
    await session.flush()


WRITES: dict[str, Callable[[DbSession], Awaitable[Any]]] = {
    "flush": _flush,
    "insert": lambda session: session.execute(insert(User).values(name="a")),
    "update": lambda session: session.execute(update(User).values(name="a")),
    "Q.update": lambda session: User.Q.update({"name": "b"}),
    "Q.delete": lambda session: User.Q.delete(),
    "text": lambda session: session.execute(text("UPDATE users SET name = 'b'")),
    "unknown function": lambda session: session.execute(select(func.last_insert_id(5))),
    "connection": lambda session: session.connection(),
    "merge": _merge,
}
LOCKS: dict[str, Callable[[DbSession], Awaitable[Any]]] = {
    "for update": lambda session: session.execute(select(User).with_for_update()),
    "get for update": lambda session: session.get(User, 1, with_for_update=True),
    "Q.with_for_update": lambda session: User.Q.with_for_update().all()._list(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_after_a_write_reads_go_to_the_master_too(
    routed: MariaCluster, write: Callable[[DbSession], Awaitable[Any]]
) -> None:
    async with session_scope() as session:
        assert await read_from(session) in {2, 3}
        await write(session)
        assert session.has_written
        assert await read_from(session) == 1
        await session.commit()
        assert await read_from(session) == 1
    async with session_scope() as session:
        assert await read_from(session) in {2, 3}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_write_that_reached_no_master_is_none(
    cluster: MariaCluster, write: Callable[[DbSession], Awaitable[Any]]
) -> None:
    """The visitor's next reads are a slave's, rather than refused with the master."""
    connections = maria(cluster)
    connections["default"]["connections"][0]["PORT"] = free_port()
    with configured(connections):
        async with session_scope() as session:
            with pytest.raises(DatabaseUnavailable):
                await write(session)
            assert not session.has_written


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
async def test_a_lock_is_taken_on_the_master_and_is_no_write(
    routed: MariaCluster, lock: Callable[[DbSession], Awaitable[Any]]
) -> None:
    async with session_scope() as session:
        await lock(session)
        assert not session.has_written
        assert session.is_on_master
        assert await read_from(session) == 1


async def test_using_master_sends_everything_there(routed: MariaCluster) -> None:
    async with in_request():
        session = User.session.using_master()
        assert session is User.session
        assert await read_from(session) == 1
        assert not session.has_written


async def test_text_goes_to_the_master_unless_a_role_says_slave(routed: MariaCluster) -> None:
    async with session_scope() as session:
        server = text("SELECT @@server_id")
        assert await session.scalar(server) == 1
        assert await session.scalar(server.execution_options(role="slave")) in {2, 3}
        assert await session.scalar(server, execution_options={"role": "slave"}) in {2, 3}
        assert not session.is_on_master
        assert await session.scalar(SERVER.execution_options(role="master")) == 1
        assert await read_from(session) in {2, 3}
        assert await User.Q.using_master().exists() is False


async def test_a_slave_refuses_a_write_that_a_role_sends_to_it(routed: MariaCluster) -> None:
    async with session_scope() as session:
        with pytest.raises(sa_exc.OperationalError, match="read-only"):
            await session.execute(text("UPDATE users SET name = 'a'").execution_options(role="slave"))
        assert await read_from(session) in {2, 3}


async def test_a_request_reads_its_own_writes_under_lag(routed: MariaCluster) -> None:
    routed.stop_replication()
    async with session_scope() as session:
        session.add(User(id=7, name="new"))
        await session.commit()
        assert [user.name for user in await User.Q.filter(User.id == 7)] == ["new"]
    async with session_scope() as session:
        assert await User.Q.get(7) is None


async def test_what_the_master_answers_replaces_what_a_slave_said(routed: MariaCluster) -> None:
    async with session_scope() as session:
        session.add_all([User(id=1, name="old"), User(id=2, name="old")])
        await session.commit()
    routed.wait_for_slaves()
    routed.stop_replication()
    routed.master.execute("UPDATE users SET name = 'new'", DATABASE)
    async with session_scope() as session:
        first, second = await User.Q.order_by(User.id)
        assert (first.name, second.name) == ("old", "old")
        session.using_master()
        await User.Q.filter(User.id == 1)
        assert (first.name, second.name) == ("new", "old")
        assert await User.Q.get(2) is second
        assert second.name == "new"


async def test_a_change_that_is_not_flushed_yet_survives_the_replacing(routed: MariaCluster) -> None:
    async with session_scope() as session:
        session.add_all([User(id=1, name="old"), User(id=2, name="old")])
        await session.commit()
    routed.wait_for_slaves()
    async with session_scope() as session:
        user = await User.Q.get(1)
        assert user is not None
        user.name = "mine"
        with session.no_autoflush:
            session.using_master()
            await User.Q.all()
            assert await User.Q.get(1) is user
            assert user.name == "mine"
        await User.Q.all()
        assert user.name == "mine"
        user.name = "again"
        assert await User.Q.get(1) is user
        assert user.name == "again"
        await session.commit()
    assert routed.master.execute("SELECT name FROM users WHERE id = 1", DATABASE) == [{"name": "again"}]


async def test_lazy_and_eager_loads_follow_the_request(routed: MariaCluster) -> None:
    async with session_scope() as session:
        session.add(User(id=1, name="jack", posts=[Post(title="first")]))
        await session.commit()
    routed.wait_for_slaves()
    routed.stop_replication()
    routed.master.execute("UPDATE posts SET title = 'changed'", DATABASE)
    async with session_scope() as session:
        user = await User.Q.get(1)
        assert user is not None
        assert [post.title for post in await user.awaitable_attrs.posts] == ["first"]
        session.using_master()
        await session.refresh(user, ["posts"])
        assert [post.title for post in user.posts] == ["changed"]


async def test_slave_reads_hold_no_transaction_and_the_master_none_before_it_is_used(routed: MariaCluster) -> None:
    async with session_scope() as session:
        await User.Q.all()
        assert not session.in_transaction()
        master, *slaves = servers_of().nodes
        assert in_use(master) == 0
        assert sum(map(in_use, slaves)) == 1
    assert [in_use(node) for node in (master, *slaves)] == [0, 0, 0]


async def test_two_tasks_on_one_session_get_a_sentence(routed: MariaCluster) -> None:
    async with session_scope() as session:
        results = await asyncio.gather(*(User.Q.count() for _ in range(3)), return_exceptions=True)
        assert results[0] == 0
        assert all(isinstance(each, ConcurrentUse) for each in results[1:])
        assert "One session serves one task at a time" in str(results[1])
        for use in (session.flush, session.commit, session.rollback):
            session.add(User(name="a"))
            busy = asyncio.create_task(_sleep_in(session))
            await asyncio.sleep(0)
            with pytest.raises(ConcurrentUse):
                await use()
            await busy
        assert await User.Q.count() == 3


async def _sleep_in(session: DbSession) -> None:
    await session.execute(text("SELECT SLEEP(0.05)"))


async def test_tasks_with_scopes_of_their_own_work_side_by_side(routed: MariaCluster) -> None:
    async def one() -> int:
        async with session_scope() as session:
            return await read_from(session)

    assert set(await asyncio.gather(*(one() for _ in range(20)))) <= {2, 3}


async def test_a_failed_transaction_can_be_rolled_back_and_used_again(routed: MariaCluster) -> None:
    async with session_scope() as session:
        session.add(User(id=1, name="a"))
        await session.commit()
        session.add(User(id=1, name="b"))
        with pytest.raises(sa_exc.IntegrityError), contextlib.suppress(sa_exc.SAWarning):
            await session.commit()
        await session.rollback()
        session.add(User(id=2, name="c"))
        await session.commit()
    assert routed.master.execute("SELECT id, name FROM users ORDER BY id", DATABASE) == [
        {"id": 1, "name": "a"},
        {"id": 2, "name": "c"},
    ]


async def test_settling_commits_or_rolls_back(routed: MariaCluster) -> None:
    class Handler:
        def __init__(self, status: int) -> None:
            self.status = status

        def get_status(self) -> int:
            return self.status

    for number, (status, error) in enumerate([(200, None), (200, ValueError()), (500, None)]):
        async with session_scope() as session:
            session.add(User(id=number + 1, name="a"))
            await session.flush()
            await session.settle(Outcome(Handler(status), error, has_returned=True))
    assert routed.master.execute("SELECT id FROM users", DATABASE) == [{"id": 1}]


async def test_a_change_is_not_tried_again_because_an_earlier_read_was_cancelled(routed: MariaCluster) -> None:
    async with session_scope() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.execute(text("SELECT SLEEP(20)").execution_options(role="slave"))
        await session.execute(insert(User).values(id=1, name="a"))
        own = await session.scalar(text("SELECT CONNECTION_ID()"))
        async with session_scope() as other:
            await other.execute(text(f"KILL {own}"))
        with pytest.raises(DatabaseUnavailable):
            await session.execute(insert(User).values(id=2, name="b"))


async def test_a_slave_that_lacks_the_wanted_position_does_not_stand_in_for_one_that_had_it(
    cluster: MariaCluster,
) -> None:
    connections = maria(cluster)
    ahead, behind = connections["default"]["connections"][1:]
    ahead.update(PORT=free_port(), WEIGHT=1000)
    behind["WEIGHT"] = 0.001
    with configured(connections):
        async with prepared(cluster):
            cluster.stop_replication()
            async with open_session(notes_commits=True) as session:
                session.add(User(name="new"))
                await session.commit()
                wanted = session.committed
            assert wanted is not None
            servers_of().slaves[0].position = wanted  # as it was seen before the server went away
            async with open_session(wanted=wanted) as session:
                assert await session.scalar(select(func.count()).select_from(User)) == 1


async def test_after_the_end_of_a_block_that_commits_nothing_is_uncommitted(backend: str) -> None:
    async with open_session(notes_commits=True) as session:
        for name in ("a", "b"):
            async with session.begin():
                session.add(User(name=name))
                assert session.has_changes
            assert not session.has_changes
            assert (session.committed is None) is (backend == "sqlite")
            assert await session.scalar(select(func.count()).select_from(User)) >= 1
            assert session.in_transaction()
            assert not session.has_changes
            await session.rollback()
        with contextlib.suppress(KeyError):
            async with session.begin():
                await session.execute(insert(User).values(name="c"))
                raise KeyError
        assert not session.has_changes


async def test_a_savepoint_that_ends_leaves_the_changes_around_it_uncommitted(backend: str) -> None:
    async with session_scope() as session:
        session.add(User(name="a"))
        async with session.begin_nested():
            session.add(User(name="b"))
        assert session.has_changes
        await session.commit()
        assert not session.has_changes
