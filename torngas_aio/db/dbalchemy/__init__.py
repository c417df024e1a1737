"""The ORM layer: SQLAlchemy's asyncio extension, with reads on slaves and writes on the master.

    specs.py           the settings, validated          monitoring.py   lag of replicas, pings of idle connections
    cluster.py         master and slaves                engines.py      one engine for each server
    pool.py            an engine's connections          connection_guard.py  lost connections, deadlines
    mysql_dialects.py  MySQL, MariaDB                   postgres_dialect.py  PostgreSQL; sqlite_dialect.py  SQLite
    routing.py         choice of the server             statements.py   whether a statement reads or writes; key lookups
    positions.py       replication positions; reads after own writes
    unloaded.py        errors for attributes that would need a query
    db_session.py      `DbSession`                      registry.py     the session of a request or a block
    connector.py       sessions by name, for scripts    transaction_end.py functions called at its end
    model.py           `Model`                          query.py        `Model.Q`
    pagination.py      pages                            cursors.py      page cursors as text
    migrations.py      Alembic                          migration_scripts/  the scripts that Alembic runs

Begin with `Model` and `session_scope`.
"""

from importlib import import_module

try:
    import_module("sqlalchemy")
except ModuleNotFoundError as exc:
    exc.add_note("torngas_aio.db.dbalchemy needs an extra: pip install 'torngas-aio[db]', or mysql, postgres, sqlite.")
    raise

from torngas_aio._former_names import former_names
from torngas_aio.db.dbalchemy.connector import Connector, DbConnection
from torngas_aio.db.dbalchemy.db_session import DbSession
from torngas_aio.db.dbalchemy.model import Model, metadata_of
from torngas_aio.db.dbalchemy.pagination import KeysetPage, Pagination
from torngas_aio.db.dbalchemy.query import Query
from torngas_aio.db.dbalchemy.registry import current_session, rolled_back, session_scope

__all__ = [
    "BaseQuery",
    "Connector",
    "DbConnection",
    "DbSession",
    "KeysetPage",
    "MetaBaseModel",
    "Model",
    "Pagination",
    "Query",
    "current_session",
    "metadata_of",
    "rolled_back",
    "session_scope",
]

BaseQuery = Query
MetaBaseModel = Model

__getattr__ = former_names(__name__)
