"""Rate limiting: an HTTP module, based on the library `limits`, that responds with 429 above a limit.

    class LoginLimit(RateLimit):                    RATE_LIMIT = {"storage": "async+redis://127.0.0.1:6379"}
        limit = "5/minute"                          ROUTE_MODULES = {"Login": ["app.modules.LoginLimit"]}

    request ── key (the client's address) ── below the limit? ── yes: continue, with RateLimit headers
                                                              └─ no: 429 with Retry-After

Each class has its own counters.
"""

import asyncio
import hashlib
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import anyio.to_thread
from tornado.web import HTTPError, RequestHandler

from torngas_aio._cleanup import close_with_loop
from torngas_aio._node import warn_of_memory
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.httpmodule.httpmodule import BaseHttpModule
from torngas_aio.settings_manager import settings
from torngas_aio.utils.kinds import Check, boolean, fault, mapping, one_of, positive, table
from torngas_aio.utils.narrowing import is_mapping
from torngas_aio.utils.text import quote_field

try:
    import limits
    from limits.aio.storage import SlidingWindowCounterSupport, Storage
    from limits.aio.strategies import STRATEGIES, RateLimiter  # pyright: ignore[reportUnknownVariableType]  # a bare dict
    from limits.storage import storage_from_string
except ModuleNotFoundError as exc:  # pragma: no cover  # the extra is not installed
    exc.add_note("torngas_aio.httpmodule.ratelimit needs an extra: pip install 'torngas-aio[limits]'.")
    raise

__all__ = ["RATE_LIMIT_DEFAULTS", "BoundedMemoryStorage", "RateLimit"]

logger = logging.getLogger("torngas_aio.ratelimit")

_STRATEGIES: Mapping[str, Callable[[Storage], RateLimiter]] = STRATEGIES  # pyright: ignore[reportUnknownVariableType]

_Clear = Callable[[], None]

_MAX_KEY = 128
MAX_COUNTERS = 100_000

RATE_LIMIT_DEFAULTS: dict[str, Any] = {
    "default": "100/minute",  # for classes without `limit`; several limits: "100/minute;1000/hour"
    "storage": "memory",  # of this process; or a `limits` URI, such as 'async+redis://127.0.0.1:6379'
    "storage_options": {},
    "strategy": "sliding-window-counter",  # or 'fixed-window', 'moving-window'
    "timeout": 1.0,  # of the storage, in seconds
    "when_unavailable": "allow",  # or 'refuse' with 503
    "headers": True,  # send RateLimit-Limit, -Remaining and -Reset
}


