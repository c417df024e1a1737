"""The database services: they replicate, lag on demand, and recover from being killed."""

from collections.abc import Iterator

import pytest

from tests.services.mariadb import DATABASE, MariaCluster
from tests.services.postgres import PostgresServer


@pytest.fixture(scope="module")
def cluster() -> Iterator[MariaCluster]:
    with MariaCluster() as cluster:
        yield cluster


@pytest.mark.mariadb
def test_the_master_replicates_and_the_slaves_lag_on_demand(cluster: MariaCluster) -> None:
    cluster.master.execute("CREATE TABLE lagging (id INT PRIMARY KEY)", DATABASE)
    cluster.wait_for_slaves()
    cluster.stop_replication()
    cluster.master.execute("INSERT INTO lagging VALUES (1)", DATABASE)
    assert [slave.execute("SELECT id FROM lagging", DATABASE) for slave in cluster.slaves] == [[], []]
    cluster.start_replication()
    cluster.wait_for_slaves()
    assert [slave.execute("SELECT id FROM lagging", DATABASE) for slave in cluster.slaves] == [[{"id": 1}]] * 2


@pytest.mark.mariadb
def test_a_killed_master_keeps_what_it_has_committed_and_replicates_again(cluster: MariaCluster) -> None:
    cluster.master.execute("CREATE TABLE kept (id INT PRIMARY KEY)", DATABASE)
    cluster.master.execute("INSERT INTO kept VALUES (1)", DATABASE)
    cluster.master.process.restart()
    cluster.master.execute("INSERT INTO kept VALUES (2)", DATABASE)
    cluster.heal()
    cluster.wait_for_slaves()
    for server in cluster.servers:
        assert server.execute("SELECT id FROM kept ORDER BY id", DATABASE) == [{"id": 1}, {"id": 2}]


@pytest.mark.postgres
def test_postgres_answers_and_survives_a_restart() -> None:
    with PostgresServer() as server:
        server.execute("CREATE TABLE kept (id INT PRIMARY KEY)")
        server.process.restart()
        assert server.execute("INSERT INTO kept VALUES (7) RETURNING id").splitlines()[0] == "7"
