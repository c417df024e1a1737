"""What a backend implements: a store of bytes under finished keys.

    caller ── BaseCache: keys, versions, timeouts, serializer, single flight
                 │  finished key, bytes, None or seconds above 0
              Store: raw_get raw_set raw_add raw_touch raw_delete raw_incr raw_clear     each backend
                     raw_get_many raw_set_many raw_delete_many raw_has                   faster where it can
                     raw_read raw_swap raw_drop (compare-and-set), raw_ttl, raw_keys     where it can

The visitor's sessions and the locks use the same operations under keys of their own, so that what they
keep never passes through a serializer. `Forgeries` removes what bears no valid signature; `option` and `counted` read
what several backends are given.
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
    """Bytes as they stood at one moment, and the token that tells whether they still do."""

    data: bytes
    token: object


class Swap(NamedTuple):
    """How a compare-and-set ended.

    Attributes:
        is_done: Whether the new bytes stand in the store.
        current: When it is not done: what stands there instead, None when the key is gone.
            When it is done: the new bytes with their token where the store tells it for nothing, else None.
    """

    is_done: bool
    current: Versioned | None


class Store(ABC):
    """Bytes under finished keys, each with its own life; every operation by itself is atomic.

    Keys are final: prefixed, versioned and checked by the caller. A *timeout* is None (kept for ever) or
    seconds above 0, fractions included as far as the store knows them; rounding is upwards. An expired key
    counts as absent everywhere. Every operation may raise `CacheUnavailable`, within the store's deadline.
    A cancelled operation has happened or has not; it never disturbs another one.
    """

    can_swap: ClassVar[bool] = False
    """Whether `raw_read`, `raw_swap` and `raw_drop` work: compare-and-set, across processes if the store is."""

    is_shared: ClassVar[bool] = True
    """Whether other processes see what this one writes."""

    @abstractmethod
    async def raw_get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, None when there are none."""

    @abstractmethod
    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        """Put *data* under *key*, whatever was there.

        Raises:
            ValueTooLarge: The store does not take so many bytes.
        """

    @abstractmethod
    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        """Put *data* under *key* if nothing is there; tell whether it was done. One of many callers wins."""

    @abstractmethod
    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        """Give *key* a new life from now; tell whether it was there."""

    @abstractmethod
    async def raw_delete(self, key: str) -> bool:
        """Remove *key*; tell whether it was there."""

    @abstractmethod
    async def raw_incr(self, key: str, delta: int) -> int | None:
        """Add *delta* (of either sign) to the decimal integer under *key*, keeping its life.

        Returns:
            The new number, None when the key is absent.

        Raises:
            ValueError: What stands there is not a decimal integer.
        """

    @abstractmethod
    async def raw_clear(self, head: str) -> None:
        """Remove every key that begins with *head* (never empty), and no other."""

    async def raw_get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of those among *keys* that are there."""
        found = [(key, await self.raw_get(key)) for key in keys]
        return {key: data for key, data in found if data is not None}

    async def raw_set_many(self, items: Mapping[str, bytes], timeout: float | None) -> list[str]:
        """Put every item, as `raw_set` would; return the keys that could not be put."""
        for key, data in items.items():
            await self.raw_set(key, data, timeout)
        return []

    async def raw_delete_many(self, keys: Iterable[str]) -> None:
        """Remove *keys*; absent ones are passed over."""
        for key in keys:
            await self.raw_delete(key)

    async def raw_has(self, key: str) -> bool:
        """Tell whether *key* is there."""
        return await self.raw_get(key) is not None

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Versioned | None:
        """Return what stands under *key* with its token, None when there is nothing; one round trip.

        Args:
            touch: The new life, given in the same round trip: 0 leaves it as it is, None is for ever.
        """
        self._refuse("compare-and-set")

    async def raw_swap(self, key: str, data: bytes, token: object, timeout: float | None) -> Swap:
        """Put *data* under *key* if what stood there at *token* still does, with a new life.

        One round trip when it is done; a key that is gone stays gone. Bytes that were replaced by equal
        ones meanwhile may count as unchanged.
        """
        self._refuse("compare-and-set")

    async def raw_drop(self, key: str, token: object) -> bool:
        """Remove *key* if what stood there at *token* still does; tell whether it was done."""
        self._refuse("compare-and-delete")

    async def raw_ttl(self, key: str) -> float | None:
        """Return the seconds that *key* still has: None for ever, 0.0 when it is absent."""
        self._refuse("ttl()")

    async def raw_keys(self, head: str, pattern: str) -> list[str]:
        """Return the keys that are *head*, taken literally, and then match the glob *pattern*.

        In the pattern `*` is any text, `?` one character, `[abc]` and `[a-z]` one of those.
        """
        self._refuse("keys()")

    async def raw_ping(self) -> None:
        """Return when the store has answered. Raises `CacheUnavailable` when it does not in time."""
        await self.raw_get("%ping")

    async def raw_close(self) -> None:  # noqa: B027 - a store without connections has nothing to do
        """Close connections, tasks and files; harmless when nothing is open."""

    def _refuse(self, ability: str) -> NoReturn:
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        raise NotImplementedError(f"{kind} has no {ability}: its store does not know it. Use a backend that does.")


class Forgeries:
    """The values of *store* that were met without a valid signature."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._was_told = False

    async def remove(self, stored_key: str, data: bytes, error: InvalidSignature) -> None:
        """Remove *data* from *stored_key*, so that `add`, `has_key` and the rest see the key as absent, too."""
        if not self._was_told:
            self._was_told = True
            logger.error(
                "%s: %s It counts as absent and is removed, as all such values will be, without a further line. Its "
                "secret is another process's or a former one, it was stored before values were signed, or another "
                "program writes to the store.",
                self._owner,
                error,
            )
        store = self._store
        with suppress(CacheUnavailable):  # it stays a miss
            if not store.can_swap:
                await store.raw_delete(stored_key)
                return
            found = await store.raw_read(stored_key)
            if found is not None and found.data == data:
                await store.raw_drop(stored_key, found.token)


def counted(data: bytes, delta: int) -> int:
    """Return the decimal integer *data* plus *delta*.

    Raises:
        ValueError: It is no integer, or the sum is beyond 64 bits.
    """
    found = parse_integer(data, _MAX_DIGITS)
    if found is None:
        raise ValueError(f"The value is not an integer, so {delta} cannot be added to it.")
    number = found + delta
    if not -_COUNTED <= number < _COUNTED:
        raise ValueError(f"{number} is beyond 64 bits, the most that a counter holds as an integer.")
    return number


def option(options: Mapping[str, Any], name: str, default: T, check: Check, owner: str) -> T:
    """Return OPTIONS[*name*] of the cache *owner*, which *check* has to accept; *default* where it is left out.

    Raises:
        ConfigError: *check* does not accept it.
    """
    found: T = options.get(name, default)
    ConfigError.gather(check(f"{owner}['OPTIONS'][{name!r}]", found), code="TGA103")
    return found
