"""Visitor sessions, stored in a cache.

    from torngas_aio.session import session_store

    await session_store().revoke_user(user_id)

In handlers the session is `self.session`, set by `torngas_aio.middleware.session.SessionMiddleware`.
Begin with `torngas_aio.session.session.Session`.

    session.py  the dict that handlers use        state.py         its stored record and unsaved changes
    store.py    open, save, revoke                registry.py      the store configured in the settings
    config.py   the SESSION setting, validated    token.py         the cookie: a signed id
    changes.py  a record, and changes to one      write_queue.py   merging of concurrent requests' changes
    users.py    the sessions of each user         record_store.py  records in a cache's store
"""

from torngas_aio.session.config import SessionConfig
from torngas_aio.session.registry import session_store
from torngas_aio.session.session import Session
from torngas_aio.session.store import SessionStore

__all__ = ["Session", "SessionConfig", "SessionStore", "session_store"]
