"""The cache contract: the operations that every backend offers to callers.

    await cache.get("user:7")                    set add touch delete has_key incr decr clear
    await cache.get_or_set("top", load, 60)      computed once for all concurrent callers
    await cache.get_many(["a", "b"])             set_many delete_many; one round trip if the store supports it
    await cache.gets("a"), cache.cas(...)        compare-and-set if the store supports it; lock, ttl, keys

A custom backend subclasses `BaseCache` and implements the `raw_*` operations of `torngas_aio.cache.store.Store`;
`BaseCache` adds keys, versions, timeouts, serialization and single flight. A `key` is the caller's; a `stored_key` has
prefix and version, and the value's signature covers it.
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
    """The type of DEFAULT_TIMEOUT: a float for type checkers, compared by identity."""

    def __repr__(self) -> str:
        return "DEFAULT_TIMEOUT"


DEFAULT_TIMEOUT: Final[float] = _Default("nan")
"""As a timeout: the cache's own TIMEOUT setting."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""A `default=` that is never a cached value."""

_DEFAULT_SECONDS = 300.0
_REMOVAL_SECONDS = 0.5


class Tokened(NamedTuple):
    """A value and the token with which `cas` detects whether it has changed."""

    value: Any
    token: object


class BaseCache(Store):
    """The caller's interface of a cache; a subclass implements the `raw_*` operations.

    Keys are `str` or `bytes`, at most 250 bytes including prefix and version. Values are those that the
    serializer supports. A *timeout* is in seconds, with fractions: default, the TIMEOUT setting; None, no expiry;
    0 or less, expired at once. *version* defaults to the VERSION setting. Every operation raises `InvalidKey`
    for an invalid key and `CacheUnavailable` if the store does not answer in time.

    Args:
        location: LOCATION of the settings: addresses, a folder or a name.
        params: The rest of the alias's settings: TIMEOUT (300 s), OPTIONS, KEY_PREFIX, VERSION, KEY_FUNCTION,
            ALIAS (the name in CACHES) and SECRET_KEY, the project's secret or secrets (RUN_SECRET: one that is
            lost when the process ends), which signs a shared store's values unless OPTIONS sets another.

    Attributes:
        loaders: The limit on loaders of `get_or_set` and `cached` while the store is down.
        alias: The name in CACHES, for messages; "" for a cache constructed directly.
        clock: Returns the time in seconds; replaced in tests of expiry.
    """

    refuses_spaces = False

    deadline = 2.0
    """Deadline of an operation in seconds; each backend sets its own."""

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
        """The cache's name in messages: its alias, else its class."""
        return f"CACHES[{self.alias!r}]" if self.alias else type(self).__name__

    @property
    def version(self) -> int:
        """The VERSION used by calls without a version."""
        return self.keys_of.version

    # One key

    async def get(self, key: Key, default: Any = None, version: int | None = None) -> Any:
        """Return the value under *key*, *default* if it is absent; a cached None is a value."""
        stored_key = self.keys_of.make(key, version)
        data = await self.raw_get(stored_key)
        if data is None:
            return default
        try:  # PERF: `_load_value` inlined: saves a coroutine per hit
            return self.serializer.loads_for(stored_key, data)
        except InvalidSignature as exc:
            await self._forgeries.remove(stored_key, data, exc)
            return default

    async def set(
        self, key: Key, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """Store *value* under *key*, replacing any earlier value; on failure the earlier value is removed."""
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
        """Store *value* under *key* if it is absent; of concurrent callers exactly one gets True."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        data = self.serializer.dumps_for(stored_key, value)
        if seconds == 0:
            return not await self.raw_has(stored_key)
        return await self.raw_add(stored_key, data, seconds)

    async def touch(self, key: Key, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Set the timeout of *key* from now; return whether the key was present."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        if seconds == 0:
            return await self.raw_delete(stored_key)
        return await self.raw_touch(stored_key, seconds)

    async def expire(self, key: Key, timeout: float | None, version: int | None = None) -> bool:
        """Set the timeout of *key*, as `touch` does; return whether the key was present."""
        return await self.touch(key, timeout, version)

    async def ttl(self, key: Key, version: int | None = None) -> float | None:
        """Return the seconds until *key* expires: None if it never does, 0.0 if it is absent.

        Raises:
            NotImplementedError: The store does not report it.
        """
        return await self.raw_ttl(self.keys_of.make(key, version))

    async def delete(self, key: Key, version: int | None = None) -> bool:
        """Remove *key*; return whether it was present."""
        return await self.raw_delete(self.keys_of.make(key, version))

    async def has_key(self, key: Key, version: int | None = None) -> bool:
        """Return whether *key* is present."""
        return await self.raw_has(self.keys_of.make(key, version))

    def __contains__(self, key: object) -> NoReturn:
        raise TypeError(f"{key!r} in cache: the cache has to be asked. Write `await cache.has_key({key!r})`.")

    async def incr(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Add *delta* atomically to the integer under *key* and return the sum; the expiry stays.

        Raises:
            ValueError: The key is absent, or its value is not an integer within 64 bits.
            TypeError: *delta* is not an integer.
        """
        number = await self.raw_incr(self.keys_of.make(key, version), int(operator.index(delta)))
        if number is None:
            raise ValueError(f"{self.label} has no key {key!r} to count with. Make it first: add({key!r}, 0).")
        return number

    async def decr(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Subtract *delta* from the integer under *key*; otherwise as `incr`."""
        return await self.incr(key, -delta, version)

    async def incr_version(self, key: Key, delta: int = 1, version: int | None = None) -> int:
        """Move the value of *key* to a version higher by *delta*, with the default timeout; return that version.

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
        """Move the value of *key* to a version lower by *delta*; otherwise as `incr_version`."""
        return await self.incr_version(key, -delta, version)

    # Many keys

    async def get_many(self, keys: Iterable[Key], version: int | None = None) -> dict[Key, Any]:
        """Return the values of the present *keys*; absent and expired keys are left out."""
        by_stored = {self.keys_of.make(key, version): key for key in keys}
        found = await self.raw_get_many(by_stored)
        values = {by_stored[each]: await self._load_value(each, data, MISSING) for each, data in found.items()}
        return {key: value for key, value in values.items() if value is not MISSING}

    async def set_many(
        self, data: Mapping[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Key]:
        """Store every item of *data*; return the keys that could not be stored (their server is down).

        The earlier value of a key that could not be stored is removed if its server can be reached.
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
        """Remove *keys*; absent keys are ignored."""
        await self.raw_delete_many([self.keys_of.make(key, version) for key in keys])

    async def keys(self, pattern: str = "*", version: int | None = None) -> list[str]:
        """Return the keys that match the glob *pattern* (`*`, `?`, `[a-z]`), without prefix and version.

        Raises:
            NotImplementedError: The store cannot list its keys, or the results of KEY_FUNCTION do not end with them.
        """
        head = self.keys_of.head_of_version(version)
        return [stored_key[len(head) :] for stored_key in await self.raw_keys(head, pattern)]

    async def clear(self) -> None:
        """Remove every key with this cache's prefix, in all versions; other caches' keys and sessions stay.

        Raises:
            NotImplementedError: KEY_FUNCTION returns keys without a common beginning.
        """
        head = self.keys_of.head
        if not head:
            raise NotImplementedError(
                f"{self.label}: KEY_FUNCTION gives this cache's keys no common beginning, so clear() could remove "
                "others'. Let the function begin its keys with the prefix."
            )
        await self.raw_clear(head)

    # Computed values, compare-and-set, locks

    async def get_or_set(
        self, key: Key, default: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """Return the value under *key*; if it is absent, compute, store and return it.

        Concurrent callers in this process share one computation. If it fails, all of them get the loader's error
        and nothing is stored; if the computing caller is cancelled, another one takes over. If another process
        stored a value first, that value is returned. While the cache is down, the value is computed and not
        stored. All cache operations of the call together take at most the cache's deadline.

        Args:
            default: The value, or a callable without arguments that returns it or an awaitable of it.

        Raises:
            CacheUnavailable: The cache is down, and too many loaders already run without it.
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
            again = await attempts.run(lambda: self.get(key, MISSING, version), MISSING)  # a value stored meanwhile
            if again is not MISSING:
                return again
            fresh = await attempts.load(lambda: _value_of(default))
            if await attempts.run(lambda: self.add(key, fresh, timeout, version), True):
                return fresh
            return await attempts.run(lambda: self.get(key, fresh, version), fresh)

        return await self._flights.run(stored_key, load)

    def begin_attempts(self, stored_key: str, began: float, error: CacheUnavailable | None = None) -> Attempts:
        """Return the `Attempts` for a computation after the first lookup found no value.

        Args:
            stored_key: The key of the value in the store.
            began: Start of the first lookup, by `time.monotonic`; the deadline counts from there.
            error: The error of the first lookup, if it failed.
        """
        seconds = self.deadline - (time.monotonic() - began)
        attempts = Attempts(self.label, self.loaders, seconds, is_down=self.is_down_for(stored_key))
        if error is not None:
            attempts.failed(str(error))
        return attempts

    def is_down_for(self, stored_key: str) -> bool:
        """Return whether the server of *stored_key* is known to be down, in stores that report this as a miss."""
        return False

    async def compute_once(self, name: str, compute: Callable[[], Awaitable[T]]) -> T:
        """Return the result of *compute*; concurrent callers with the same *name* share one run."""
        return await self._flights.run(("computed", name), compute)

    def refresh_soon(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work* in a background task, unless one for *name* is running; `close` cancels it.

        It runs outside the caller's request context. An error is logged.
        """
        self._refreshes.soon(name, work)

    async def gets(self, key: Key, version: int | None = None) -> Tokened | None:
        """Return the value under *key* with its token for `cas`, None if it is absent.

        Raises:
            NotImplementedError: The store has no compare-and-set (`can_swap` is False).
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
        """Store *value* under *key* if it is unchanged since `gets` returned *token*; return whether it was stored."""
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        data = self.serializer.dumps_for(stored_key, value)
        if seconds == 0:
            return await self.raw_drop(stored_key, token)
        return (await self.raw_swap(stored_key, data, token, seconds)).is_done

    def lock(self, name: str, lease: float = 10.0, wait: float | None = None) -> CacheLock:
        """Return a lock with one holder at a time, across processes if the store is shared.

        Args:
            name: The lock's name; in a namespace apart from the cache's keys.
            lease: Seconds after which the lock becomes free even if its holder has not released it.
            wait: Seconds to wait for it: None for no limit, 0 to try once.

        Raises:
            NotImplementedError: The store has no compare-and-set.
            ArgumentError: *lease* is not a number above 0, or *wait* is neither None nor a number from 0 up.
        """
        if not self.can_swap:
            self._refuse("lock()")
        waits = kinds.either(None, kinds.seconds)
        kinds.require(kinds.positive(f"lock({name!r}): lease", lease), waits(f"lock({name!r}): wait", wait))
        return CacheLock(self, f"%lock:{escaped_prefix(self.keys_of.key_prefix)}:{name}", lease, wait)

    # Bytes and values

    async def _load_value(self, stored_key: str, data: bytes, default: Any) -> object:
        """Return the value of *data*, found under *stored_key*; *default* if its signature is invalid."""
        try:
            return self.serializer.loads_for(stored_key, data)
        except InvalidSignature as exc:
            await self._forgeries.remove(stored_key, data, exc)
            return default

    async def _remove_stale(self, keys: Iterable[str]) -> None:
        """Remove values that a failed `set` should have replaced, if the store can be reached."""
        with suppress(Exception):  # the error of the `set` is the one to raise
            async with asyncio.timeout(_REMOVAL_SECONDS):
                await self.raw_delete_many(keys)

    # The store

    async def ping(self) -> None:
        """Return when the store has answered. Raises `CacheUnavailable` if it does not answer in time."""
        await self.raw_ping()

    async def close(self) -> None:
        """Close connections, tasks and files; the next operation reopens them. Calling it twice is harmless."""
        await self._refreshes.aclose()
        await self.raw_close()

    def life(self, timeout: float | None) -> float | None:
        """Return *timeout* in the store's terms: None for no expiry, 0.0 for expired, else seconds above 0.

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
    """Return a number of seconds, from 0.0 up; None (no expiry) for None and infinity.

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
