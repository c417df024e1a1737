"""`Connector`: connections by name, with the interface of torngas 1.8 for scripts.

conn = Connector.get_conn('default')
await conn.create_db()           the tables of the connection's models
Connector.conn_pool              every configured connection by name
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager

from sqlalchemy import Connection, MetaData, inspect
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.asyncio import AsyncEngine

from torngas_aio.db import table_makers
from torngas_aio.db.dbalchemy.cluster import Cluster
from torngas_aio.db.dbalchemy.db_session import DbSession
from torngas_aio.db.dbalchemy.model import metadata_of
from torngas_aio.db.dbalchemy.registry import cluster_of, current_session, database_specs, session_scope
from torngas_aio.exception import ConfigError

__all__ = ["Connector", "DbConnection"]


class DbConnection:
    """One connection name: its servers and its models' tables."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<DbConnection {self.name!r}>"

    @property
    def cluster(self) -> Cluster:
        """The servers, for the running event loop."""
        return cluster_of(self.name)

    @property
    def engine(self) -> AsyncEngine:
        """The master's engine."""
        return self.cluster.master.engine

    @property
    def engines(self) -> dict[str, object]:
        """The master's engine under "master", the list of the slaves' under "slaves"."""
        return {"master": self.engine, "slaves": [slave.engine for slave in self.cluster.slaves]}

    @property
    def metadata(self) -> MetaData:
        """The tables of the connection's models."""
        return metadata_of(self.name)

    @property
    def session(self) -> DbSession:
        """The current session; see `torngas_aio.db.dbalchemy.registry.current_session`."""
        return current_session(self.name)

    def session_scope(self) -> AbstractAsyncContextManager[DbSession]:
        """Open a session for a block."""
        return session_scope(self.name)

    async def create_db(self) -> None:
        """Create missing tables on the master: those of the models, and those of jobs (outbox and keys).

        Raises:
            ConfigError: The database does not support the type of a model's column.
        """
        self.add_own_tables()
        try:
            async with self.engine.begin() as connection:
                await connection.run_sync(self.metadata.create_all)
        except CompileError as exc:
            raise ConfigError(
                f"A model of {self.name!r} does not fit {self.engine.dialect.name}: {exc}. Give the column a type that "
                "every database has, such as SmallInteger, or one for this: `.with_variant(...)`.",
                code="TGA501",
            ) from exc

    def add_own_tables(self) -> None:
        """Add the tables of jobs to `metadata`, if the project declares jobs."""
        for make in table_makers:
            make(self.name)

    async def existing_tables(self) -> list[str]:
        """Return the sorted names of the models' tables that exist on the master."""

        def read(connection: Connection) -> list[str]:
            inspector = inspect(connection)
            tables = self.metadata.tables.items()
            return sorted(name for name, table in tables if inspector.has_table(table.name, schema=table.schema))

        async with self.engine.connect() as connection:
            return await connection.run_sync(read)

    async def drop_db(self) -> None:
        """Drop the tables of the connection's models, with all rows, on the master."""
        async with self.engine.begin() as connection:
            await connection.run_sync(self.metadata.drop_all)

    async def ping(self) -> None:
        """Return when the master has answered.

        Raises:
            DatabaseUnavailable: The master does not answer.
        """
        async with self.engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")


class _Pool(Mapping[str, DbConnection]):
    """Every configured connection by name; read from the settings each time."""

    def __getitem__(self, name: str) -> DbConnection:
        if name not in self._names():
            raise KeyError(name)
        return DbConnection(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in database_specs())


class Connector:
    """Access to connections and sessions by name.

    Attributes:
        conn_pool: Every configured connection by name.
    """

    conn_pool: Mapping[str, DbConnection] = _Pool()

    @classmethod
    def get_conn(cls, name: str = "default") -> DbConnection:
        """Return the connection *name*.

        Raises:
            UnknownAlias: It is not in DATABASE_CONNECTION.
        """
        connection = DbConnection(name)
        if name not in cls.conn_pool:
            _ = connection.cluster  # raises an error that lists the configured names
        return connection

    @classmethod
    def get_session(cls, name: str = "default") -> DbSession:
        """Return the current session of the connection *name*: the request's, or the `session_scope`'s."""
        return current_session(name)
