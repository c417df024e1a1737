"""`cached`: a coroutine function whose results are kept in a cache.

@cached(timeout=60, stale=600, ahead=10)
async def top_articles(section: str) -> list[str]: ...

age    0 ────────── timeout-ahead ───── timeout ───────────── timeout+stale
       cached value  cached value; one   cached value; one     computed again by one
                     background refresh  background refresh    caller; the others wait
"""

import functools
import hashlib
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, cast

from torngas_aio.cache.attempts import Attempts
from torngas_aio.cache.backends.base import DEFAULT_TIMEOUT, MISSING, BaseCache
from torngas_aio.cache.lock import CacheLock
from torngas_aio.cache.registry import caches
from torngas_aio.exception import ArgumentError, CacheUnavailable
from torngas_aio.utils.kinds import finite, require, seconds
from torngas_aio.utils.narrowing import is_dict, is_list, is_list_or_tuple

__all__ = ["Cached", "cached"]

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN = (str, bytes, int, float, bool, complex, type(None))


def cached(
    timeout: float | None = DEFAULT_TIMEOUT,
    *,
    key: "str | Callable[..., str] | None" = None,
    alias: str = "default",
    ahead: float = 0.0,
    stale: float = 0.0,
    lease: float = 0.0,
    version: int | None = None,
    clock: Callable[[], float] = time.time,
) -> "Callable[[Callable[P, Awaitable[R]]], Cached[P, R]]":
    """Cache the results of the decorated coroutine function; concurrent callers share one computation.

    Args:
        timeout: Seconds for which a result counts as fresh; default, the cache's TIMEOUT; None, no expiry.
        key: The cache key: a format string for the arguments (`"user:{0}"`, `"top:{section}"`) or a function of
            them. Default: the function's name and its arguments, which must then be plain values; required for a
            method.
        alias: The alias in CACHES.
        ahead: Seconds before the end of *timeout* from which a call starts a background refresh; callers get the
            cached result meanwhile.
        stale: Seconds after the end of *timeout* during which callers still get the cached result while one
            refresh runs in the background. A failed refresh is logged, and the next caller starts another.
        lease: Seconds. If the store can lock, one process computes and the others wait up to this long for its
            result. 0: each process computes once.
        version: As in `BaseCache.get`.
        clock: Returns wall-clock seconds, comparable across processes.

    Raises:
        ArgumentError: A duration is invalid; or, on decoration, the function is not a coroutine function or is a
            method without *key*.
    """
    require(seconds("cached: ahead", ahead), seconds("cached: stale", stale), finite("cached: lease", lease))
    if timeout is not None and timeout is not DEFAULT_TIMEOUT:
        require(seconds("cached: timeout", timeout))

    def decorate(function: Callable[P, Awaitable[R]]) -> Cached[P, R]:
        return Cached(function, _Plan(timeout, key, alias, ahead, stale, lease, version, clock))

    return decorate


@dataclass(frozen=True, slots=True)
class _Plan:
    """The arguments of `cached`."""

    timeout: float | None
    key: "str | Callable[..., str] | None"
    alias: str
    ahead: float
    stale: float
    lease: float
    version: int | None
    clock: Callable[[], float]


