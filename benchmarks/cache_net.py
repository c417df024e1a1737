"""Networked caches against bare drivers and rivals: `python -m benchmarks.cache_net --help`.

    redis       torngas_aio's RedisCache; redis.asyncio on its blocking pool; Django; cashews; aiocache
    memcached   torngas_aio's MemcachedCache; aiomcache; aiocache

Each of get, set, incr and get_many (20 keys) by 1, 16 and 64 concurrent callers, values of 100 characters. Ours and
the rivals serialize as they do by default; the bare drivers send and return bytes, which is less work. Rounds are
interleaved; figures are medians, and their ratio to the bare driver's. The callers' CPU for each operation is told,
too: on a busy machine it is the steadier figure. What is not installed is left out. Begin with `main`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

CALLERS = (1, 16, 64)
OPERATIONS = ("get", "set", "incr", "get_many")
MANY = 20
VALUE = "x" * 100
BARE = {"redis": "redis.asyncio", "memcached": "aiomcache"}

Operation = Callable[[], Awaitable[Any]]
Subject = Callable[[int], contextlib.AbstractAsyncContextManager[dict[str, Operation]]]


@contextlib.asynccontextmanager
async def torngas_redis(port: int) -> AsyncIterator[dict[str, Operation]]:
    from torngas_aio.cache.backends.rediscache import RedisCache

    cache = RedisCache(f"127.0.0.1:{port}", {"KEY_PREFIX": "torngas"})
    yield await _contract(cache)
    await cache.close()


@contextlib.asynccontextmanager
async def torngas_memcached(port: int) -> AsyncIterator[dict[str, Operation]]:
    from torngas_aio.cache.backends.memcached import MemcachedCache

    cache = MemcachedCache(f"127.0.0.1:{port}", {"KEY_PREFIX": "torngas", "OPTIONS": {"POOL_SIZE": 64}})
    yield await _contract(cache)
    await cache.close()


async def _contract(cache: Any) -> dict[str, Operation]:
    keys = [f"many{number}" for number in range(MANY)]
    await cache.set_many(dict.fromkeys(keys, VALUE))
    await cache.set("key", VALUE)
    await cache.set("n", 0)
    return {
        "get": lambda: cache.get("key"),
        "set": lambda: cache.set("put", VALUE),
        "incr": lambda: cache.incr("n"),
        "get_many": lambda: cache.get_many(keys),
    }


@contextlib.asynccontextmanager
async def bare_redis(port: int) -> AsyncIterator[dict[str, Operation]]:
    from redis.asyncio import BlockingConnectionPool, Redis

    client = Redis.from_pool(BlockingConnectionPool(host="127.0.0.1", port=port, max_connections=64))
    keys = [f"bare:many{number}" for number in range(MANY)]
    await client.mset(dict.fromkeys(keys, VALUE))
    await client.set("bare:key", VALUE)
    await client.delete("bare:n")
    yield {
        "get": lambda: client.get("bare:key"),
        "set": lambda: client.set("bare:put", VALUE, px=300_000),
        "incr": lambda: client.incr("bare:n"),
        "get_many": lambda: client.mget(keys),
    }
    await client.aclose()


@contextlib.asynccontextmanager
async def django_redis(port: int) -> AsyncIterator[dict[str, Operation]]:
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    from django.core.cache.backends.redis import RedisCache

    cache = RedisCache(f"redis://127.0.0.1:{port}", {"KEY_PREFIX": "django"})
    keys = [f"many{number}" for number in range(MANY)]
    await cache.aset_many(dict.fromkeys(keys, VALUE))
    await cache.aset("key", VALUE)
    await cache.aset("n", 0)
    yield {
        "get": lambda: cache.aget("key"),
        "set": lambda: cache.aset("put", VALUE),
        "incr": lambda: cache.aincr("n"),  # get, then set: counts are lost among callers
        "get_many": lambda: cache.aget_many(keys),
    }
    cache.close()


@contextlib.asynccontextmanager
async def cashews_redis(port: int) -> AsyncIterator[dict[str, Operation]]:
    from cashews import Cache

    cache = Cache()
    cache.setup(f"redis://127.0.0.1:{port}", max_connections=64)
    keys = [f"cashews:many{number}" for number in range(MANY)]
    await cache.set_many(dict.fromkeys(keys, VALUE))
    await cache.set("cashews:key", VALUE)
    await cache.delete("cashews:n")
    yield {
        "get": lambda: cache.get("cashews:key"),
        "set": lambda: cache.set("cashews:put", VALUE, expire=300),
        "incr": lambda: cache.incr("cashews:n"),
        "get_many": lambda: cache.get_many(*keys),
    }
    await cache.close()


async def _aiocache(cache: Any) -> dict[str, Operation]:
    keys = [f"aiocache:many{number}" for number in range(MANY)]
    await cache.multi_set([(key, VALUE) for key in keys])
    await cache.set("aiocache:key", VALUE)
    await cache.delete("aiocache:n")
    await cache.increment("aiocache:n")
    return {
        "get": lambda: cache.get("aiocache:key"),
        "set": lambda: cache.set("aiocache:put", VALUE, ttl=300),
        "incr": lambda: cache.increment("aiocache:n"),
        "get_many": lambda: cache.multi_get(keys),
    }


@contextlib.asynccontextmanager
async def aiocache_redis(port: int) -> AsyncIterator[dict[str, Operation]]:
    from aiocache import RedisCache

    cache = RedisCache(endpoint="127.0.0.1", port=port, pool_max_size=64)
    yield await _aiocache(cache)
    await cache.close()


@contextlib.asynccontextmanager
async def aiocache_memcached(port: int) -> AsyncIterator[dict[str, Operation]]:
    from aiocache import MemcachedCache

    cache = MemcachedCache(endpoint="127.0.0.1", port=port, pool_size=64)
    yield await _aiocache(cache)
    await cache.close()


@contextlib.asynccontextmanager
async def bare_memcached(port: int) -> AsyncIterator[dict[str, Operation]]:
    from aiomcache import Client

    client = Client("127.0.0.1", port, pool_size=64)
    keys = [f"bare:many{number}".encode() for number in range(MANY)]
    for key in (*keys, b"bare:key"):
        await client.set(key, VALUE.encode())
    await client.set(b"bare:n", b"0")
    yield {
        "get": lambda: client.get(b"bare:key"),
        "set": lambda: client.set(b"bare:put", VALUE.encode(), 300),
        "incr": lambda: client.incr(b"bare:n"),
        "get_many": lambda: client.multi_get(*keys),
    }
    await client.close()


SUBJECTS: dict[str, dict[str, Subject]] = {
    "redis": {
        "torngas_aio": torngas_redis,
        "redis.asyncio": bare_redis,
        "django": django_redis,
        "cashews": cashews_redis,
        "aiocache": aiocache_redis,
    },
    "memcached": {"torngas_aio": torngas_memcached, "aiomcache": bare_memcached, "aiocache": aiocache_memcached},
}

Key = tuple[str, str, int]
Samples = dict[Key, list[tuple[float, float]]]
"""By subject, operation and callers: operations a second, and microseconds of this process's CPU for each."""


