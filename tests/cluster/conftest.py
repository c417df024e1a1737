"""The laboratory's fixtures: a network, and on it whatever a test wants.

    network      a fresh network; the test is skipped, with the reason, where none can be made
    laboratory   `lab = await laboratory(nodes=2)`: a store, MariaDB with two replicas, nodes, nginx in front

Servers are started and stopped in threads, so that visitors go on meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.network import Host, Network, NoNetworkError
from tests.cluster.node import Node, job_worker, make_tables
from tests.cluster.services import Nginx, place_on
from tests.cluster.visitors import Crowd
from tests.services.mariadb import DATABASE, PASSWORD, USER, MariaCluster
from tests.services.memcached import MemcachedServer
from tests.services.process import Place, ServerProcess
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with Network() as made:
            yield made
    except NoNetworkError as exc:
        pytest.skip(f"no laboratory: {exc}")


@dataclass
class Lab:
    """What a test has on its network.

    Attributes:
        store: The server, or servers, of the cache and the sessions: of the kind that the test asked for.
        settings: What every node is started with.
        workers: Processes that run jobs.
        names: The nodes' /etc/hosts: the database's master is `master.lab`.
    """

    network: Network
    store: Any
    database: MariaCluster
    settings: dict[str, Any]
    names: Path
    nodes: list[Node] = field(default_factory=list)
    workers: list[ServerProcess] = field(default_factory=list)
    nginx: Nginx | None = None

    @property
    def url(self) -> str:
        """Where visitors go."""
        assert self.nginx is not None
        return self.nginx.url

    def host(self, name: str) -> Host:
        """Return the host called *name*: "store1", "master", "replica1", "node1", "nginx" and so on."""
        return next(host for host in self.network.hosts if host.name == name)

    def name_master(self) -> None:
        """Let the name of the master stand for the server that is the master now."""
        self.names.write_text(f"127.0.0.1 localhost\n{self.database.master.host} master.lab\n", encoding="ascii")

    def query(self, statement: str) -> Any:
        """Return the rows of the master's database that *statement* gives."""
        return self.database.master.execute(statement, DATABASE)

    def stored(self) -> set[int]:
        """Return the ids of all posts in the database."""
        return {row["id"] for row in self.query("SELECT id FROM posts")}

    def check(self, crowd: Crowd) -> None:
        """Fail unless every promise was kept: no wrong answer, no acknowledged post lost, none that nobody sent."""
        assert crowd.wrong == []
        stored = self.stored()
        assert crowd.acknowledged - stored == set(), "acknowledged, and not in the database"
        assert stored - crowd.acknowledged - crowd.unknown == set(), "in the database, and never sent"


def connection(role: str, host: str, port: int) -> dict[str, Any]:
    """Return one entry of DATABASE_CONNECTION."""
    return {
        "ROLE": role, "DRIVER": "mysql+aiomysql", "UID": USER, "PASSWD": PASSWORD, "HOST": host, "PORT": port,
        "DATABASE": DATABASE,
    }  # fmt: skip


def work_settings(url: str) -> dict[str, Any]:
    """Return what the app `work` needs: jobs, and channels with and without a history, in the store at *url*."""
    channels = {"BACKEND": "torngas_aio.channels.redis.RedisChannels", "LOCATION": url}
    return {
        "INSTALLED_APPS": ["board", "work"],
        "JOBS": {"default": {"BACKEND": "torngas_aio.jobs.redis.RedisJobs", "LOCATION": url}},
        "CHANNELS": {
            "default": {**channels, "OPTIONS": {"HISTORY": 100_000}},
            "plain": {**channels, "OPTIONS": {"KEY_PREFIX": "plain"}},
        },
    }


def _redis(places: Sequence[Place]) -> RedisServer:
    return RedisServer(place=places[0], appendonly="yes")  # killed, it keeps what it has acknowledged


def _memcached(places: Sequence[Place]) -> MemcachedServer:
    return MemcachedServer(place=places[0])


_STORES: dict[str, tuple[int, Callable[[Sequence[Place]], Any], str]] = {
    "redis": (1, _redis, "rediscache.RedisCache"),
    "cluster": (3, RedisCluster, "rediscache.RedisCache"),
    "replicated": (6, RedisCluster, "rediscache.RedisCache"),
    "sentinel": (5, RedisSentinels, "rediscache.RedisCache"),
    "memcached": (1, _memcached, "memcached.MemcachedCache"),
}
"""Kind of the store: how many hosts it has, what starts it there, and the backend."""

Laboratory = Callable[..., Awaitable[Lab]]


@pytest.fixture
async def laboratory(network: Network, tmp_path: Path) -> AsyncIterator[Laboratory]:
    """Build a laboratory: nodes, workers a node, processes that run jobs (and the app `work`), the kind of store and
    settings of the site can be given; `clocks` says by how many seconds each node's is fast."""
    with ExitStack() as stack:

        async def enter(server: AbstractContextManager[Any]) -> Any:
            return await asyncio.to_thread(stack.enter_context, server)

        async def made(
            nodes: int = 2,
            *,
            workers: int = 2,
            store: str = "redis",
            options: tuple[str, ...] = (),
            clocks: tuple[float, ...] = (),
            job_workers: int = 0,
            **settings: Any,
        ) -> Lab:
            hosts, start, backend = _STORES[store]
            stores = await enter(start([place_on(network.add(f"store{number + 1}")) for number in range(hosts)]))
            places = [place_on(network.add(name)) for name in ("master", "replica1", "replica2")]
            database = await enter(MariaCluster(places, ("--log-bin=binlog", "--log-slave-updates")))
            database.master.execute(
                "CREATE TABLE posts (id BIGINT PRIMARY KEY, visitor VARCHAR(40) NOT NULL, KEY (visitor))", DATABASE
            )
            await asyncio.to_thread(database.wait_for_slaves)
            servers = [connection("master", "master.lab", database.master.port)]
            servers += [connection("slave", slave.host, slave.port) for slave in database.slaves]
            everything = {
                "CACHES": {"default": {
                    "BACKEND": f"torngas_aio.cache.backends.{backend}",
                    "LOCATION": stores.address if store == "memcached" else stores.url,
                }},
                "DATABASE_CONNECTION": {"default": {"connections": servers}},
                "STICK_TO_MASTER": 5,
                **(work_settings(stores.url) if job_workers else {}),
                **settings,
            }  # fmt: skip
            lab = Lab(network, stores, database, everything, tmp_path / "hosts")
            lab.name_master()
            if job_workers:
                host = network.add("maker")
                host.read_names_from(lab.names)
                await asyncio.to_thread(make_tables, host, everything)
            for number in range(nodes):
                host = network.add(f"node{number + 1}")
                host.read_names_from(lab.names)
                clock = dict(enumerate(clocks)).get(number, 0.0)
                lab.nodes.append(await enter(Node(host, everything, workers=workers, options=options, clock=clock)))
            for number in range(job_workers):
                host = network.add(f"worker{number + 1}")
                host.read_names_from(lab.names)
                lab.workers.append(await enter(job_worker(host, everything)))
            lab.nginx = await enter(Nginx(network.add("nginx"), [node.address for node in lab.nodes]))
            return lab

        yield made
        await asyncio.to_thread(stack.close)
