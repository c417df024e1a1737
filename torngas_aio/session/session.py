"""The visitor's session as a handler sees it: a dict without `await`.

store.open(cookies) ──► Session ── the handler reads and changes it ──► session.save() ──► store
                          └ state: what is saved; the store and the middleware work on it
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

    It is saved when the response is; afterwards, as in a WebSocket, by `await session.save()`. Changes are
    merged by key with those of other requests. A value is what the SESSION serializer holds (JSON: None,
    booleans, numbers, text, lists, dicts with text keys); another is refused when it is put, with its key.

    Attributes:
        state: What the store and the middleware work on.
    """

    __slots__ = ("_save", "state")

    def __init__(self, state: SessionState, save: Callable[[SessionState], Awaitable[None]]) -> None:
        self.state = state
        self._save = save

    # As a dict

    def __getitem__(self, key: str) -> Any:
        """Return the value of *key*, None when there is none."""
        return self.get(key)

    def __setitem__(self, key: str, value: object) -> None:
        """Put *value* under *key*.

        Raises:
            SerializationError: The serializer cannot hold it.
            SessionError: *key* is no text, or there is no session and its cookie can be sent no more.
        """
        _check_key(key)
        self.state.check(key, value)
        self.state.begin()
        self.state.data[key] = value
        self.state.watched.pop(key, None)
        self.state.changes.put(key, value)

    def __delitem__(self, key: str) -> None:
        """Remove *key*; nothing happens when there is none."""
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
        return f"<Session with {len(self.state.data)} keys>"  # neither id nor values: this lands in logs

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, *default* when there is none."""
        value = self.state.data.get(key, default)
        if isinstance(value, MUTABLE) and key in self.state.data:
            self.state.watch(key, value)
        return value

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove *key* and return its value, *default* when there is none."""
        if key not in self.state.data:
            if self.state.error is not None:
                self.state.note_change()
            return default
        self.state.watched.pop(key, None)
        self.state.changes.drop(key)
        self.state.note_change()
        return self.state.data.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, after putting *default* there when there is none."""
        if key not in self.state.data:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove every key, those too that other requests of the session put meanwhile; the id stays."""
        if self.state.record is not None or self.state.data or self.state.error is not None:
            self.state.data.clear()
            self.state.watched.clear()
            self.state.changes.clear()
            self.state.note_change()

    def incr(self, key: str, delta: int | float = 1) -> int | float:
        """Add *delta* to the number under *key* (0 when there is none) and return the sum as seen here.

        Concurrent requests add up in the store: none is lost.

        Raises:
            SessionError: What stands there, or *delta*, is no int or float, or *key* no text.
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

    # Its life

    @property
    def sessionid(self) -> str | None:
        """The id, None as long as nothing was put into a new session."""
        return self.state.session_id

    @property
    def is_new(self) -> bool:
        """Whether the store does not know the session yet."""
        return self.state.record is None

    @property
    def is_available(self) -> bool:
        """Whether the store answered; False only where SESSION['when_unavailable'] is 'empty'."""
        return self.state.error is None

    @property
    def user(self) -> str:
        """The key given to `bind_user`, "" for none."""
        if self.state.changes.user is not None:
            return self.state.changes.user
        return self.state.record.user if self.state.record is not None else ""

    def set_expire(self, seconds: float) -> None:
        """Let the session live *seconds*, rounded up, after each request from now on; 0: until the browser closes.

        Raises:
            SessionError: *seconds* is no number from 0 up to `MAX_LIFE`.
        """
        if not is_number(seconds) or not 0 <= seconds <= MAX_LIFE:
            raise SessionError(
                f"session.set_expire({seconds!r}): write a number from 0 to {MAX_LIFE}; session.expired() ends it."
            )
        self.state.changes.life = math.ceil(seconds)
        self.state.note_change()

    def expired(self) -> None:
        """End the session: its record is removed, its cookie taken back; what is put next starts another."""
        self.state.end()

    def cycle_id(self) -> None:
        """Renew the id and keep the data; the old id is worth nothing afterwards. Call it at login.

        Its absolute life begins again. Does nothing where there is no session yet: the id it gets is new.
        """
        if self.state.record is not None and self.state.old_id is None:
            self.state.old_id, self.state.session_id = self.state.session_id, new_id()
            self.state.note_change()
        elif self.state.error is not None:
            self.state.note_change()

    def bind_user(self, user: object) -> None:
        """Note that the session is *user*'s, so that `revoke_user` ends it; None undoes it. Call it at login.

        Args:
            user: A user's stable key, such as its number; kept as text.
        """
        if user is not None:
            self.state.begin()
        self.state.changes.user = "" if user is None else str(user)
        self.state.note_change()

    async def save(self) -> None:
        """Write what was changed since the last save; one round trip where no other request has changed the session.

        Done for you before the response leaves. Saves at the same time run one after the other.

        Raises:
            SerializationError: A list or dict was changed into what the serializer cannot hold.
            ValueTooLarge: The session has more than SESSION['max_bytes'] bytes.
            CacheUnavailable: The store does not answer, or did not when the session was opened. The changes are
                still unsaved; another `save` tries again.
        """
        await self._save(self.state)

    @property
    def is_changed(self) -> bool:
        """Whether something is to be saved."""
        return self.state.is_changed


def _check_key(key: object) -> None:
    if type(key) is not str:
        raise SessionError(f"session[{key!r}]: a key is text, not {type(key).__qualname__}.")
