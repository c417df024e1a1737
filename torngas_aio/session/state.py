"""What the store knows of one session, and what the request has done to it: all that a save needs.

store.open ─► adopt ─► data, record ── the handler's `Session` changes it ──► changes ── take_changes ─► store.save
                                                                                 ▲             │ the store is down
                                                                                 └ give_back ──┘
watched: lists and dicts that were handed out and may have been changed
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
    """One session between the store and the handler.

    Attributes:
        address: The visitor's.
        data: The values as the handler sees them.
        changes: What is to be saved.
        record: The session as the store holds it, None while it does not know it.
        seen: The stored bytes with their token, until the next write.
        token: What the visitor's cookie says, None without a valid one.
        session_id: None as long as nothing was put into a new session.
        old_id: The id that is given up with the next save.
        ended: The ids of sessions that `end` has ended, each with its user.
        error: Why the session could not be opened: the store was down.
        is_unkept: Something was changed that can never be saved, because of *error*.
        is_settled: The response's header has left, so no cookie can be sent any more.
        was_ended: `end` was called.
        saving: Held by the save that is under way.
        on_change: Called once, at the first change that a save has to see.
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
        """Be a session without id and data again."""
        self.session_id: str | None = None
        self.record: Record | None = None
        self.seen: Versioned | None = None
        self.old_id: str | None = None
        self.data: dict[str, Any] = {}
        self.changes = Changes()
        self.watched: dict[str, bytes] = {}

    def adopt(self, token: Token, seen: Versioned, record: Record) -> None:
        """Take over what the store holds."""
        self.session_id = token.session_id
        self.seen = seen
        self.record = record
        self.data = dict(record.data)  # the record stays as it was read, for `WriteQueue` to apply changes to

    def begin(self) -> None:
        """Note a change, and give a new session its id.

        Raises:
            SessionError: The session is new, and its cookie cannot be sent any more.
        """
        self.note_change()
        if self.session_id is None and self.error is None:
            if self.is_settled:
                raise SessionError(
                    "A new session was begun after the response's header had left, so its cookie cannot be sent. "
                    "Put something into the session before the first flush(), finish() or the WebSocket handshake."
                )
            self.session_id = new_id()

    def note_change(self) -> None:
        """Note that something is to be saved."""
        if self.error is not None:
            self.is_unkept = True
        if self.on_change is not None:
            notify, self.on_change = self.on_change, None
            notify(self)

    def check(self, key: str, value: object) -> None:
        """Raise `SerializationError` when *value*, to be put under *key*, cannot be kept."""
        self._serializer.check(value, f"session[{key!r}]")

    def watch(self, key: str, value: object) -> None:
        """Note *value*, mutable and about to be handed out, so that a change of it is saved."""
        if key not in self.watched and key not in self.changes.puts:
            self.watched[key] = self._snapshot(key, value)
            self.note_change()

    def end(self) -> None:
        """End the session: its record and its cookie go with the next save; what is put then starts another."""
        self.was_ended = True
        ended_id = self.old_id or self.session_id
        if self.record is not None and ended_id is not None:
            self.ended.append((ended_id, self.record.user))
        self.forget()
        if self.token is not None:
            self.note_change()

    @property
    def is_changed(self) -> bool:
        """Whether something is to be saved."""
        self.find_changed()
        return bool(self.changes or self.ended or self.is_unkept) or self.old_id is not None

    def find_changed(self) -> None:
        """Count lists and dicts as put whose content differs from when they were handed out."""
        for key, before in list(self.watched.items()):
            value = self.data[key]
            if self._snapshot(key, value) != before:
                self.changes.put(key, value)
                del self.watched[key]

    def take_changes(self) -> Changes:
        """Return what is to be written, apart from the application's objects, and start a new list.

        Raises:
            SerializationError: Something cannot be written; then nothing is taken.
        """
        self.find_changed()
        taken = self.changes.sealed(self._serializer)
        if not self.is_settled:  # what was put may be changed and saved once more
            for key, value in self.changes.puts.items():
                if isinstance(value, MUTABLE):
                    self.watched[key] = self._snapshot(key, value)
        self.changes = Changes()
        return taken

    def give_back(self, taken: Changes) -> None:
        """Count *taken*, which could not be written, as unsaved again."""
        self.changes = self.changes.after(taken)

    def keep_endings_only(self) -> None:
        """Forget every change but the end of the session: what the request did has failed."""
        self.changes = Changes()
        self.is_unkept = self.is_unkept and self.was_ended
        self.watched.clear()
        if self.old_id is not None:
            self.session_id, self.old_id = self.old_id, None

    def _snapshot(self, key: str, value: object) -> bytes:
        self.check(key, value)
        return self._serializer.dumps(value)
