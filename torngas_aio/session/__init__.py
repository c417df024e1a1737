"""The visitor's session and its store over a cache.

    from torngas_aio.session import session_store

    await session_store().revoke_user(user_id)

In handlers the session is `self.session`, given by `torngas_aio.middleware.session.SessionMiddleware`.
Begin with `torngas_aio.session.session.Session`.

    session.py  the dict that handlers use        state.py         what the store knows of it, and its changes
    store.py    open, save, revoke                registry.py      the store of the settings
    config.py   SESSION, checked                  token.py         the cookie: a signed id
    changes.py  a record, and changes to one      write_queue.py   changes of many requests, merged
    users.py    the sessions of each user         record_store.py  records in a cache's store
"""

from torngas_aio.session.config import SessionConfig
from torngas_aio.session.registry import session_store
from torngas_aio.session.session import Session
from torngas_aio.session.store import SessionStore

__all__ = ["Session", "SessionConfig", "SessionStore", "session_store"]
