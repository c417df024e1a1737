"""The state of one session during a request: its stored record and the request's unsaved changes.

store.open ─► adopt ─► data, record ── the handler's `Session` changes it ──► changes ── take_changes ─► store.save
                                                                                 ▲             │ the store is down
                                                                                 └ give_back ──┘
watched: lists and dicts that were returned to the handler and may have been modified
"""

import asyncio
from collections.abc import Callable
from typing import Any

from torngas_aio.cache.serializers import Serializer
from torngas_aio.cache.store import Versioned
from torngas_aio.exception import CacheUnavailable, SessionError
from torngas_aio.session.changes import Changes, Record
from torngas_aio.session.token import Token, new_id

__all__ = ["MUTABLE", "SessionState"]

MUTABLE: tuple[type[object], ...] = (list, dict, set, bytearray)


class SessionState:
    """The state of one session, shared by the store and the handler's `Session`.

    Attributes:
        address: The visitor's address.
        data: The values as the handler sees them.
        changes: The unsaved changes.
        record: The stored record, None if the session is not in the store.
        seen: The stored bytes with their token, until the next write.
        token: The content of the visitor's cookie, None without a valid one.
        session_id: The id; None for a new session until a value is put.
        old_id: The id that the next save replaces.
        ended: The ids of sessions that `end` has ended, each with its user.
        error: The error of the store, if the session could not be opened.
        is_unkept: There was a change that can never be saved, because of *error*.
        is_settled: The response header was sent, so no cookie can be set any more.
        was_ended: `end` was called.
        saving: A lock, held during a save.
        on_change: Called once, at the first change that needs saving.
    """

    __slots__ = (
        "_serializer", "address", "changes", "data", "ended", "error", "is_settled", "is_unkept", "old_id",
        "on_change", "record", "saving", "seen", "session_id", "token", "was_ended", "watched",
    )  # fmt: skip

    def __init__(
        self, serializer: Serializer, address: str = "", on_change: "Callable[[SessionState], None] | None" = None
    ) -> None:
        self._serializer = serializer
        self.address = address
        self.on_change = on_change
        self.token: Token | None = None
        self.ended: list[tuple[str, str]] = []
        self.error: CacheUnavailable | None = None
        self.is_unkept = False
        self.is_settled = False
        self.saving: asyncio.Lock | None = None
        self.was_ended = False
        self.forget()

    def forget(self) -> None:
        """Reset to a session without id and data."""
        self.session_id: str | None = None
        self.record: Record | None = None
        self.seen: Versioned | None = None
        self.old_id: str | None = None
        self.data: dict[str, Any] = {}
        self.changes = Changes()
        self.watched: dict[str, bytes] = {}

    def adopt(self, token: Token, seen: Versioned, record: Record) -> None:
        """Initialize the state from the stored session."""
        self.session_id = token.session_id
        self.seen = seen
        self.record = record
        self.data = dict(record.data)  # a copy: `WriteQueue` applies changes to the record as it was read

    def begin(self) -> None:
        """Record that there are changes to save, and assign an id to a new session.

        Raises:
            SessionError: The session is new, and its cookie can no longer be sent.
        """
        self.note_change()
        if self.session_id is None and self.error is None:
            if self.is_settled:
                raise SessionError(
                    "A new session was begun after the response header was sent, so its cookie cannot be sent. "
                    "Put something into the session before the first flush(), finish() or the WebSocket handshake."
                )
            self.session_id = new_id()

    def note_change(self) -> None:
        """Report to *on_change*, once, that there are changes to save."""
        if self.error is not None:
            self.is_unkept = True
        if self.on_change is not None:
            notify, self.on_change = self.on_change, None
            notify(self)

    def check(self, key: str, value: object) -> None:
        """Raise `SerializationError` if *value*, to be put under *key*, cannot be serialized."""
        self._serializer.check(value, f"session[{key!r}]")

    def watch(self, key: str, value: object) -> None:
        """Remember the content of *value*, a mutable about to be returned, so that its modifications are saved."""
        if key not in self.watched and key not in self.changes.puts:
            self.watched[key] = self._snapshot(key, value)
            self.note_change()

    def end(self) -> None:
        """End the session: the next save removes its record and cookie; a value put afterwards starts a new one."""
        self.was_ended = True
        ended_id = self.old_id or self.session_id
        if self.record is not None and ended_id is not None:
            self.ended.append((ended_id, self.record.user))
        self.forget()
        if self.token is not None:
            self.note_change()

    @property
    def is_changed(self) -> bool:
        """Whether there are unsaved changes."""
        self.find_changed()
        return bool(self.changes or self.ended or self.is_unkept) or self.old_id is not None

    def find_changed(self) -> None:
        """Add watched lists and dicts to the changes if their content was modified."""
        for key, before in list(self.watched.items()):
            value = self.data[key]
            if self._snapshot(key, value) != before:
                self.changes.put(key, value)
                del self.watched[key]

    def take_changes(self) -> Changes:
        """Return the unsaved changes, copied from the application's objects, and start with empty ones.

        Raises:
            SerializationError: A value cannot be serialized; the changes then stay unsaved.
        """
        self.find_changed()
        taken = self.changes.sealed(self._serializer)
        if not self.is_settled:  # the values may still be modified and saved again
            for key, value in self.changes.puts.items():
                if isinstance(value, MUTABLE):
                    self.watched[key] = self._snapshot(key, value)
        self.changes = Changes()
        return taken

    def give_back(self, taken: Changes) -> None:
        """Return *taken*, which could not be written, to the unsaved changes."""
        self.changes = self.changes.after(taken)

    def keep_endings_only(self) -> None:
        """Discard every change except the end of the session, because the request has failed."""
        self.changes = Changes()
        self.is_unkept = self.is_unkept and self.was_ended
        self.watched.clear()
        if self.old_id is not None:
            self.session_id, self.old_id = self.old_id, None

    def _snapshot(self, key: str, value: object) -> bytes:
        self.check(key, value)
        return self._serializer.dumps(value)
