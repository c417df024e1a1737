"""The visitor's session in a handler: a dict, used without `await`.

store.open(cookies) ──► Session ── the handler reads and changes it ──► session.save() ──► store
                          └ state: the data to save, used by the store and the middleware
"""

import math
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from torngas_aio.exception import SessionError
from torngas_aio.session.config import MAX_LIFE
from torngas_aio.session.state import MUTABLE, SessionState
from torngas_aio.session.token import new_id
from torngas_aio.utils.narrowing import is_number

__all__ = ["Session"]


class Session(MutableMapping[str, Any]):
    """One visitor's session: a dict with text keys whose missing keys are None.

    It is saved before the response is sent; after that, as in a WebSocket, call `await session.save()`. Changes
    are merged by key with those of other requests. Values must be supported by the SESSION serializer (JSON: None,
    booleans, numbers, text, lists, dicts with text keys); others are refused on assignment, naming the key.

    Attributes:
        state: The session's data and changes, used by the store and the middleware.
    """

    __slots__ = ("_save", "state")

    def __init__(self, state: SessionState, save: Callable[[SessionState], Awaitable[None]]) -> None:
        self.state = state
        self._save = save

    # As a dict

    def __getitem__(self, key: str) -> Any:
        """Return the value of *key*, None if it is missing."""
        return self.get(key)

    def __setitem__(self, key: str, value: object) -> None:
        """Store *value* under *key*.

        Raises:
            SerializationError: The serializer does not support *value*.
            SessionError: *key* is not text, or the session is new and its cookie can no longer be sent.
        """
        _check_key(key)
        self.state.check(key, value)
        self.state.begin()
        self.state.data[key] = value
        self.state.watched.pop(key, None)
        self.state.changes.put(key, value)

    def __delitem__(self, key: str) -> None:
        """Remove *key*; no effect if it is missing."""
        self.pop(key)

    def __contains__(self, key: object) -> bool:
        return key in self.state.data

    def __iter__(self) -> Iterator[str]:
        return iter(self.state.data)

    def __len__(self) -> int:
        return len(self.state.data)

    def __bool__(self) -> bool:
        return bool(self.state.data)

    def __repr__(self) -> str:
        return f"<Session with {len(self.state.data)} keys>"  # neither id nor values: the repr appears in logs

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, *default* if it is missing."""
        value = self.state.data.get(key, default)
        if isinstance(value, MUTABLE) and key in self.state.data:
            self.state.watch(key, value)
        return value

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove *key* and return its value, *default* if it is missing."""
        if key not in self.state.data:
            if self.state.error is not None:
                self.state.note_change()
            return default
        self.state.watched.pop(key, None)
        self.state.changes.drop(key)
        self.state.note_change()
        return self.state.data.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*; if it is missing, set it to *default* first."""
        if key not in self.state.data:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove every key, including those that other requests put meanwhile; the id stays."""
        if self.state.record is not None or self.state.data or self.state.error is not None:
            self.state.data.clear()
            self.state.watched.clear()
            self.state.changes.clear()
            self.state.note_change()

    def incr(self, key: str, delta: int | float = 1) -> int | float:
        """Add *delta* to the number under *key* (0 if missing) and return the sum as this request sees it.

        Increments of concurrent requests are added up in the store; none is lost.

        Raises:
            SessionError: The present value or *delta* is not an int or float, or *key* is not text.
        """
        _check_key(key)
        for number in (old := self.state.data.get(key, 0), delta):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise SessionError(f"session.incr({key!r}): {type(number).__qualname__} is no number to count with.")
        self.state.begin()
        value: int | float = old + delta
        self.state.data[key] = value
        self.state.changes.count(key, delta, value)
        return value

    # Lifetime and identity

    @property
    def sessionid(self) -> str | None:
        """The session's id; None for a new session until a value is put."""
        return self.state.session_id

    @property
    def is_new(self) -> bool:
        """Whether the session is not in the store yet."""
        return self.state.record is None

    @property
    def is_available(self) -> bool:
        """Whether the store answered; False only if SESSION['when_unavailable'] is 'empty'."""
        return self.state.error is None

    @property
    def user(self) -> str:
        """The key passed to `bind_user`, "" for none."""
        if self.state.changes.user is not None:
            return self.state.changes.user
        return self.state.record.user if self.state.record is not None else ""

    def set_expire(self, seconds: float) -> None:
        """Set the idle timeout to *seconds*, rounded up; 0: the session ends when the browser closes.

        Raises:
            SessionError: *seconds* is not a number from 0 to `MAX_LIFE`.
        """
        if not is_number(seconds) or not 0 <= seconds <= MAX_LIFE:
            raise SessionError(
                f"session.set_expire({seconds!r}): write a number from 0 to {MAX_LIFE}; session.expired() ends it."
            )
        self.state.changes.life = math.ceil(seconds)
        self.state.note_change()

    def expired(self) -> None:
        """End the session: remove its record and its cookie; a value put afterwards starts a new session."""
        self.state.end()

    def cycle_id(self) -> None:
        """Renew the id and keep the data; the old id becomes invalid. Call it at login.

        The absolute lifetime restarts. No effect on a new session, which gets a new id anyway.
        """
        if self.state.record is not None and self.state.old_id is None:
            self.state.old_id, self.state.session_id = self.state.session_id, new_id()
            self.state.note_change()
        elif self.state.error is not None:
            self.state.note_change()

    def bind_user(self, user: object) -> None:
        """Bind the session to *user*, so that `revoke_user` ends it; None unbinds it. Call it at login.

        Args:
            user: The user's stable key, such as a primary key; stored as text.
        """
        if user is not None:
            self.state.begin()
        self.state.changes.user = "" if user is None else str(user)
        self.state.note_change()

    async def save(self) -> None:
        """Write the changes since the last save; one round trip unless another request has changed the session.

        The middleware calls it before the response is sent. Concurrent saves run one after the other.

        Raises:
            SerializationError: A list or dict was modified to hold a value that the serializer does not support.
            ValueTooLarge: The session exceeds SESSION['max_bytes'] bytes.
            CacheUnavailable: The store does not answer, or did not when the session was opened. The changes stay
                unsaved; another `save` tries again.
        """
        await self._save(self.state)

    @property
    def is_changed(self) -> bool:
        """Whether there are unsaved changes."""
        return self.state.is_changed


def _check_key(key: object) -> None:
    if type(key) is not str:
        raise SessionError(f"session[{key!r}]: a key is text, not {type(key).__qualname__}.")
