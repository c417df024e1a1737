"""The interface of a backend: a store of bytes under finished keys.

    caller ── BaseCache: keys, versions, timeouts, serializer, single flight
                 │  finished key, bytes, None or seconds above 0
              Store: raw_get raw_set raw_add raw_touch raw_delete raw_incr raw_clear     required
                     raw_get_many raw_set_many raw_delete_many raw_has                   optional, for speed
                     raw_read raw_swap raw_drop (compare-and-set), raw_ttl, raw_keys     optional abilities

Visitor sessions and locks use these operations directly, under reserved keys, so their data never passes through a
serializer. `Forgeries` removes values without a valid signature; `option` and `counted` are helpers for backends.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

from torngas_aio.exception import CacheUnavailable, ConfigError, InvalidSignature
from torngas_aio.utils.kinds import Check
from torngas_aio.utils.numbers import parse_integer

__all__ = ["Forgeries", "Store", "Swap", "Versioned", "counted", "option"]

logger = logging.getLogger("torngas_aio.cache")

T = TypeVar("T")
_COUNTED = 2**63
_MAX_DIGITS = 19


class Versioned(NamedTuple):
    """Stored bytes and the token that identifies this version of them."""

    data: bytes
    token: object


class Swap(NamedTuple):
    """The outcome of a compare-and-set.

    Attributes:
        is_done: Whether the new bytes were stored.
        current: If not done: the version now in the store, None if the key is gone.
            If done: the new bytes with their token if the store returns it without a further round trip, else None.
    """

    is_done: bool
    current: Versioned | None


class Store(ABC):
    """Bytes under finished keys, each with its own expiry; every single operation is atomic.

    Keys are final: prefixed, versioned and checked by the caller. A *timeout* is None (no expiry) or seconds
    above 0; fractions are rounded up to the store's resolution. An expired key counts as absent in every
    operation. Every operation may raise `CacheUnavailable`, within the store's deadline. A cancelled operation
    either took effect or did not, and never affects another operation.
    """

    can_swap: ClassVar[bool] = False
    """Whether compare-and-set (`raw_read`, `raw_swap`, `raw_drop`) works; across processes if the store is shared."""

    is_shared: ClassVar[bool] = True
    """Whether other processes see what this one writes."""

    @abstractmethod
    async def raw_get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, None if it is absent."""

    @abstractmethod
    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        """Store *data* under *key*, replacing any earlier value.

        Raises:
            ValueTooLarge: *data* exceeds the store's size limit.
        """

    @abstractmethod
    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        """Store *data* under *key* if it is absent; return whether it was stored. One of many callers succeeds."""

    @abstractmethod
    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        """Set the timeout of *key* from now; return whether the key was present."""

    @abstractmethod
    async def raw_delete(self, key: str) -> bool:
        """Remove *key*; return whether it was present."""

    @abstractmethod
    async def raw_incr(self, key: str, delta: int) -> int | None:
        """Add *delta* (positive or negative) to the decimal integer under *key*; its expiry stays.

        Returns:
            The new number, None if the key is absent.

        Raises:
            ValueError: The stored value is not a decimal integer.
        """

    @abstractmethod
    async def raw_clear(self, head: str) -> None:
        """Remove every key that begins with *head* (never empty) and no other keys."""

    async def raw_get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of the present *keys*; absent keys are left out."""
        found = [(key, await self.raw_get(key)) for key in keys]
        return {key: data for key, data in found if data is not None}

    async def raw_set_many(self, items: Mapping[str, bytes], timeout: float | None) -> list[str]:
        """Store every item as `raw_set` does; return the keys that could not be stored."""
        for key, data in items.items():
            await self.raw_set(key, data, timeout)
        return []

    async def raw_delete_many(self, keys: Iterable[str]) -> None:
        """Remove *keys*; absent keys are ignored."""
        for key in keys:
            await self.raw_delete(key)

    async def raw_has(self, key: str) -> bool:
        """Return whether *key* is present."""
        return await self.raw_get(key) is not None

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Versioned | None:
        """Return the bytes under *key* with their token, None if it is absent; one round trip.

        Args:
            touch: A new timeout, set in the same round trip: 0 leaves the expiry unchanged, None removes it.
        """
        self._refuse("compare-and-set")

    async def raw_swap(self, key: str, data: bytes, token: object, timeout: float | None) -> Swap:
        """Store *data* under *key* with a new timeout if the stored version is still that of *token*.

        One round trip on success; an absent key stays absent. A value that was replaced by equal bytes may count
        as unchanged.
        """
        self._refuse("compare-and-set")

    async def raw_drop(self, key: str, token: object) -> bool:
        """Remove *key* if the stored version is still that of *token*; return whether it was removed."""
        self._refuse("compare-and-delete")

    async def raw_ttl(self, key: str) -> float | None:
        """Return the seconds until *key* expires: None if it never does, 0.0 if it is absent."""
        self._refuse("ttl()")

    async def raw_keys(self, head: str, pattern: str) -> list[str]:
        """Return the keys that begin with *head*, taken literally, and match the glob *pattern* after it.

        In the pattern `*` matches any text, `?` one character, `[abc]` and `[a-z]` one of a set.
        """
        self._refuse("keys()")

    async def raw_ping(self) -> None:
        """Return when the store has answered. Raises `CacheUnavailable` if it does not answer in time."""
        await self.raw_get("%ping")

    async def raw_close(self) -> None:  # noqa: B027 - a store without connections has nothing to do
        """Close connections, tasks and files; harmless if nothing is open."""

    def _refuse(self, ability: str) -> NoReturn:
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        raise NotImplementedError(f"{kind} has no {ability}: its store does not know it. Use a backend that does.")


class Forgeries:
    """Values of *store* without a valid signature: removed, and reported once in the log."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._has_logged = False

    async def remove(self, stored_key: str, data: bytes, error: InvalidSignature) -> None:
        """Remove *data* from *stored_key*, so that `add`, `has_key` and other operations find the key absent."""
        if not self._has_logged:
            self._has_logged = True
            logger.error(
                "%s: %s It counts as absent and is removed, as all such values will be, without a further line. Its "
                "secret is another process's or a former one, it was stored before values were signed, or another "
                "program writes to the store.",
                self._owner,
                error,
            )
        store = self._store
        with suppress(CacheUnavailable):  # reading it stays a miss
            if not store.can_swap:
                await store.raw_delete(stored_key)
                return
            found = await store.raw_read(stored_key)
            if found is not None and found.data == data:
                await store.raw_drop(stored_key, found.token)


def counted(data: bytes, delta: int) -> int:
    """Return the decimal integer *data* plus *delta*.

    Raises:
        ValueError: *data* is not an integer, or the sum exceeds 64 bits.
    """
    found = parse_integer(data, _MAX_DIGITS)
    if found is None:
        raise ValueError(f"The value is not an integer, so {delta} cannot be added to it.")
    number = found + delta
    if not -_COUNTED <= number < _COUNTED:
        raise ValueError(f"{number} is beyond 64 bits, the most that a counter holds as an integer.")
    return number


def option(options: Mapping[str, Any], name: str, default: T, check: Check, owner: str) -> T:
    """Return OPTIONS[*name*] of the cache *owner* if *check* accepts it; *default* if it is not set.

    Raises:
        ConfigError: *check* does not accept it.
    """
    found: T = options.get(name, default)
    ConfigError.gather(check(f"{owner}['OPTIONS'][{name!r}]", found), code="TGA103")
    return found
