"""The cache contract: what every backend offers to callers, whatever stands behind it.

    await cache.get("user:7")                    set add touch delete has_key incr decr clear
    await cache.get_or_set("top", load, 60)      computed once for any number of callers
    await cache.get_many(["a", "b"])             set_many delete_many; one round trip where the store can
    await cache.gets("a"), cache.cas(...)        compare-and-set where the store can; lock, ttl, keys

A backend of one's own is a subclass with the `raw_*` operations of `torngas_aio.cache.store.Store`;
keys, versions, timeouts, serializing and single flight come from here. A `key` is the caller's, a `stored_key` the one
with prefix and version, to which the value's signature is bound.
"""

import asyncio
import inspect
import math
import operator
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from torngas_aio._concurrency import SingleFlight
from torngas_aio._former_names import former_names
from torngas_aio.cache.attempts import Attempts, Loaders, Refreshes
from torngas_aio.cache.keys import Key, KeyMaker, escaped_prefix
from torngas_aio.cache.lock import CacheLock
from torngas_aio.cache.serializers import serializer_of
from torngas_aio.cache.store import Forgeries, Store
from torngas_aio.checks.shapes import CACHE_PARAMETERS
from torngas_aio.exception import ArgumentError, CacheUnavailable, ConfigError, InvalidSignature, UnknownAlias
from torngas_aio.utils import kinds

__all__ = ["DEFAULT_TIMEOUT", "MISSING", "BaseCache", "InvalidCacheBackendError", "Tokened"]

InvalidCacheBackendError = UnknownAlias

T = TypeVar("T")


class _Default(float):
    """The type of DEFAULT_TIMEOUT: a number to type checkers, told apart by identity."""

    def __repr__(self) -> str:
        return "DEFAULT_TIMEOUT"


DEFAULT_TIMEOUT: Final[float] = _Default("nan")
"""As a timeout: the cache's own TIMEOUT setting."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""A `default=` that no cached value can be."""

_DEFAULT_SECONDS = 300.0
_REMOVAL_SECONDS = 0.5


class Tokened(NamedTuple):
    """A value and the token by which `cas` tells whether it still stands."""

    value: Any
    token: object


