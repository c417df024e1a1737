"""The laboratory's fixtures: a network, and on it whatever a test wants.

    network      a fresh network; the test is skipped, with the reason, where none can be made
    laboratory   `lab = await laboratory(nodes=2)`: Redis, MariaDB with two replicas, nodes, nginx in front

Servers are started and stopped in threads, so that visitors go on meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster.network import Network, NoNetworkError
from tests.cluster.node import Node
from tests.cluster.services import Nginx, place_on
from tests.cluster.visitors import Crowd
from tests.services.mariadb import DATABASE, PASSWORD, USER, MariaCluster
from tests.services.redis import RedisServer


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
        settings: What every node is started with.
    """

    network: Network
    redis: RedisServer
    database: MariaCluster
    settings: dict[str, Any]
    nodes: list[Node] = field(default_factory=list)
    nginx: Nginx | None = None

    @property
    def url(self) -> str:
        """Where visitors go."""
        assert self.nginx is not None
        return self.nginx.url

    def stored(self) -> set[int]:
        """Return the ids of all posts in the database."""
        return {row["id"] for row in self.database.master.execute("SELECT id FROM posts", DATABASE)}

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


Laboratory = Callable[..., Awaitable[Lab]]


@pytest.fixture
async def laboratory(network: Network) -> AsyncIterator[Laboratory]:
    """Build a laboratory: nodes, workers a node, and settings of the site can be given."""
    with ExitStack() as stack:

        async def enter(server: AbstractContextManager[Any]) -> Any:
            return await asyncio.to_thread(stack.enter_context, server)

        async def made(nodes: int = 2, *, workers: int = 2, options: tuple[str, ...] = (), **settings: Any) -> Lab:
            places = [place_on(network.add(name)) for name in ("redis", "master", "replica1", "replica2")]
            redis = await enter(RedisServer(place=places[0]))
            database = await enter(MariaCluster(places[1:]))
            database.master.execute(
                "CREATE TABLE posts (id BIGINT PRIMARY KEY, visitor VARCHAR(40) NOT NULL, KEY (visitor))", DATABASE
            )
            await asyncio.to_thread(database.wait_for_slaves)
            servers = [connection("master" if server is database.master else "slave", server.host, server.port)
                       for server in database.servers]  # fmt: skip
            everything = {
                "CACHES": {"default": {
                    "BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache", "LOCATION": redis.url,
                }},
                "DATABASE_CONNECTION": {"default": {"connections": servers}},
                "STICK_TO_MASTER": 5,
                **settings,
            }  # fmt: skip
            lab = Lab(network, redis, database, everything)
            for number in range(nodes):
                host = network.add(f"node{number + 1}")
                lab.nodes.append(await enter(Node(host, everything, workers=workers, options=options)))
            lab.nginx = await enter(Nginx(network.add("nginx"), [node.address for node in lab.nodes]))
            return lab

        yield made
        await asyncio.to_thread(stack.close)
