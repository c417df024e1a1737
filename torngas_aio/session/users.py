"""The index of sessions by user: a tree of small lists, for revoking all sessions of a user.

    %u:prefix:digest of the user's key      ["id", "id", ...]      up to about 64 ids, or, if there are more,
                                            "nonce"                split by the ids' first character:
    %u:prefix:digest:nonce:character        ["id", ...]            these split by the second, and so on

All lists are changed by compare-and-set and have no expiry. Only logins and logouts access them, one list each
regardless of the number of sessions; other requests do not. Split lists are found only through the nonce in the root
list: once the root is removed, they are unreachable.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from torngas_aio.cache.store import Versioned
from torngas_aio.session.record_store import RecordStore
from torngas_aio.utils.narrowing import is_list

__all__ = ["UserIndex"]

MOST_IDS = 64
"""Maximum ids per list; a longer list first drops ended sessions, and is split if that is not enough."""

_UNDER_WAY = 16  # newest ids of a list whose records may not be stored yet
_DEEPEST = 12
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"  # of ids


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One list: its key, its depth in the tree, and its content as read."""

    key: str
    depth: int
    seen: Versioned | None
    ids: list[str]


class UserIndex:
    """The index of session ids by user key."""

    def __init__(self, record_store: RecordStore) -> None:
        self._record_store = record_store

    async def add(self, user: str, session_id: str) -> None:
        """Add *session_id* to *user*'s sessions."""
        is_done = False
        while not is_done:
            leaf = await self._leaf(user, session_id)
            ids = [*(each for each in leaf.ids if each != session_id), session_id]
            if len(ids) > MOST_IDS:
                ids = await self._alive(ids)
            if len(ids) > MOST_IDS // 2 and len(leaf.ids) >= MOST_IDS and leaf.depth < _DEEPEST:
                is_done = await self._split(user, leaf, ids)
            else:
                is_done = await self._put(leaf, ids)

    async def remove(self, user: str, session_id: str) -> None:
        """Remove *session_id* from *user*'s sessions."""
        is_done = False
        while not is_done:
            leaf = await self._leaf(user, session_id)
            is_done = await self._put(leaf, [each for each in leaf.ids if each != session_id])

    async def has(self, user: str, session_id: str) -> bool:
        """Return whether *session_id* is among *user*'s sessions."""
        return session_id in (await self._leaf(user, session_id)).ids

    async def forget(self, user: str, end: Callable[[list[str]], Awaitable[None]]) -> None:
        """Await *end* with all ids of *user*, including ended ones, then remove them from the index.

        An id added meanwhile is either passed to *end* too, or its login finds that it was removed. If *end* or the
        store fails, another call finds all ids again.
        """
        root = self._root(user)
        while (seen := await self._record_store.read(root)) is not None:
            ids, lists = await self._collect_ids(root, seen.data)
            await end(ids)
            if await self._record_store.drop(root, seen.token):
                late, lists = await self._collect_ids(root, seen.data) if lists else (ids, lists)
                # RACE: a login that stored its record after the first `end` may have found its id before the drop
                await end(sorted({*ids, *late}))
                await self._record_store.delete(*lists)
                return

    async def _leaf(self, user: str, session_id: str) -> _Leaf:
        """Return the list for *session_id*."""
        root = key = self._root(user)
        depth = 0
        while True:
            seen = await self._record_store.read(key)
            ids = [] if seen is None else _ids(seen.data)
            if isinstance(ids, list) or depth >= _DEEPEST:  # there are no lists of ours below that depth
                return _Leaf(key, depth, seen, ids if isinstance(ids, list) else [])
            key = _below(root, ids, session_id[depth : depth + 1])
            depth += 1

    async def _put(self, leaf: _Leaf, ids: list[str]) -> bool:
        """Write *ids* unless the list has changed since it was read; return whether it now holds them."""
        data = json.dumps(ids).encode()
        if leaf.seen is None:
            return not ids or await self._record_store.add(leaf.key, data, None)
        if not ids:
            return await self._record_store.drop(leaf.key, leaf.seen.token)
        return ids == leaf.ids or (await self._record_store.swap(leaf.key, data, leaf.seen.token, None)).is_done

    async def _split(self, user: str, leaf: _Leaf, ids: list[str]) -> bool:
        """Move *ids* into lists below *leaf* unless it has changed since it was read; return whether that was done."""
        assert leaf.seen is not None
        nonce = secrets.token_urlsafe(9)
        shares: dict[str, list[str]] = {}
        for each in ids:
            shares.setdefault(_below(self._root(user), nonce, each[leaf.depth : leaf.depth + 1]), []).append(each)
        await _all(self._record_store.add(key, json.dumps(share).encode(), None) for key, share in shares.items())
        data = json.dumps(nonce).encode()
        is_done = (await self._record_store.swap(leaf.key, data, leaf.seen.token, None)).is_done
        if not is_done:
            await self._record_store.delete(*shares)
        return is_done

    async def _alive(self, ids: list[str]) -> list[str]:
        """Return *ids* without ended sessions; the newest _UNDER_WAY ids are always kept."""
        keys = {self._record_store.session_key(each): each for each in ids[:-_UNDER_WAY]}
        found = {keys[key] for key in await self._record_store.get_many(keys)}
        return [*(each for each in ids[:-_UNDER_WAY] if each in found), *ids[-_UNDER_WAY:]]

    async def _collect_ids(self, root: str, data: bytes) -> tuple[list[str], list[str]]:
        """Return the ids in *data* and in all lists below it, and the keys of those lists."""
        ids: list[str] = []
        lists: dict[str, None] = {}
        stored = [data]
        while stored:
            nodes = [_ids(each) for each in stored]
            ids += [each for node in nodes if isinstance(node, list) for each in node]
            nonces = dict.fromkeys(node for node in nodes if isinstance(node, str))
            keys = [key for nonce in nonces for key in _all_below(root, nonce) if key not in lists]
            found = await self._record_store.get_many(keys) if keys else {}
            lists |= dict.fromkeys(found)
            stored = list(found.values())
        return ids, list(lists)

    def _root(self, user: str) -> str:
        digest = hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16)
        return self._record_store.user_key(digest.hexdigest())


def _below(root: str, nonce: str, letter: str) -> str:
    return f"{root}:{nonce}:{letter}"


def _all_below(root: str, nonce: str) -> list[str]:
    return [_below(root, nonce, letter) for letter in _ALPHABET]


def _ids(data: bytes) -> list[str] | str:
    """Return the ids in *data*, or the nonce if the list was split; other content is ignored."""
    try:
        found = json.loads(data)
    except ValueError:
        return []
    if isinstance(found, str) and found and not set(found) - set(_ALPHABET):
        return found
    return [item for item in found if isinstance(item, str)] if is_list(found) else []


async def _all(calls: Iterable[Awaitable[object]]) -> None:
    """Await *calls* concurrently, so that a store can batch them into one round trip; raise the first error."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
