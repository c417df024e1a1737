"""What crosses the wire: a read through a slave is one round trip, and nothing else."""

import pytest
from sqlalchemy.exc import IntegrityError

from tests.db.models import User
from tests.db.support import configured, in_request, maria, prepared
from tests.services.mariadb import MariaCluster
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.db.dbalchemy.registry import cluster_of

pytestmark = pytest.mark.mariadb


@pytest.mark.parametrize("driver", ["mysql+aiomysql", "mysql+asyncmy"])
async def test_one_row_through_a_slave_is_exactly_the_select(cluster: MariaCluster, driver: str) -> None:
    with configured(maria(cluster, driver, slaves=1)):
        async with prepared(cluster):
            async with session_scope() as session:
                session.add(User(id=1, name="jack"))
                await session.commit()
            cluster.wait_for_slaves()
            async with in_request():  # opens the connection, which takes some statements
                assert await User.Q.get(1) is not None
            with cluster.slaves[0].general_log() as slave, cluster.master.general_log() as master:
                for _ in range(3):
                    async with in_request():
                        found = await User.Q.get(1)
                        assert found is not None
                        assert found.name == "jack"
            assert len(slave) == 3, slave
            assert all(each.startswith("Query SELECT users.id") for each in slave)
            assert master == []


DRIVERS = ["mysql+aiomysql", "mysql+asyncmy"]


def firsts(seen: list[str]) -> list[str]:
    """The first word of each statement."""
    return [each.split()[1] for each in seen if each.startswith("Query")]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_insert_is_the_insert_and_its_commit(cluster: MariaCluster, driver: str) -> None:
    """No rollback follows what was committed; the next request begins as if there had been one."""
    with configured(maria(cluster, driver, slaves=1)):
        async with prepared(cluster):
            async with session_scope() as session:  # opens the connection, which takes some statements
                session.add(User(name="first"))
                await session.commit()
            with cluster.master.general_log() as seen:
                for name in ("jack", "jill"):
                    async with in_request():
                        User.session.add(User(name=name))
                        await User.session.commit()
            assert firsts(seen) == ["INSERT", "COMMIT"] * 2


@pytest.mark.parametrize("driver", DRIVERS)
async def test_what_was_not_committed_is_rolled_back(cluster: MariaCluster, driver: str) -> None:
    """A change, a read on the master, a statement that failed, and what the driver's own connection was used for."""
    with configured(maria(cluster, driver, slaves=1)):
        async with prepared(cluster):
            async with session_scope() as session:
                session.add(User(id=1, name="first"))
                await session.commit()
            with cluster.master.general_log() as seen:
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
                assert [user.name for user in await session.query(User).using_master()] == ["first"]
