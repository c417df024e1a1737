"""Databases: `dbalchemy`, the routed SQLAlchemy layer, and `basedb`, a small one without models.

dbalchemy/  basedb/   the two layers
_connections.py       deadlines of statements, idle connections that the server has closed, what errors mean
_outage.py            whether a server answers and takes writes, found out by a probe in the background
_aiomysql.py          aiomysql's connection with its own escape function

`session_with_changes` tells whether the code that runs has changes that are not committed.
"""

import sys
from typing import Any

__all__ = ["session_with_changes"]


def session_with_changes() -> Any:
    """Return the database session of this context whose transaction has changes; None where there is none.

    Without SQLAlchemy being imported: where it is not, there is no session.
    """
    registry = sys.modules.get("torngas_aio.db.dbalchemy.registry")
    sessions = () if registry is None else registry.open_sessions()
    return next((each for each in sessions if each.has_changes), None)
