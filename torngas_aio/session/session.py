"""The visitor's session as a handler sees it: a dict without `await`.

    store.open(cookies) ──► Session ── handler reads and changes it ──► session.save() ──► store
                              │ changes: what was done, to be applied to whatever the store holds by then
                              └ watched: lists and dicts that were handed out and may have been changed

Begin with `Session`.
"""

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from torngas_aio.cache.store import Versioned
from torngas_aio.exception import CacheUnavailable, SessionError
from torngas_aio.session.changes import Changes, Record
from torngas_aio.session.token import Token, new_id

if TYPE_CHECKING:
    from torngas_aio.session.store import SessionStore

__all__ = ["Session"]

_MUTABLE = (list, dict, set, bytearray)


class Session(MutableMapping[str, Any]):
    """One visitor's session: a dict with text keys whose missing keys are None.

    It is saved when the response is; afterwards, as in a WebSocket, by `await session.save()`. Changes are
    merged by key with those of other requests. A value is what the SESSION serializer holds (JSON: None,
    booleans, numbers, text, lists, dicts with text keys); another is refused when it is put, with its key.
    """

    __slots__ = (
        "_address", "_changes", "_data", "_ended", "_error", "_is_settled", "_is_unkept", "_old_id", "_on_change",
        "_record", "_saving", "_seen", "_session_id", "_store", "_token", "_was_ended", "_watched",
    )  # fmt: skip

    def __init__(
        self, store: "SessionStore", address: str = "", on_change: Callable[["Session"], None] | None = None
    ) -> None:
        self._store = store
        self._address = address
        self._on_change = on_change
        self._token: Token | None = None
        self._ended: list[tuple[str, str]] = []
        self._error: CacheUnavailable | None = None  # the store was down when the session was opened
        self._is_unkept = False  # something was changed that can never be saved, because it was down
        self._is_settled = False
        self._saving: asyncio.Lock | None = None
        self._was_ended = False
        self._forget()

    def _forget(self) -> None:
        self._session_id: str | None = None
        self._record: Record | None = None
        self._seen: Versioned | None = None
        self._old_id: str | None = None
        self._data: dict[str, Any] = {}
        self._changes = Changes()
        self._watched: dict[str, bytes] = {}

    # As a dict

    def __getitem__(self, key: str) -> Any:
        """Return the value of *key*, None when there is none."""
        return self.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Put *value* under *key*.

        Raises:
            SerializationError: The serializer cannot hold it.
            SessionError: *key* is no text, or there is no session and its cookie can be sent no more.
        """
        if type(key) is not str:
            raise SessionError(f"session[{key!r}]: a key is text, not {type(key).__qualname__}.")
        self._store.config.serializer.check(value, f"session[{key!r}]")
        self._begin()
        self._data[key] = value
        self._watched.pop(key, None)
        self._changes.put(key, value)

    def __delitem__(self, key: str) -> None:
        """Remove *key*; nothing happens when there is none."""
        self.pop(key)

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __repr__(self) -> str:
        return f"<Session with {len(self._data)} keys>"  # neither id nor values: this lands in logs

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, *default* when there is none."""
        value = self._data.get(key, default)
        if isinstance(value, _MUTABLE) and key in self._data:
            self._watch(key, value)
        return value

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove *key* and return its value, *default* when there is none."""
        if key not in self._data:
            if self._error is not None:
                self._changed()
            return default
        self._watched.pop(key, None)
        self._changes.drop(key)
        self._changed()
        return self._data.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, after putting *default* there when there is none."""
        if key not in self._data:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove every key, those too that other requests of the session put meanwhile; the id stays."""
        if self._record is not None or self._data or self._error is not None:
            self._data.clear()
            self._watched.clear()
            self._changes.clear()
            self._changed()

    def incr(self, key: str, delta: int | float = 1) -> int | float:
        """Add *delta* to the number under *key* (0 when there is none) and return the sum as seen here.

        Concurrent requests add up in the store: none is lost.

        Raises:
            SessionError: What stands there is no number.
        """
        old = self._data.get(key, 0)
        if isinstance(old, bool) or not isinstance(old, int | float):
            raise SessionError(f"session.incr({key!r}): {type(old).__qualname__} is no number to count with.")
        self._begin()
        self._data[key] = value = old + delta
        self._changes.count(key, delta, value)
        return value

    # Its life

    @property
    def sessionid(self) -> str | None:
        """The id, None as long as nothing was put into a new session."""
        return self._session_id

    @property
    def is_new(self) -> bool:
        """Whether the store does not know the session yet."""
        return self._record is None

    @property
    def is_available(self) -> bool:
        """Whether the store answered; False only where SESSION['when_unavailable'] is 'empty'."""
        return self._error is None

    @property
    def user(self) -> str:
        """The key given to `bind_user`, "" for none."""
        if self._changes.user is not None:
            return self._changes.user
        return self._record.user if self._record is not None else ""

    def set_expire(self, seconds: float) -> None:
        """Let the session live *seconds* after each request from now on; 0: until the browser closes."""
        if seconds < 0:
            raise SessionError(f"session.set_expire({seconds!r}): write 0 or more; session.expired() ends it.")
        self._changes.life = int(seconds)
        self._changed()

    def expired(self) -> None:
        """End the session: its record is removed, its cookie taken back; what is put next starts another."""
        self._was_ended = True
        ended_id = self._old_id or self._session_id
        if self._record is not None and ended_id is not None:
            self._ended.append((ended_id, self._record.user))
        self._forget()
        if self._token is not None:
            self._changed()

    def cycle_id(self) -> None:
        """Renew the id and keep the data; the old id is worth nothing afterwards. Call it at login.

        Its absolute life begins anew. Does nothing where there is no session yet: the id it gets is new.
        """
        if self._record is not None and self._old_id is None:
            self._old_id, self._session_id = self._session_id, new_id()
            self._changed()
        elif self._error is not None:
            self._changed()

    def bind_user(self, user: object) -> None:
        """Note that the session is *user*'s, so that `revoke_user` ends it; None undoes it. Call it at login.

        Args:
            user: A user's stable key, such as its number; kept as text.
        """
        if user is not None:
            self._begin()
        self._changes.user = "" if user is None else str(user)
        self._changed()

    async def save(self) -> None:
        """Write what was changed since the last save; one round trip where nobody else has changed the session.

        Done for you before the response leaves. Saves at the same time run one after the other.

        Raises:
            SerializationError: A list or dict was changed into what the serializer cannot hold.
            ValueTooLarge: The session has more than SESSION['max_bytes'] bytes.
            CacheUnavailable: The store does not answer, or did not when the session was opened. The changes are
                still unsaved; another `save` tries again.
        """
        await self._store.save(self)

    @property
    def is_changed(self) -> bool:
        """Whether something is to be saved."""
        self._find_changed()
        return bool(self._changes or self._ended or self._is_unkept) or self._old_id is not None

    # For the store

    def _adopt(self, token: Token, seen: Versioned, record: Record) -> None:
        self._session_id = token.session_id
        self._seen = seen
        self._record = record
        self._data = dict(record.data)  # the record stays as it was read, for `WriteQueue` to apply changes to

    def _take_changes(self) -> Changes:
        """Return what is to be written, apart from the application's objects, and start a new list.

        Raises:
            SerializationError: Something cannot be written; then nothing is taken.
        """
        self._find_changed()
        taken = self._changes.sealed(self._store.config.serializer)
        if not self._is_settled:  # what was put may be changed and saved once more
            for key, value in self._changes.puts.items():
                if isinstance(value, _MUTABLE):
                    self._watched[key] = self._snapshot(key, value)
        self._changes = Changes()
        return taken

    def _give_back(self, taken: Changes) -> None:
        """Count *taken*, which could not be written, as unsaved again."""
        self._changes = self._changes.after(taken)

    def _keep_endings_only(self) -> None:
        """Forget every change but the end of the session: what the request did has failed."""
        self._changes = Changes()
        self._is_unkept = self._is_unkept and self._was_ended
        self._watched.clear()
        if self._old_id is not None:
            self._session_id, self._old_id = self._old_id, None

    def _find_changed(self) -> None:
        """Count lists and dicts as put whose content differs from when they were handed out."""
        for key, before in list(self._watched.items()):
            value = self._data[key]
            if self._snapshot(key, value) != before:
                self._changes.put(key, value)
                del self._watched[key]

    def _watch(self, key: str, value: Any) -> None:
        if key not in self._watched and key not in self._changes.puts:
            self._watched[key] = self._snapshot(key, value)
            self._changed()

    def _snapshot(self, key: str, value: Any) -> bytes:
        serializer = self._store.config.serializer
        serializer.check(value, f"session[{key!r}]")
        return serializer.dumps(value)

    def _begin(self) -> None:
        self._changed()
        if self._session_id is None and self._error is None:
            if self._is_settled:
                raise SessionError(
                    "A new session was begun after the response's header had left, so its cookie cannot be sent. "
                    "Put something into the session before the first flush(), finish() or the WebSocket handshake."
                )
            self._session_id = new_id()

    def _changed(self) -> None:
        if self._error is not None:
            self._is_unkept = True
        if self._on_change is not None:
            notify, self._on_change = self._on_change, None
            notify(self)
