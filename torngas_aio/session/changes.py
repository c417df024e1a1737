"""The stored record of a session, and the changes that one request made to it.

Record    [1, began, life, address, user, data]   written by the configured serializer
          [101, ...] the same, kept for a minute under the old id after a login renewed it: not a valid session,
          but a concurrent login of the same session still copies its data
Changes   cleared? put, dropped and counted keys; applied to the record's current content on save
"""

import logging
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard, TypeVar

from torngas_aio.cache.serializers import Serializer
from torngas_aio.exception import SerializationError, ValueTooLarge
from torngas_aio.session.config import BROWSER_SECONDS
from torngas_aio.utils.narrowing import is_list

__all__ = ["Changes", "Record"]

logger = logging.getLogger("torngas_aio.session")

T = TypeVar("T")

_LIVE = 1
_RENEWED = 101
_FIELDS = 6


@dataclass(slots=True)
class Record:
    """One stored session.

    Attributes:
        began: When the session, or its current id, was created, in seconds since the epoch.
        life: Idle timeout in seconds; 0 for a browser session.
        address: The visitor's address when the session began.
        user: The key by which all sessions of one user can be revoked, "" for none.
        data: The application's data.
    """

    began: int
    life: int
    address: str = ""
    user: str = ""
    data: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def idle_seconds(self) -> int:
        """Seconds for which the store keeps the session without a request."""
        return self.life or BROWSER_SECONDS

    def dump(self, serializer: Serializer, most_bytes: int = 0, former_bytes: int = 0) -> bytes:
        """Return the record as bytes; the values in `data` were checked when they were put or read.

        Raises:
            ValueTooLarge: It exceeds *most_bytes* (0: no limit) and also *former_bytes*; the latter allows a session
                that is already too large to shrink.
            SerializationError: The sum of several requests' counts cannot be serialized.
        """
        try:
            data = serializer.write_checked([_LIVE, self.began, self.life, self.address, self.user, self.data])
        except Exception as exc:
            raise SerializationError(f"The session cannot be kept: {exc}") from exc
        if most_bytes and len(data) > max(most_bytes, former_bytes):
            raise self._too_large(serializer, len(data), most_bytes)
        return data

    def dump_renewed(self, serializer: Serializer, now: int) -> bytes:
        """Return the record to keep under an id that was renewed at *now*, in seconds since the epoch."""
        return serializer.write_checked([_RENEWED, now, self.life, self.address, self.user, self.data])

    @classmethod
    def load(cls, data: bytes, serializer: Serializer) -> "Record | None":
        """Return the record in *data*; None if it was renewed, or was not written by `dump`."""
        return cls._load(data, serializer, _LIVE)

    @classmethod
    def load_renewed(cls, data: bytes, serializer: Serializer) -> "Record | None":
        """Return the record that `dump_renewed` wrote, with `began` as the time of renewal; None for other *data*."""
        return cls._load(data, serializer, _RENEWED)

    @classmethod
    def _load(cls, data: bytes, serializer: Serializer, wanted: int) -> "Record | None":
        try:
            fields = serializer.loads(data)
        except SerializationError as exc:
            logger.error("A session in the store cannot be read and counts as absent: %s", exc)
            return None
        if _is_record(fields):
            kind, began, life, address, user, values = fields
            if kind in {_LIVE, _RENEWED}:
                return cls(began, life, address, user, values) if kind == wanted else None
        logger.error("A session in the store has a foreign shape and counts as absent.")
        return None

    def _too_large(self, serializer: Serializer, size: int, most_bytes: int) -> ValueTooLarge:
        sizes = {key: len(serializer.write_checked(value)) for key, value in self.data.items()}
        largest = max(sizes, key=sizes.__getitem__, default="")
        return ValueTooLarge(
            f"The session has {size} bytes; SESSION['max_bytes'] = {most_bytes} is the most. Its largest value is "
            f"session[{largest!r}] with {sizes.get(largest, 0)} bytes: keep it in a cache or a database and its key "
            "in the session, or raise the setting."
        )