class Cached(Generic[P, R]):
    """A decorated function; `refresh` and `forget` update and remove its cached results."""

    def __init__(self, function: Callable[P, Awaitable[R]], plan: _Plan) -> None:
        self._signature = inspect.signature(function)
        _refuse_unfit(function, self._signature, plan.key)
        functools.update_wrapper(self, function)
        self._function: Callable[..., Awaitable[R]] = function
        self._name = getattr(function, "__qualname__", repr(function))
        self._plan = plan

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the cached or computed result for these arguments.

        While the cache is down, one of the concurrent callers computes the result, and it is not stored.

        Raises:
            CacheUnavailable: The cache is down, and too many computations already run without it.
        """
        cache, key = caches[self._plan.alias], self.key_for(*args, **kwargs)
        began, error = time.monotonic(), None
        try:
            kept = await self._load(cache, key)
        except CacheUnavailable as exc:
            kept, error = None, exc
        if kept is None:
            stored_key = self._stored_key(cache, key)
            attempts = cache.begin_attempts(stored_key, began, error)
            return await cache.compute_once(stored_key, lambda: self._compute(cache, key, args, kwargs, attempts))
        fresh_until, value = kept
        if fresh_until is not None and self._plan.clock() >= fresh_until - self._plan.ahead:
            stored_key = self._stored_key(cache, key)
            cache.refresh_soon(stored_key, lambda: self._compute_behind(cache, key, args, kwargs, fresh_until))
        return cast(R, value)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind as a method: the instance becomes the first argument."""
        return self if instance is None else functools.partial(self.__call__, instance)

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the cache key of the result for these arguments.

        Raises:
            ArgumentError: There is no *key*, and an argument is not a plain value.
        """
        key = self._plan.key
        if callable(key):
            return key(*args, **kwargs)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if key is not None:
            return key.format(*bound.arguments.values(), **bound.arguments)
        for name, value in bound.arguments.items():
            _refuse_odd(f"{self._name}({name}=...)", value)
        digest = hashlib.blake2b(repr(list(bound.arguments.items())).encode("utf-8", "surrogatepass"), digest_size=16)
        name = f"{self._function.__module__}.{self._name}"[-120:]
        return f"{name}:{digest.hexdigest()}"

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute, store and return the result for these arguments."""
        return await self._store(caches[self._plan.alias], self.key_for(*args, **kwargs), args, kwargs)

    async def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the cached result for these arguments; return whether there was one."""
        return await caches[self._plan.alias].delete(self.key_for(*args, **kwargs), self._plan.version)

    def _stored_key(self, cache: BaseCache, key: str) -> str:
        """Return the finished key, which includes prefix and version."""
        return cache.keys_of.make(key, self._plan.version)

    def _lock(self, cache: BaseCache, key: str, wait: float) -> CacheLock:
        apart = key if self._plan.version is None else self._stored_key(cache, key)
        return cache.lock(_lock_name(apart), self._plan.lease, wait)

    async def _load(self, cache: BaseCache, key: str) -> tuple[float | None, object] | None:
        found = await cache.get(key, MISSING, self._plan.version)
        if is_list(found) and len(found) == 2 and isinstance(found[0], float | int | None):
            return found[0], found[1]
        return None  # absent, or a value that other code stored under this key

    async def _compute(
        self, cache: BaseCache, key: str, args: object, kwargs: object, attempts: Attempts | None = None
    ) -> R:
        """Look up again, then compute and store; with a *lease*, under a lock that all processes share."""
        if attempts is None:
            attempts = cache.begin_attempts(self._stored_key(cache, key), time.monotonic())
        if not self._plan.lease or not cache.can_swap or attempts.is_down:
            return await self._load_or_compute(cache, key, args, kwargs, attempts)
        # If the lock is not free within the lease, its holder is slow or dead: compute without the lock.
        lock = self._lock(cache, key, self._plan.lease)
        try:
            await lock.acquire()
        except CacheUnavailable as exc:
            attempts.failed(str(exc))
        async with lock.holding():
            return await self._load_or_compute(cache, key, args, kwargs, attempts)

    async def _load_or_compute(self, cache: BaseCache, key: str, args: Any, kwargs: Any, attempts: Attempts) -> R:
        kept = await attempts.run(lambda: self._load(cache, key), None)
        if kept is not None:
            return cast(R, kept[1])
        value = await attempts.load(lambda: self._function(*args, **kwargs))
        await attempts.run(lambda: self._keep(cache, key, value), None)
        return value

    async def _compute_behind(
        self, cache: BaseCache, key: str, args: object, kwargs: object, fresh_until: float
    ) -> None:
        if not self._plan.lease or not cache.can_swap:
            await self._store(cache, key, args, kwargs)
            return
        lock = self._lock(cache, key, 0)
        if await lock.acquire():  # else another process is refreshing it
            async with lock.holding():
                kept = await self._load(cache, key)
                if kept is None or kept[0] == fresh_until:
                    await self._store(cache, key, args, kwargs)

    async def _store(self, cache: BaseCache, key: str, args: Any, kwargs: Any) -> R:
        value = await self._function(*args, **kwargs)
        await self._keep(cache, key, value)
        return value

    async def _keep(self, cache: BaseCache, key: str, value: R) -> None:
        life = cache.life(self._plan.timeout)
        fresh_until = None if life is None else self._plan.clock() + life
        if life != 0:
            await cache.set(
                key, [fresh_until, value], None if life is None else life + self._plan.stale, self._plan.version
            )


def _lock_name(key: str) -> str:
    return f"cached:{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


def _refuse_unfit(function: object, signature: inspect.Signature, key: object) -> None:
    if not inspect.iscoroutinefunction(function):
        raise ArgumentError(f"@cached: {function!r} is not a coroutine function. Make it `async def`.")
    if key is None and next(iter(signature.parameters), None) in {"self", "cls"}:
        raise ArgumentError(
            f"@cached: {function!r} is a method, and the default key does not distinguish its instances. "
            'Name its key, such as key="user:{self.id}".'
        )


def _refuse_odd(where: str, value: object) -> None:
    if is_list_or_tuple(value):
        for item in value:
            _refuse_odd(where, item)
    elif is_dict(value):
        for item in (*value, *value.values()):
            _refuse_odd(where, item)
    elif type(value) not in _PLAIN:
        raise ArgumentError(
            f"@cached: {where} is of type {type(value).__qualname__}, from which no key can be made. "
            'Name the key, such as key="user:{0.id}".'
        )
