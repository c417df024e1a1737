"""The visitor's session and its store over a cache.

    from torngas_aio.session import session_store

    await session_store().revoke_user(user_id)

In handlers the session is `self.session`, given by `torngas_aio.middleware.session.SessionMiddleware`.
Begin with `torngas_aio.session.session.Session`.
"""

from torngas_aio.session.config import SessionConfig
from torngas_aio.session.registry import session_store
from torngas_aio.session.session import Session
from torngas_aio.session.store import SessionStore

__all__ = ["Session", "SessionConfig", "SessionStore", "session_store"]
