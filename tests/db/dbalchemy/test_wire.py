"""What crosses the wire: a read through a slave is one round trip, and nothing else."""

import pytest

from tests.db.models import User
from tests.db.support import configured, in_request, maria, prepared
from tests.services.mariadb import MariaCluster
from torngas_aio.db.dbalchemy import session_scope

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
