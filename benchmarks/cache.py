"""The in-process cache against Django's, and against a bare dict: `python -m benchmarks.cache`.

    bare      a dict of (value, expiry) with a copy of what can change: what any such cache must do
    ours      await cache.get(...), await cache.set(...)
    django    cache.get(...), the plain call; its aget() and aset() run that in a thread

Microseconds a call, the best of interleaved rounds. Begin with `main`.
"""

import argparse
import asyncio
import pickle
import time
from collections.abc import Awaitable, Callable
from typing import Any

from torngas_aio.cache.backends.localcache import LocMemCache

VALUES: dict[str, Any] = {
    "short text": "value",
    "flat dict": {"id": 7, "name": "Ann", "admin": False},
    "deep dict": {"id": 7, "tags": ["a", "b"], "address": {"city": "Berlin", "zip": "10115"}},
}


class BareCache:
    """The least that keeps expiry and isolation."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[bytes | str, float]] = {}

    def get(self, key: str) -> Any:
        value, expires_at = self.entries[key]
        if expires_at <= time.monotonic():
            return None
        return pickle.loads(value) if type(value) is bytes else value

    def set(self, key: str, value: Any) -> None:
        kept = value if type(value) is str else pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self.entries[key] = (kept, time.monotonic() + 300)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000, help="of each kind in a round (20,000)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    bare, ours, django = BareCache(), LocMemCache("benchmark"), _django_cache()
    print(f"{'':12} {'operation':9} {'bare':>8} {'ours':>8} {'ours-bare':>10} {'django':>8} {'django async':>13}")
    for name, value in VALUES.items():
        for operation in ("set", "get"):
            arguments = ("key", value) if operation == "set" else ("key",)
            calls: dict[str, tuple[Callable[..., Any], bool]] = {
                "bare": (getattr(bare, operation), False),
                "ours": (getattr(ours, operation), True),
                "django": (getattr(django, operation), False),
                "django async": (getattr(django, f"a{operation}"), True),
            }
            best = dict.fromkeys(calls, float("inf"))
            for _ in range(options.rounds):
                for kind, (call, is_async) in calls.items():
                    measure = _awaited if is_async else _called
                    calls_now = options.calls // 20 if kind == "django async" else options.calls
                    best[kind] = min(best[kind], await measure(call, arguments, calls_now))
            own = best["ours"] - best["bare"]
            print(
                f"{name:12} {operation:9} {best['bare']:8.2f} {best['ours']:8.2f} {own:10.2f} "
                f"{best['django']:8.2f} {best['django async']:13.2f}"
            )
    await ours.close()


async def _called(call: Callable[..., Any], arguments: tuple[Any, ...], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call(*arguments)
    return (time.perf_counter() - started) / calls * 1e6


async def _awaited(call: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        await call(*arguments)
    return (time.perf_counter() - started) / calls * 1e6


def _django_cache() -> Any:
    from django.conf import settings
    from django.core.cache.backends.locmem import LocMemCache as DjangoCache

    settings.configure()
    return DjangoCache("benchmark", {"TIMEOUT": 300})


if __name__ == "__main__":
    asyncio.run(main())