def main() -> int:
    options = _options()
    results: dict[str, dict[str, dict[str, float]]] = {}
    for store in options.stores:
        with started(store) as port:
            samples = _loop_run(options.loop, measured(store, port, options))
        rates = {key: statistics.median(rate for rate, _ in found) for key, found in samples.items()}
        costs = {key: statistics.median(cost for _, cost in found) for key, found in samples.items()}
        print(_table(f"{store}: operations a second", store, rates, higher_is_better=True))
        print(_table(f"{store}: microseconds of the callers' CPU for each", store, costs, higher_is_better=False))
        results[store] = {" ".join(map(str, key)): {"rate": rates[key], "cpu": costs[key]} for key in samples}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


async def measured(store: str, port: int, options: argparse.Namespace) -> Samples:
    """Run every subject once a round, so that what else the machine does meets all alike."""
    samples: Samples = {}
    async with contextlib.AsyncExitStack() as stack:
        opened: dict[str, dict[str, Operation]] = {}
        for name, subject in SUBJECTS[store].items():
            try:
                opened[name] = await stack.enter_async_context(subject(port))
            except ImportError as exc:
                print(f"{name} is left out: {exc}", file=sys.stderr)
        for number in range(options.rounds):
            for operation in OPERATIONS:
                for callers in CALLERS:
                    for name, operations in opened.items():
                        await _burst(operations[operation], callers, options.seconds / 5)  # warms up
                        found = await _burst(operations[operation], callers, options.seconds)
                        samples.setdefault((name, operation, callers), []).append(found)
            print(f"{store}: round {number + 1} of {options.rounds} done", file=sys.stderr)
    return samples


async def _burst(operation: Operation, callers: int, seconds: float) -> tuple[float, float]:
    """Return how many operations a second *callers* get done together, and the CPU of each in microseconds."""
    done = 0
    started_at, cpu_at = time.perf_counter(), time.process_time()

    async def call() -> None:
        nonlocal done
        while time.perf_counter() < started_at + seconds:
            await operation()
            done += 1

    await asyncio.gather(*(call() for _ in range(callers)))
    return done / (time.perf_counter() - started_at), (time.process_time() - cpu_at) / done * 1e6


@contextlib.contextmanager
def started(store: str) -> Iterator[int]:
    """A server of the system's own binary on a free port; killed at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    program = shutil.which("redis-server" if store == "redis" else "memcached")
    if program is None:
        sys.exit(f"{store}: its server is not installed")
    command = (
        [program, "--port", str(port), "--save", ""] if store == "redis" else [program, "-p", str(port), "-U", "0"]
    )
    if store == "memcached" and os.geteuid() == 0:
        command += ["-u", "root"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(server.pid, {cores[-1]})  # the callers have the first core, the server the last
    os.sched_setaffinity(0, {cores[0]})
    try:
        while not _accepts(port):
            time.sleep(0.02)
        yield port
    finally:
        os.sched_setaffinity(0, cores)
        server.kill()
        server.wait()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _table(title: str, store: str, medians: dict[Key, float], *, higher_is_better: bool) -> str:
    """In brackets: how many times better than the bare driver."""
    names = list(dict.fromkeys(name for name, _, _ in medians))
    lines = [f"\n{title} (times better than {BARE[store]})", f"{'':>14}" + "".join(f"{name:>22}" for name in names)]
    for operation in OPERATIONS:
        for callers in CALLERS:
            bare = medians[BARE[store], operation, callers]
            cells = [medians[name, operation, callers] for name in names]
            ratios = [cell / bare if higher_is_better else bare / cell for cell in cells]
            told = "".join(f"{cell:>13,.0f} ({ratio:5.2f})" for cell, ratio in zip(cells, ratios, strict=True))
            lines.append(f"{operation:>9} {callers:>4}{told}")
    return "\n".join(lines)


def _loop_run(loop: str, main: Any) -> Any:
    if loop == "asyncio":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cache_net", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--stores", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each operation, subject and number of callers")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