class BaseCache(Store):
    """What callers see of a cache; abstract over the `raw_*` operations.

    Keys are `str` or `bytes`, at most 250 bytes once prefix and version are in front. Values are what the
    serializer holds. A *timeout* is in seconds: left out, the TIMEOUT setting; None, kept for ever; 0 or
    less, gone at once; fractions count. A *version* left out is the VERSION setting. Every operation raises
    `InvalidKey` for a key it refuses and `CacheUnavailable` when the store does not answer in time.

    Args:
        location: LOCATION of the settings: addresses, a folder, a name.
        params: The rest of the alias's settings: TIMEOUT (300 s), OPTIONS, KEY_PREFIX, VERSION,
            KEY_FUNCTION, ALIAS, the name under which it was configured, and SECRET_KEY, the project's secret
            or secrets (RUN_SECRET: one that does not outlive the process), by which a shared store's values are
            signed unless OPTIONS says otherwise.

    Attributes:
        loaders: Bounds the loaders of `get_or_set` and `cached` while the store is down.
        alias: The name in CACHES, "" for a cache made by hand; messages name it.
        clock: Tells the time in seconds; replaced in tests of expiry.
    """

    refuses_spaces = False

    deadline = 2.0
    """Seconds within which an operation is answered or fails; each backend sets its own."""

    def __init__(self, location: Any = "", params: Mapping[str, Any] | None = None) -> None:
        params = params or {}
        self.location = location
        self.alias = str(params.get("ALIAS", ""))
        ConfigError.gather(CACHE_PARAMETERS(self.label, params), code="TGA103")
        self.options: Mapping[str, Any] = params.get("OPTIONS") or {}
        self.default_timeout = _life(params.get("TIMEOUT", _DEFAULT_SECONDS))
        version = params.get("VERSION")
        self.keys_of = KeyMaker(
            params.get("KEY_PREFIX") or "",
            1 if version is None else version,
            params.get("KEY_FUNCTION"),
            refuses_spaces=self.refuses_spaces,
            owner=self.label,
        )
        self.serializer = serializer_of(params, is_shared=self.is_shared, owner=self.label)
        self.clock: Callable[[], float] = time.time
        self._forgeries = Forgeries(self, self.label)
        self._set_deadline(self.deadline)
        self._flights = SingleFlight()
        self._refreshes = Refreshes(self.label)

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = seconds
        self.loaders = Loaders(self.label, seconds)

    @property
    def label(self) -> str:
        """How messages name this cache: its alias, else its class."""
        return f"CACHES[{self.alias!r}]" if self.alias else type(self).__name__

    @property
    def version(self) -> int:
        """The VERSION that calls without one use."""
        return self.keys_of.version

    # One key

    async def get(self, key: Key, default: Any = None, version: int | None = None) -> Any:
        """Return the value under *key*, *default* when there is none; a cached None is a value."""
        stored_key = self.keys_of.make(key, version)
        data = await self.raw_get(stored_key)
        if data is None:
            return default
        try:  # PERF: as `_load_value`, without a coroutine for each hit
            return self.serializer.loads_for(stored_key, data)
        except InvalidSignature as exc:
            await self._forgeries.remove(stored_key, data, exc)
            return default

    async def set(
        self, key: Key, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """Put *value* under *key*, whatever was there; what was there is removed when the store fails to."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        data = self.serializer.dumps_for(stored_key, value)
        try:
            if seconds == 0:
                await self.raw_delete(stored_key)
            else:
                await self.raw_set(stored_key, data, seconds)
        except Exception:
            await self._remove_stale([stored_key])
            raise

    async def add(
        self, key: Key, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Put *value* under *key* if nothing is there; of many callers at once exactly one gets True."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        data = self.serializer.dumps_for(stored_key, value)
        if seconds == 0:
            return not await self.raw_has(stored_key)
        return await self.raw_add(stored_key, data, seconds)

    async def touch(self, key: Key, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give *key* a new life from now; tell whether it was there."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        if seconds == 0:
            return await self.raw_delete(stored_key)
        return await self.raw_touch(stored_key, seconds)

    async def expire(self, key: Key, timeout: float | None, version: int | None = None) -> bool:
        """Give *key* a new life of *timeout* seconds, as `touch` does; tell whether it was there."""
        return await self.touch(key, timeout, version)

    async def ttl(self, key: Key, version: int | None = None) -> float | None:
        """Return the seconds that *key* still has: None for ever, 0.0 when it is absent.

        Raises:
            NotImplementedError: The store cannot tell (memcached).
        """
        return await self.raw_ttl(self.keys_of.make(key, version))

    async def delete(self, key: Key, version: int | None = None) -> bool:
        """Remove *key*; tell whether it was there."""
        return await self.raw_delete(self.keys_of.make(key, version))

    async def has_key(self, key: Key, version: int | None = None) -> bool:
        """Tell whether *key* is there."""
        return await self.raw_has(self.keys_of.make(key, version))

    def __contains__(self, key: object) -> NoReturn:
        raise TypeError(f"{key!r} in cache: the cache has to be asked. Write `await cache.has_key({key!r})`.")

    async def incr(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Add *delta* to the integer under *key*, keeping its life, and return the sum; atomic.

        Raises:
            ValueError: The key is absent, or its value is no integer of 64 bits.
            TypeError: *delta* is no integer.
        """
        number = await self.raw_incr(self.keys_of.make(key, version), int(operator.index(delta)))
        if number is None:
            raise ValueError(f"{self.label} has no key {key!r} to count with. Make it first: add({key!r}, 0).")
        return number

    async def decr(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Take *delta* from the integer under *key*; as `incr`."""
        return await self.incr(key, -delta, version)

    async def incr_version(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Move the value of *key* to the version *delta* higher, with a fresh default life; return that version.

        Raises:
            ValueError: The key is absent.
        """
        old = self.version if version is None else version
        value = await self.get(key, MISSING, old)
        if value is MISSING:
            raise ValueError(f"{self.label} has no key {key!r} in version {old}.")
        await self.set(key, value, version=old + delta)
        await self.delete(key, old)
        return old + delta

    async def decr_version(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Move the value of *key* to the version *delta* lower; as `incr_version`."""
        return await self.incr_version(key, -delta, version)

    # Many keys

    async def get_many(self, keys: Iterable[Key], version: int | None = None) -> dict[Key, Any]:
        """Return the values of those among *keys* that are there; absent and expired ones are left out."""
        by_stored = {self.keys_of.make(key, version): key for key in keys}
        found = await self.raw_get_many(by_stored)
        values = {by_stored[each]: await self._load_value(each, data, MISSING) for each, data in found.items()}
        return {key: value for key, value in values.items() if value is not MISSING}

    async def set_many(
        self, data: Mapping[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Key]:
        """Put every item of *data*; return the keys that could not be put (their server is down).

        What stood under a key that could not be put is removed, where its server can be reached.
        """
        seconds = self.life(timeout)
        by_stored = {self.keys_of.make(key, version): key for key in data}
        items = {stored_key: self.serializer.dumps_for(stored_key, data[key]) for stored_key, key in by_stored.items()}
        try:
            if seconds == 0:
                await self.raw_delete_many(items)
                return []
            failed = await self.raw_set_many(items, seconds)
        except Exception:
            await self._remove_stale(by_stored)
            raise
        if failed:
            await self._remove_stale(failed)
        return [by_stored[stored_key] for stored_key in failed]

    async def delete_many(self, keys: Iterable[Key], version: int | None = None) -> None:
        """Remove *keys*; absent ones are passed over."""
        await self.raw_delete_many([self.keys_of.make(key, version) for key in keys])

    async def keys(self, pattern: str = "*", version: int | None = None) -> list[str]:
        """Return the keys that match the glob *pattern* (`*`, `?`, `[a-z]`), without prefix and version.

        Raises:
            NotImplementedError: The store cannot list its keys, or KEY_FUNCTION hides them.
        """
        head = self.keys_of.head_of_version(version)
        return [stored_key[len(head) :] for stored_key in await self.raw_keys(head, pattern)]

    async def clear(self) -> None:
        """Remove every key of this cache's prefix, in all versions; nothing of others, no sessions.

        Raises:
            NotImplementedError: KEY_FUNCTION gives keys without a common beginning.
        """
        head = self.keys_of.head
        if not head:
            raise NotImplementedError(
                f"{self.label}: KEY_FUNCTION leaves nothing to tell this cache's keys by, so clear() could remove "
                "others'. Let the function begin its keys with the prefix."
            )
        await self.raw_clear(head)

    # Computed values, compare-and-set, locks

    async def get_or_set(
        self, key: Key, default: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """Return the value under *key*; where there is none, make it, keep it and return it.

        Any number of concurrent callers in this process compute once. The loader's error reaches all who
        waited for it and nothing is kept; a caller that is cancelled while it computes hands over to
        another. Where another process was first, its value is returned. With the cache down, the value is
        computed and not kept; the cache's own operations take its deadline at most, all together.

        Args:
            default: The value, or a callable without arguments that returns it or an awaitable of it.

        Raises:
            CacheUnavailable: The cache is down, and the loaders that run in its place are too many.
        """
        stored_key, began, error = self.keys_of.make(key, version), time.monotonic(), None
        try:
            value = await self.get(key, MISSING, version)
        except CacheUnavailable as exc:
            value, error = MISSING, exc
        if value is not MISSING:
            return value
        attempts = self.begin_attempts(stored_key, began, error)

        async def load() -> Any:
            again = await attempts.run(lambda: self.get(key, MISSING, version), MISSING)  # another flight's, maybe
            if again is not MISSING:
                return again
            fresh = await attempts.load(lambda: _value_of(default))
            if await attempts.run(lambda: self.add(key, fresh, timeout, version), True):
                return fresh
            return await attempts.run(lambda: self.get(key, fresh, version), fresh)

        return await self._flights.run(stored_key, load)

    def begin_attempts(self, stored_key: str, began: float, error: CacheUnavailable | None = None) -> Attempts:
        """Return the further operations of a computation whose first look at the cache found no value.

        Args:
            stored_key: The key of the value in the store.
            began: When the first look began, by `time.monotonic`; the deadline counts from there.
            error: Why the first look failed, if it did.
        """
        seconds = self.deadline - (time.monotonic() - began)
        attempts = Attempts(self.label, self.loaders, seconds, is_down=self.is_down_for(stored_key))
        if error is not None:
            attempts.failed(str(error))
        return attempts

    def is_down_for(self, stored_key: str) -> bool:
        """Tell whether the server of *stored_key* is known to be down, though reading it is a miss."""
        return False

    async def compute_once(self, name: str, compute: Callable[[], Awaitable[T]]) -> T:
        """Return what *compute* returns; concurrent callers with *name* wait for the one that computes."""
        return await self._flights.run(("computed", name), compute)

    def refresh_soon(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* behind the caller, unless work of that *name* is being done; `close` cancels it.

        It runs outside the caller's request. Its error is logged.
        """
        self._refreshes.soon(name, work)

    async def gets(self, key: Key, version: int | None = None) -> Tokened | None:
        """Return the value under *key* with its token for `cas`, None when there is none.

        Raises:
            NotImplementedError: The store has no compare-and-set (`can_swap` tells).
        """
        stored_key = self.keys_of.make(key, version)
        found = await self.raw_read(stored_key)
        value = MISSING if found is None else await self._load_value(stored_key, found.data, MISSING)
        return None if found is None or value is MISSING else Tokened(value, found.token)

    async def cas(
        self,
        key: Key,
        value: Any,
        token: object,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Put *value* under *key* if nothing has changed there since `gets` gave *token*; tell whether it was done."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        data = self.serializer.dumps_for(stored_key, value)
        if seconds == 0:
            return await self.raw_drop(stored_key, token)
        return (await self.raw_swap(stored_key, data, token, seconds)).is_done

    def lock(self, name: str, lease: float = 10.0, wait: float | None = None) -> CacheLock:
        """Return a lock that one holder has at a time, across processes where the store is shared.

        Args:
            name: What is locked; apart from the cache's own keys.
            lease: Seconds after which it falls free although its holder has not given it back.
            wait: Seconds to wait for it: None for ever, 0 to try once.

        Raises:
            NotImplementedError: The store has no compare-and-set.
            ArgumentError: *lease* is no number of seconds above 0, or *wait* none from 0 up.
        """
        if not self.can_swap:
            self._refuse("lock()")
        waits = kinds.either(None, kinds.seconds)
        kinds.require(kinds.positive(f"lock({name!r}): lease", lease), waits(f"lock({name!r}): wait", wait))
        return CacheLock(self, f"%lock:{escaped_prefix(self.keys_of.key_prefix)}:{name}", lease, wait)

    # Bytes and values

    async def _load_value(self, stored_key: str, data: bytes, default: Any) -> object:
        """Return the value of *data*, found under *stored_key*; *default* where its signature is none of ours."""
        try:
            return self.serializer.loads_for(stored_key, data)
        except InvalidSignature as exc:
            await self._forgeries.remove(stored_key, data, exc)
            return default

    async def _remove_stale(self, keys: Iterable[str]) -> None:
        """Remove values that a failed `set` was to replace, as far as the store can be reached."""
        with suppress(Exception):  # the error of the `set` is the one to raise
            async with asyncio.timeout(_REMOVAL_SECONDS):
                await self.raw_delete_many(keys)

    # The store

    async def ping(self) -> None:
        """Return when the store has answered. Raises `CacheUnavailable` when it does not in time."""
        await self.raw_ping()

    async def close(self) -> None:
        """Close what is open; the next operation opens it again. Harmless when called twice."""
        await self._refreshes.aclose()
        await self.raw_close()

    def life(self, timeout: float | None) -> float | None:
        """Return *timeout* as the store takes it: None for ever, 0.0 for at once, else seconds above 0.

        Raises:
            ArgumentError: It is not a number of seconds.
        """
        if timeout is DEFAULT_TIMEOUT:
            return self.default_timeout
        try:
            return _life(timeout)
        except ValueError:
            raise ArgumentError(f"timeout={timeout!r}: give seconds, or None for ever.") from None


async def _value_of(default: Any) -> Any:
    found = default() if callable(default) else default
    return await found if inspect.isawaitable(found) else found


def _life(timeout: Any) -> float | None:
    """Return a number of seconds, from 0.0 up; None for ever, which an endless number of them is as well.

    Raises:
        ValueError: It is neither a number nor None.
    """
    if timeout is None:
        return None
    try:
        seconds = float(timeout)
    except OverflowError:
        seconds = math.inf if timeout > 0 else 0.0  # an integer beyond the largest float
    except TypeError as exc:
        raise ValueError(str(exc)) from None
    if math.isnan(seconds):
        raise ValueError("Not a number.")
    return None if seconds == math.inf else max(seconds, 0.0)


__getattr__ = former_names(__name__)
