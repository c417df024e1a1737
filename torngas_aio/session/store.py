"""The session store of one configuration: open by cookie, save by merging, end and revoke sessions.

open     cookie ─ signature ─ one read that also extends the expiry ─ address, age ─► Session
save     nothing changed: nothing   changed: one compare-and-set   new: one add   new id: add, mark the old
revoke   one session by id, or all sessions of a user
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from torngas_aio._cleanup import await_to_the_end
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.store import Versioned
from torngas_aio.exception import CacheUnavailable
from torngas_aio.logger import DEGRADED_SECONDS, OutageLog
from torngas_aio.session.changes import Changes, Record
from torngas_aio.session.config import SessionConfig
from torngas_aio.session.record_store import open_record_store
from torngas_aio.session.session import Session
from torngas_aio.session.state import SessionState
from torngas_aio.session.token import SessionCookie, Token, TokenSigner
from torngas_aio.session.users import UserIndex
from torngas_aio.session.write_queue import WriteQueue

__all__ = ["SessionStore"]

logger = logging.getLogger("torngas_aio.session")
_outages = OutageLog(logger, seconds=DEGRADED_SECONDS)

_RENEWED_AFTER = 0.1
"""A persistent cookie is sent again once this share of its lifetime has passed."""

_RENEWED_SECONDS = 60
"""Seconds for which a concurrent login can still copy the data of a renewed id."""

_COOKIES_LOOKED_AT = 4
_REVOKED_AT_ONCE = 500


class SessionStore:
    """The sessions of *config*, stored in *cache*; for use in one event loop.

    Attributes:
        clock: Returns seconds since the epoch; replaced in tests.
    """

    def __init__(self, cache: BaseCache, config: SessionConfig) -> None:
        self.config = config
        self.clock: Callable[[], float] = time.time
        self._record_store = open_record_store(cache)
        self._writers = WriteQueue(self._record_store, config.serializer, config.max_bytes)
        self._users = UserIndex(self._record_store)
        self._cookie = SessionCookie(config)
        self._signer = TokenSigner(config.secret_key, config.session_version)

    async def open(
        self, cookies: Iterable[str], address: str = "", on_change: Callable[[SessionState], None] | None = None
    ) -> Session:
        """Return the session of one of *cookies* and extend its expiry; without one, return an empty session.

        The store is read only if a cookie has a valid signature. Of the first four cookies, the first with a live
        session is used.

        Args:
            cookies: All values of the session cookie that the browser sent.
            address: The visitor's address; a session begun at another address is ended, unless `ignore_change_ip`.
            on_change: Called once, at the first change that `save` must write.

        Raises:
            CacheUnavailable: The store does not answer and SESSION['when_unavailable'] is 'fail'.
        """
        session = self.begin(address, on_change)
        tokens = self._tokens(cookies)
        if not tokens:
            return session
        state = session.state
        state.token = tokens[0]
        try:
            if len(tokens) > 1:
                state.token = await self._first_alive(tokens, address)
            await self._load(state, state.token)
        except CacheUnavailable as exc:
            if self.config.fails_when_down:
                raise
            state.error = exc
            _outages.report(self._record_store.label, "Requests continue with empty sessions: %s", exc)
        return session

    def begin(self, address: str = "", on_change: Callable[[SessionState], None] | None = None) -> Session:
        """Return an empty session for a visitor without the cookie; as `open`, without reading the store."""
        return Session(SessionState(self.config.serializer, address, on_change), self.save)

    async def save(self, state: SessionState) -> None:
        """Write the changes in *state*; see `Session.save`.

        Raises:
            CacheUnavailable, SerializationError, ValueTooLarge: As in `Session.save`.
        """
        if state.error is not None:
            if state.is_unkept:
                raise CacheUnavailable(f"The session could not be changed: {state.error}") from state.error
            return
        if state.saving is None:
            state.saving = asyncio.Lock()
        async with state.saving:
            if state.changes.counts:  # a cancelled save may have added them, and the next save would add them again
                await await_to_the_end(self._save(state))
            else:
                await self._save(state)

    def cookies_of(self, header: str) -> list[str]:
        """Return the argument of `open` from *header*, a request's Cookie header."""
        return self._cookie.find(header)

    def set_cookie(self, state: SessionState) -> str | None:
        """Return the Set-Cookie header for the response, None if none is needed."""
        record, token, session_id = state.record, state.token, state.session_id
        if record is None or session_id is None:
            return self.end_cookie(state)
        now = int(self.clock())
        is_same = token is not None and token.session_id == session_id and token.life == record.life
        if token is not None and is_same and not self._is_ageing(token, now):
            return None
        return self._cookie.line(
            self._signer.write(Token(session_id, record.life, now if record.life else 0)), record.life
        )

    def end_cookie(self, state: SessionState) -> str | None:
        """Return the Set-Cookie header that deletes the session's cookie, None unless `expired` was called."""
        # A cookie without a live session is not deleted: another response may just be setting a newer one.
        return self._cookie.taken_back if state.token is not None and state.was_ended else None

    async def revoke(self, session_id: str) -> None:
        """End the session *session_id*; requests in progress cannot restore it."""
        await self._record_store.delete(self._record_store.session_key(session_id))

    async def revoke_user(self, user: object, keep: str | None = None) -> int:
        """End every session bound to *user* by `bind_user`; return how many were alive.

        Args:
            keep: The id of a session to keep, such as the caller's own.

        Raises:
            CacheUnavailable: The store does not answer; another call ends the remaining sessions.
        """
        ended, is_kept = 0, False

        async def end(ids: list[str]) -> None:
            nonlocal ended, is_kept
            is_kept = is_kept or keep in ids
            keys = [self._record_store.session_key(session_id) for session_id in ids if session_id != keep]
            for start in range(0, len(keys), _REVOKED_AT_ONCE):
                share = keys[start : start + _REVOKED_AT_ONCE]
                found = await self._record_store.get_many(share)
                ended += sum(Record.load(data, self.config.serializer) is not None for data in found.values())
                await self._record_store.delete(*share)

        await self._users.forget(str(user), end)
        if keep is not None and is_kept:
            await self._users.add(str(user), keep)
        return ended

    # Opening

    def _tokens(self, cookies: Iterable[str]) -> list[Token]:
        """Return the tokens of the first validly signed *cookies*, one per session."""
        found: dict[str, Token] = {}
        for cookie in cookies:
            token = self._signer.read(cookie)
            if token is not None:
                found.setdefault(token.session_id, token)
                if len(found) == _COOKIES_LOOKED_AT:
                    break
        return list(found.values())

    async def _first_alive(self, tokens: list[Token], address: str) -> Token:
        """Return the first of *tokens* with a live session, or else the first one; one round trip."""
        keys = [self._record_store.session_key(token.session_id) for token in tokens]
        found = await self._record_store.get_many(keys)
        for key, token in zip(keys, tokens, strict=True):
            record = Record.load(found[key], self.config.serializer) if key in found else None
            if record is not None and self._is_valid(record, address):
                return token
        return tokens[0]

    async def _load(self, state: SessionState, token: Token) -> None:
        key = self._record_store.session_key(token.session_id)
        life = token.life or Record(0, 0).idle_seconds
        seen = await self._record_store.read(key, life)
        record = None if seen is None else Record.load(seen.data, self.config.serializer)
        if seen is None or record is None:
            return
        if not self._is_valid(record, state.address):
            await self._record_store.delete(key)
            return
        if record.life != token.life:  # the browser did not receive the response with the newer cookie
            await self._record_store.touch(key, record.idle_seconds)
        state.adopt(token, seen, record)
        if self._is_ageing(token, self.clock()):
            state.note_change()

    def _is_ageing(self, token: Token, now: float) -> bool:
        return bool(token.life) and now - token.issued >= token.life * _RENEWED_AFTER

    def _is_valid(self, record: Record, address: str) -> bool:
        limit = self.config.absolute_expires
        if limit and self.clock() >= record.began + limit:
            return False
        return self.config.ignore_change_ip or record.address == address

    # Saving

    async def _save(self, state: SessionState) -> None:
        state.find_changed()
        while state.ended:
            await self._end(*state.ended[-1])
            state.ended.pop()
        if not (state.old_id or state.changes) or (state.record is None and not state.changes.is_worth_keeping):
            return
        changes = state.take_changes()
        try:
            if state.record is None:
                await self._create(state, changes)
            elif state.old_id is not None:
                await self._rotate(state, state.record, state.old_id, changes)
            else:
                await self._update(state, state.record, changes)
        except BaseException:
            state.give_back(changes)
            raise

    async def _create(self, state: SessionState, changes: Changes) -> None:
        record = self._make_record(state, changes)
        assert state.session_id is not None
        await self._insert(state.session_id, record)
        state.record = record

    async def _update(self, state: SessionState, record: Record, changes: Changes) -> None:
        session_id, user = state.session_id, changes.user
        assert session_id is not None
        if user:
            await self._users.add(user, session_id)
        former, seen, state.seen = record.user, state.seen, None
        is_kept = await self._writers.write(self._record_store.session_key(session_id), seen, changes, record)
        if is_kept and user:
            is_kept = await self._is_still_noted(user, session_id)
        if not is_kept:
            self._lose(state)
            return
        if user is not None and former and former != user:
            await self._users.remove(former, session_id)
        self._note(record, changes)

    async def _rotate(self, state: SessionState, record: Record, old_id: str, changes: Changes) -> None:
        """Change the session's id: write the new record, then mark the old one as renewed if it is unchanged.

        After a cancellation in between, the old id keeps its data without this request's changes. A concurrent
        login of the same session finds the data under the old id and gets its own new id.
        """
        new_id, old_key = state.session_id, self._record_store.session_key(old_id)
        assert new_id is not None
        seen = state.seen if state.seen is not None else await self._record_store.read(old_key)
        state.seen = None
        is_moved = False
        while not is_moved:
            found = None if seen is None else Record.load(seen.data, self.config.serializer)
            renewed = None if found is None else found.dump_renewed(self.config.serializer, int(self.clock()))
            moved = self._move_record(state, found or self._renew_record(seen), changes)
            if moved is None:
                self._lose(state)
                return
            await self._insert(new_id, moved)
            if renewed is not None and seen is not None:
                swap = await self._record_store.swap(old_key, renewed, seen.token, _RENEWED_SECONDS)
                is_moved, now = swap.is_done, swap.current
            else:  # gone or renewed; if that has changed, the user may have been revoked meanwhile
                now = await self._record_store.read(old_key)
                is_moved = (now and now.data) == (seen and seen.data)
            if not is_moved:  # another request changed the record first: include its changes
                await self._record_store.delete(self._record_store.session_key(new_id))
                seen = now
        state.old_id = None
        self._note(record, changes)

    def _renew_record(self, seen: Versioned | None) -> Record | None:
        """Return the record that another login left under the old id within RENEWED_SECONDS; else None."""
        record = None if seen is None else Record.load_renewed(seen.data, self.config.serializer)
        return record if record is not None and self.clock() - record.began < _RENEWED_SECONDS else None

    def _move_record(self, state: SessionState, record: Record | None, changes: Changes) -> Record | None:
        """Return the record for the new id; if the session is gone, only with the values this request put."""
        if record is None:
            return self._make_record(state, changes) if changes.is_worth_keeping else None
        changes.apply(record)
        record.began = int(self.clock())
        return record

    async def _insert(self, session_id: str, record: Record) -> None:
        """Add a new record; remove it again if its user was revoked meanwhile."""
        key = self._record_store.session_key(session_id)
        data = record.dump(self.config.serializer, self.config.max_bytes)
        if record.user:
            await self._users.add(record.user, session_id)
        if not await self._record_store.add(key, data, record.idle_seconds):  # stored by a save whose reply was lost
            await self._record_store.delete(key)
            await self._record_store.add(key, data, record.idle_seconds)
        if record.user and not await self._is_still_noted(record.user, session_id):
            logger.warning("All sessions of a user were revoked while one of them began; it was ended too.")

    async def _is_still_noted(self, user: str, session_id: str) -> bool:
        if await self._users.has(user, session_id):
            return True
        await self._record_store.delete(self._record_store.session_key(session_id))
        return False

    async def _end(self, session_id: str, user: str) -> None:
        await self._record_store.delete(self._record_store.session_key(session_id))
        if user:
            await self._users.remove(user, session_id)

    def _make_record(self, state: SessionState, changes: Changes) -> Record:
        record = Record(int(self.clock()), int(self.config.expires), state.address)
        changes.apply(record)
        return record

    def _lose(self, state: SessionState) -> None:
        logger.warning("A session ended while a request was changing it; the changes were dropped.")
        state.forget()

    def _note(self, record: Record, changes: Changes) -> None:
        if changes.life is not None:
            record.life = changes.life
        if changes.user is not None:
            record.user = changes.user