class RateLimit(BaseHttpModule):
    """A limit on the requests of each client; add a subclass with its own `limit` to a route.

    A client is identified by its address (behind TRUSTED_PROXIES, the forwarded one); for IPv6 by the /64 network,
    the usual size for one customer. Override `key_of` to count by visitor, API key or anything else.

    Raises:
        ConfigError: A limit, storage or strategy is invalid.
    """

    before_body = True

    openapi_responses: ClassVar[Mapping[int, str]] = {429: "Too many requests; `Retry-After` says when to come back."}

    limit: str | None = None
    """The limits, such as `"5/minute"` or `"5/minute;50/day"`; None: RATE_LIMIT['default']."""

    def __init__(self) -> None:
        given = settings.RATE_LIMIT
        own = () if not self.limit else _rate(f"{type(self).__qualname__}.limit", self.limit)
        ConfigError.gather([*_faults(given), *own], code="TGA304")
        self._options = {**RATE_LIMIT_DEFAULTS, **given}
        if self._options["storage"] == "memory":
            warn_of_memory("RATE_LIMIT['storage']", "counts for itself")
        every = limits.parse_many(self.limit or self._options["default"])
        self._limits = sorted(every, key=lambda item: item.get_expiry())
        self._scope = f"{type(self).__module__}.{type(self).__qualname__}"
        self._limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, RateLimiter] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._logged_at = -math.inf

    def key_of(self, handler: RequestHandler) -> str | None:
        """Return the key that requests are counted by; None: this request is not limited."""
        return _network_of(handler.request.remote_ip)

    async def begin_request(self, handler: RequestHandler, clear: _Clear) -> None:
        key = self.key_of(handler)
        if key is None:
            return
        try:
            limiter = await self._limiter()
            async with asyncio.timeout(self._options["timeout"]):
                verdict = await self._hit(limiter, _short(key))
        except Exception as exc:  # a boundary: a storage may raise anything
            self._log_failure(exc)
            if self._options["when_unavailable"] == "refuse":
                raise HTTPError(503, "The rate limit's storage does not answer") from exc
            return
        is_allowed, item, remaining, reset_at = verdict
        seconds = max(0, math.ceil(reset_at - time.time()))
        if self._options["headers"]:
            _set_headers(handler, item.amount, remaining, seconds)
        if not is_allowed:
            _headers_of(handler)["Retry-After"] = str(max(1, seconds))
            raise HTTPError(429, "%s has no requests left of %s", quote_field(str(key)), item)

    async def begin_response(self, handler: RequestHandler, clear: _Clear, chunk: list[bytes]) -> None:
        """Add the headers to the response, even if it is an error page."""
        for name, value in getattr(handler, "_rate_limit_headers", {}).items():
            handler.set_header(name, value)

    async def _hit(self, limiter: RateLimiter, key: str) -> tuple[bool, limits.RateLimitItem, int, float]:
        """Count one request; return whether it is allowed, and the limit with the fewest requests left."""
        tightest: tuple[bool, limits.RateLimitItem, int, float] | None = None
        for item in self._limits:
            is_allowed = await limiter.hit(item, self._scope, key)
            stats = await limiter.get_window_stats(item, self._scope, key)
            verdict = (is_allowed, item, 0 if not is_allowed else stats.remaining, stats.reset_time)
            if not is_allowed:
                return verdict
            if tightest is None or stats.remaining < tightest[2]:
                tightest = verdict
        assert tightest is not None
        return tightest

    async def _limiter(self) -> RateLimiter:
        loop = asyncio.get_running_loop()
        limiter = self._limiters.get(loop)
        if limiter is not None:
            return limiter
        async with self._locks.setdefault(loop, asyncio.Lock()):
            if loop not in self._limiters:
                self._limiters[loop] = await self._create_limiter()
        return self._limiters[loop]

    async def _create_limiter(self) -> RateLimiter:
        storage: Storage = BoundedMemoryStorage()
        if self._options["storage"] != "memory":
            # In a thread, since the library imports its driver and reads Lua scripts from files.
            storage = await anyio.to_thread.run_sync(_storage, self._options)
            close_with_loop(self, partial(_close, storage))
        return _STRATEGIES[self._options["strategy"]](storage)

    def _log_failure(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._logged_at > 10:
            self._logged_at = now
            logger.error(
                "The storage of rate limits does not answer (%r); requests are %s meanwhile.",
                error,
                "refused" if self._options["when_unavailable"] == "refuse" else "let through",
            )


def _headers_of(handler: Any) -> dict[str, str]:
    """Return the headers for this request's response, shared by all of its limits."""
    headers: dict[str, str] | None = getattr(handler, "_rate_limit_headers", None)
    if headers is None:
        headers = handler._rate_limit_headers = {}
    return headers


def _set_headers(handler: RequestHandler, amount: int, remaining: int, seconds: int) -> None:
    headers = _headers_of(handler)
    if remaining <= int(headers.get("RateLimit-Remaining", remaining)):  # keep the lowest of several modules
        headers["RateLimit-Limit"] = str(amount)
        headers["RateLimit-Remaining"] = str(remaining)
        headers["RateLimit-Reset"] = str(seconds)


def _short(key: str) -> str:
    """Return *key*, or a digest if it is long: clients may choose it, and storages store it."""
    return key if len(key) <= _MAX_KEY else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _network_of(address: str | None) -> str:
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))


def _storage(options: Mapping[str, Any]) -> Storage:
    extra = dict(options["storage_options"])
    if "redis" in options["storage"].partition("://")[0]:
        extra.setdefault("implementation", "redispy")
    storage = storage_from_string(options["storage"], **extra)
    assert isinstance(storage, Storage)  # `_uri` refuses others
    return storage


