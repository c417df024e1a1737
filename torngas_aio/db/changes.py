"""Whether code has changes in a database that are not committed. Begin with `session_with_changes`."""

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
