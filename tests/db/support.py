"""What the database tests share: settings for each server, a request without a front door, loops of both kinds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import uvloop
from sqlalchemy.exc import DBAPIError
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from tests.services import mariadb, postgres
from tests.services.process import HOST
from torngas_aio._cleanup import close_all
from torngas_aio.context import RequestScope, enter_request, leave_request, scope_of
from torngas_aio.db.dbalchemy import Connector, DbConnection
from torngas_aio.db.dbalchemy.cluster import Cluster, Node
from torngas_aio.db.dbalchemy.pool import WaitingPool
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.db.dbalchemy.specs import parse_database
from torngas_aio.settings_manager import settings

__all__ = [
    "LOOPS",
    "SERVER",
    "cluster_with",
    "configured",
    "in_request",
    "in_use",
    "maria",
    "on_loop",
    "pg",
    "prepared",
    "server",
    "servers_of",
]

T = TypeVar("T")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}

SERVER = {"DRIVER": "mysql+aiomysql", "HOST": "h", "UID": "u", "PASSWD": "hunter2"}
"""A server that nothing connects to."""


def on_loop(name: str, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* on the loop called *name*, and close what it opened."""

    async def run() -> T:
        try:
            return await main()
        finally:
            await close_all()

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        return runner.run(run())


def server(role: str, port: int, driver: str, **more: Any) -> dict[str, Any]:
    """One entry of 'connections'."""
    return {
        "ROLE": role,
        "DRIVER": driver,
        "UID": mariadb.USER,
        "PASSWD": mariadb.PASSWORD,
        "HOST": HOST,
        "PORT": port,
        "DATABASE": mariadb.DATABASE,
        **more,
    }


def cluster_with(*servers: dict[str, Any], **options: Any) -> Cluster:
    """Return the cluster "default" of these servers, with these options of SQLAlchemy's."""
    connections = {"default": {"connections": list(servers)}}
    return Cluster(parse_database("default", connections, {f"sqlalchemy.{key}": each for key, each in options.items()}))


def maria(
    cluster: mariadb.MariaCluster, driver: str = "mysql+aiomysql", slaves: int = 2, **more: Any
) -> dict[str, Any]:
    """A DATABASE_CONNECTION for the MariaDB cluster, with so many of its slaves."""
    entries = [server("master", cluster.master.port, driver)]
    entries += [server("slave", each.port, driver, **more) for each in cluster.slaves[:slaves]]
    return {"default": {"connections": entries}}


def pg(running: postgres.PostgresServer, *, has_slave: bool = False) -> dict[str, Any]:
    """A DATABASE_CONNECTION for PostgreSQL; its slave is the master itself, read in AUTOCOMMIT."""
    entries = [server("master", running.port, "postgresql+asyncpg")]
    if has_slave:
        entries.append(server("slave", running.port, "postgresql+asyncpg"))
    return {"default": {"connections": entries}}


@contextmanager
def configured(connections: dict[str, Any], **more: Any) -> Iterator[None]:
    """Settings with these connections; options of SQLALCHEMY_CONFIGURATION without their prefix.

    The lag of slaves is not watched by default: its questions would be among the statements that tests count.
    """
    options = {f"sqlalchemy.{key}": value for key, value in more.items() if key.islower()}
    settings.configure(
        DATABASE_CONNECTION=connections,
        SQLALCHEMY_CONFIGURATION={"sqlalchemy.pool_timeout": 5, **options},
        **{"MAX_LAG": 0, **{key: value for key, value in more.items() if key.isupper()}},
    )
    try:
        yield
    finally:
        settings.reset()


@asynccontextmanager
async def prepared(cluster: mariadb.MariaCluster | None = None) -> AsyncIterator[None]:
    """Empty tables for the block, replicated before it begins; every pool closed after it."""
    try:
        await _empty(Connector.get_conn())
        if cluster is not None:
            cluster.wait_for_slaves()
        yield
    finally:
        await close_all()


async def _empty(connection: DbConnection) -> None:
    """Delete every row; create the tables where there are none yet, which takes longer."""
    try:
        async with connection.engine.begin() as open_connection:
            for table in reversed(connection.metadata.sorted_tables):
                await open_connection.execute(table.delete())
    except DBAPIError:
        await connection.drop_db()
        await connection.create_db()


@asynccontextmanager
async def in_request() -> AsyncIterator[RequestScope]:
    """A request as handlers see it: `Model.session` is the request's; ended at the end of the block."""
    request = HTTPServerRequest(
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=HTTPHeaders({"Host": "test"})
    )
    token = enter_request(request)
    try:
        yield scope_of(request)
    finally:
        leave_request(token)
        await scope_of(request).aclose()


def servers_of(name: str = "default") -> Cluster:
    """The cluster of the running loop."""
    return cluster_of(name)


def in_use(node: Node) -> int:
    """How many connections of the server are taken out of its pool."""
    pool = node.sync_engine.pool
    assert isinstance(pool, WaitingPool)
    return pool.checkedout()