async def _close(storage: Storage) -> None:
    """Close the connections of a Redis storage; the library has no method for it."""
    client = getattr(getattr(storage, "bridge", None), "storage", None)
    if client is not None:
        await client.aclose()


def _rate(path: str, value: object) -> Iterator[Fault]:
    try:
        is_rate = isinstance(value, str) and all(item.get_expiry() > 0 for item in limits.parse_many(value))
    except ValueError:
        is_rate = False
    if not is_rate:
        yield fault(path, value, "must be a rate limit, such as '5/minute' or '5/minute;50/day'.")


def _uri(path: str, value: object) -> Iterator[Fault]:
    if value == "memory":
        return
    scheme, separator, _ = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not (separator and scheme.startswith("async+") and scheme in _schemes(Storage)):
        yield fault(path, value, "must be 'memory' or such as 'async+redis://127.0.0.1:6379'.")


def _schemes(kind: type[Any]) -> Iterator[str]:
    """Yield the URI schemes of the library's storages and of those defined by the project."""
    yield from getattr(kind, "STORAGE_SCHEME", None) or ()
    for each in kind.__subclasses__():
        yield from _schemes(each)


_options: Check = table(
    {},
    {
        "default": _rate,
        "storage": _uri,
        "storage_options": mapping,
        "strategy": one_of(*STRATEGIES),
        "timeout": positive,
        "when_unavailable": one_of("allow", "refuse"),
        "headers": boolean,
    },
    is_closed=True,
)


def _faults(given: object) -> Iterator[Fault]:
    yield from _options("RATE_LIMIT", given)
    chosen: dict[Any, Any] = {**RATE_LIMIT_DEFAULTS, **given} if is_mapping(given) else {}
    if chosen.get("strategy") == "moving-window" and chosen["storage"] == "memory":
        yield Fault("RATE_LIMIT: 'moving-window' keeps every request and needs a storage such as Redis.")


class BoundedMemoryStorage(Storage, SlidingWindowCounterSupport):
    """A storage of fixed and sliding windows in memory, with LRU eviction above *max_counters*.

    Each operation takes constant time. The library's own memory storage scans all keys at each request, in tasks that
    are not awaited; here an expired counter is reset on its next use, or evicted.
    """

    STORAGE_SCHEME = ["async+torngas"]  # noqa: RUF012  # as the library declares it

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        max_counters: int = MAX_COUNTERS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(uri, wrap_exceptions)
        self._max_counters = max_counters
        self._clock = clock
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()  # count, when it expires

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        return self._add(key, expiry, amount)

    async def get(self, key: str) -> int:
        return self._count(key)

    async def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, self._clock()))[1]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        count = len(self._counters)
        self._counters.clear()
        return count

    async def clear(self, key: str) -> None:
        self._counters.pop(key, None)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        # RACE: no await between these lines
        previous, left, current, _ = self._windows(key, expiry)
        if math.floor(previous * left / expiry + current) + amount > limit:
            return False
        self._add(self._window_key(key, expiry, 0), 2 * expiry, amount)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        return self._windows(key, expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        for back in (0, 1):
            self._counters.pop(self._window_key(key, expiry, back), None)

    def _windows(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        left = expiry - self._clock() % expiry
        previous = self._count(self._window_key(key, expiry, 1))
        return previous, left if previous else 0.0, self._count(self._window_key(key, expiry, 0)), left + expiry

    def _window_key(self, key: str, expiry: int, back: int) -> str:
        return f"{key}/{int(self._clock() // expiry) - back}"

    def _count(self, key: str) -> int:
        count, expires_at = self._counters.get(key, (0, 0.0))
        return count if expires_at > self._clock() else 0

    def _add(self, key: str, expiry: float, amount: int) -> int:
        now = self._clock()
        count, expires_at = self._counters.pop(key, (0, 0.0))
        if expires_at <= now:
            count, expires_at = 0, now + expiry
        self._counters[key] = (count + amount, expires_at)
        while len(self._counters) > self._max_counters:
            self._counters.popitem(last=False)
        return count + amount
