"""What crosses the wire: a read is its SELECT, an insert the INSERT and its COMMIT, and nothing else."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import IntegrityError

from tests.db.models import User
from tests.db.support import configured, in_request, maria, prepared
from tests.services.mariadb import MariaCluster
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.db.dbalchemy.registry import cluster_of

pytestmark = pytest.mark.mariadb


@pytest.fixture(params=["mysql+aiomysql", "mysql+asyncmy"])
async def wired(cluster: MariaCluster, request: pytest.FixtureRequest) -> AsyncIterator[MariaCluster]:
    """A master and a slave with one row, which have a connection each: opening one takes some statements."""
    with configured(maria(cluster, request.param, slaves=1)):
        async with prepared(cluster):
            async with session_scope() as session:
                session.add(User(id=1, name="jack"))
                await session.commit()
            cluster.wait_for_slaves()
            async with in_request():
                assert await User.Q.get(1) is not None
            yield cluster


def firsts(seen: list[str]) -> list[str]:
    """The first word of each statement."""
    return [each.split()[1] for each in seen if each.startswith("Query")]


async def test_one_row_through_a_slave_is_exactly_the_select(wired: MariaCluster) -> None:
    with wired.slaves[0].general_log() as slave, wired.master.general_log() as master:
        for _ in range(3):
            async with in_request():
                found = await User.Q.get(1)
                assert found is not None
                assert found.name == "jack"
    assert len(slave) == 3, slave
    assert all(each.startswith("Query SELECT users.id") for each in slave)
    assert master == []


async def test_an_insert_is_the_insert_and_its_commit(wired: MariaCluster) -> None:
    """No rollback follows what was committed; the next request begins as if there had been one."""
    with wired.master.general_log() as seen:
        for name in ("jane", "jill"):
            async with in_request():
                User.session.add(User(name=name))
                await User.session.commit()
    assert firsts(seen) == ["INSERT", "COMMIT"] * 2


async def test_what_was_not_committed_is_rolled_back(wired: MariaCluster) -> None:
    """A change, a read on the master, a statement that failed, and what the driver's own connection was used for."""
    with wired.master.general_log() as seen:
        async with session_scope() as session:
            session.add(User(name="lost"))
            await session.flush()
        async with session_scope() as session:
            await session.using_master().get(User, 1)
        async with session_scope() as session:
            session.add(User(id=1, name="twice"))
            with pytest.raises(IntegrityError):
                await session.flush()
            await session.rollback()
        async with cluster_of().master.engine.connect() as connection:
            own = (await connection.get_raw_connection()).driver_connection
            assert own is not None
            async with own.cursor() as cursor:
                await cursor.execute("SELECT name FROM users")
    assert firsts(seen) == ["INSERT", "ROLLBACK", "SELECT", "ROLLBACK"] * 2
    async with session_scope() as session:
        assert [user.name for user in await session.query(User).using_master()] == ["jack"]