_TYPES = (int, int, int, str, str, dict)


def _is_record(fields: object) -> TypeGuard[tuple[int, int, int, str, str, dict[str, Any]]]:
    return is_list(fields) and len(fields) == _FIELDS and tuple(map(type, fields)) == _TYPES


@dataclass(slots=True)
class Changes:
    """One request's changes to its session, in a form that can be applied to a newer record."""

    is_cleared: bool = False
    puts: dict[str, Any] = field(default_factory=dict[str, Any])
    drops: set[str] = field(default_factory=set[str])
    counts: dict[str, int | float] = field(default_factory=dict[str, int | float])
    life: int | None = None
    user: str | None = None

    def __bool__(self) -> bool:
        return bool(
            self.puts or self.counts or self.drops or self.is_cleared or self.life is not None or self.user is not None
        )

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the changes set any value, so that a session that does not exist yet must be created."""
        return bool(self.puts or self.counts or self.user)

    def after(self, earlier: "Changes") -> "Changes":
        """Return *earlier* followed by these changes, merged."""
        if self.is_cleared:
            return replace(self, life=_newer(self.life, earlier.life), user=_newer(self.user, earlier.user))
        merged = replace(earlier, puts=dict(earlier.puts), drops=set(earlier.drops), counts=dict(earlier.counts))
        for key in self.drops:
            merged.drop(key)
        for key, value in self.puts.items():
            merged.put(key, value)
        for key, delta in self.counts.items():
            merged.count(key, delta, merged.puts.get(key, 0) + delta)
        merged.life, merged.user = _newer(self.life, earlier.life), _newer(self.user, earlier.user)
        return merged

    def put(self, key: str, value: object) -> None:
        """Set *key*, overriding its earlier changes."""
        self.puts[key] = value
        self.drops.discard(key)
        self.counts.pop(key, None)

    def drop(self, key: str) -> None:
        """Remove *key*."""
        self.puts.pop(key, None)
        self.counts.pop(key, None)
        self.drops.add(key)

    def count(self, key: str, delta: int | float, value: int | float) -> None:
        """Add *delta* to *key*; *value* is the sum as the request sees it."""
        if key in self.puts or key in self.drops:
            self.put(key, value)
        else:
            self.counts[key] = self.counts.get(key, 0) + delta

    def clear(self) -> None:
        """Remove every key, including those that other requests put meanwhile."""
        self.is_cleared = True
        self.puts.clear()
        self.drops.clear()
        self.counts.clear()

    def apply(self, record: Record) -> None:
        """Apply the changes to *record*."""
        data = record.data
        if self.is_cleared:
            data.clear()
        for key in self.drops:
            data.pop(key, None)
        data.update(self.puts)
        for key, delta in self.counts.items():
            old = data.get(key, 0)
            if isinstance(old, int | float):
                data[key] = old + delta
            else:
                logger.warning("session.incr(%r) met a value that is no number, put by another request.", key)
        if self.life is not None:
            record.life = self.life
        if self.user is not None:
            record.user = self.user

    def sealed(self, serializer: Serializer) -> "Changes":
        """Return a copy without mutable values shared with the application.

        Raises:
            SerializationError: A value cannot be serialized; the message names its key.
        """
        serializer.check(self.puts, "session")
        try:
            puts: dict[str, object] = serializer.read(serializer.write_checked(self.puts)) if self.puts else {}
            serializer.write_checked(self.counts)
        except SerializationError:
            raise
        except Exception as exc:  # a boundary: a value's own code may have run
            raise SerializationError(f"{self._culprit(serializer)} cannot be kept: {exc}") from exc
        return Changes(self.is_cleared, puts, set(self.drops), dict(self.counts), self.life, self.user)

    def _culprit(self, serializer: Serializer) -> str:
        for key, value in {**self.puts, **self.counts}.items():
            try:
                serializer.dumps(value)
            except SerializationError:
                return f"session[{key!r}]"
        return "The session"


def _newer(value: T | None, earlier: T | None) -> T | None:
    return earlier if value is None else value
