"""Which sessions belong to which user: one list a user, so that all of them can be revoked at once.

    %u:prefix:digest of the user's key ── ["id", "id", …]   changed by compare-and-set, kept for ever

Only logins and logouts touch it; a request costs nothing. Begin with `UserIndex`.
"""

import hashlib
import json
from collections.abc import Callable

from torngas_aio.session.vault import Vault

__all__ = ["UserIndex"]

_PRUNED_FROM = 16
"""A list as long as this is looked through for sessions that have ended by themselves."""


class UserIndex:
    """The lists of session ids by user key."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def add(self, user: str, session_id: str) -> None:
        """Note *session_id* as one of *user*'s."""
        ended: set[str] = set()
        known = await self.of(user)
        if len(known) >= _PRUNED_FROM:
            ended = set(known) - await self._present(known)
        await self._change(user, lambda ids: [*(i for i in ids if i not in ended and i != session_id), session_id])

    async def remove(self, user: str, session_id: str) -> None:
        """Take *session_id* off *user*'s list."""
        await self._change(user, lambda ids: [i for i in ids if i != session_id])

    async def of(self, user: str) -> list[str]:
        """Return the ids noted for *user*, ended ones among them."""
        seen = await self._vault.read(self._key(user))
        return [] if seen is None else _ids(seen.data)

    async def take(self, user: str) -> list[str]:
        """Return the ids noted for *user* and forget them, in one step."""
        taken: list[str] = []

        def empty(ids: list[str]) -> list[str]:
            taken[:] = ids
            return []

        await self._change(user, empty)
        return taken

    async def _present(self, ids: list[str]) -> set[str]:
        keys = {self._vault.session_key(session_id): session_id for session_id in ids}
        return {keys[key] for key in await self._vault.present(list(keys))}

    async def _change(self, user: str, change: Callable[[list[str]], list[str]]) -> None:
        key, is_done = self._key(user), False
        while not is_done:
            seen = await self._vault.read(key)
            ids = [] if seen is None else _ids(seen.data)
            wanted = change(ids)
            data = json.dumps(wanted).encode()
            if seen is None:
                is_done = not wanted or await self._vault.add(key, data, None)
            elif not wanted:
                is_done = await self._vault.drop(key, seen.token)
            else:
                is_done = wanted == ids or (await self._vault.swap(key, data, seen.token, None)).is_done

    def _key(self, user: str) -> str:
        digest = hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16)
        return self._vault.user_key(digest.hexdigest())


def _ids(data: bytes) -> list[str]:
    """The ids in *data*; whatever else somebody put there is none."""
    try:
        found = json.loads(data)
    except ValueError:
        return []
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
