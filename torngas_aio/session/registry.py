"""The session store configured in the settings, for middlewares, handlers and scripts.

await session_store().revoke(session_id)
await session_store().revoke_user(user.id, keep=self.session.sessionid)
"""

import asyncio
from typing import Any

from torngas_aio.cache.registry import caches
from torngas_aio.session.config import SessionConfig
from torngas_aio.session.store import SessionStore
from torngas_aio.settings_manager import settings

__all__ = ["session_store"]

_KEPT = 8  # stores; more than the number of settings overrides active at once
_stores: list[tuple[asyncio.AbstractEventLoop, Any, Any, SessionStore]] = []


def session_store() -> SessionStore:
    """Return the session store of SESSION and CACHES; one per event loop.

    Raises:
        ConfigError: SESSION has faults.
        UnknownAlias: SESSION['session_cache_alias'] is not in CACHES.
    """
    loop, section, configured = asyncio.get_running_loop(), settings.SESSION, settings.CACHES
    for index, (known_loop, known_section, known_caches, store) in enumerate(_stores):
        if known_loop is loop and known_section is section and known_caches is configured:
            if index + 1 < len(_stores):  # keeps the list in LRU order
                _stores.append(_stores.pop(index))
            return store
    config = SessionConfig.of(section)
    store = SessionStore(caches[config.session_cache_alias], config)
    _stores[:] = [entry for entry in _stores if not entry[0].is_closed()][-_KEPT + 1 :]
    _stores.append((loop, section, configured, store))
    return store
