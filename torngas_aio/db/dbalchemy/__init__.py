"""The ORM layer: SQLAlchemy's asyncio with reads from slaves and writes to the master.

    specs > drivers             what the settings say
    engines > pool, dialects    one engine a server, a fair pool, lost connections noticed
    routing > statements        which server answers
    lag > positions             which replicas have fallen behind
    session, registry           one session a request and connection name
    model > query > pagination  what users write; cursors: what a client may say of a page

Begin with `Model` and `session_scope`.
"""

try:
    import sqlalchemy  # noqa: F401
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
