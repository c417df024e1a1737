"""Connections to one memcached: lent to one caller at a time."""

import asyncio

import pytest

from tests.cache.memcached.conftest import Make
from tests.services.memcached import MemcachedServer
from tests.services.process import HOST
from torngas_aio.exception import CacheUnavailable

pytestmark = pytest.mark.memcached


async def test_a_full_pool_makes_callers_wait(make: Make, lone_memcached: MemcachedServer) -> None:
    cache = make(lone_memcached.address, POOL_SIZE=2, DEADLINE=10)
    assert await cache.add("n", 0)
    numbers = await asyncio.gather(*(cache.incr("n") for _ in range(1000)))
    assert sorted(numbers) == list(range(1, 1001))
    assert current_connections(lone_memcached) <= 2 + 1


async def test_a_pool_that_stays_full_says_so(make: Make, lone_memcached: MemcachedServer) -> None:
    cache = make(lone_memcached.address, POOL_SIZE=1)
    await cache.set("n", 0)
    node = cache._node(cache.keys_of.make("n"))
    await node.pool._places.take(1)
    with pytest.raises(CacheUnavailable, match=r"all 1 connections stayed in use.*POOL_SIZE"):
        await cache.incr("n")
    node.pool._places.release()
    assert await cache.incr("n") == 1


def current_connections(server: MemcachedServer) -> int:
    """How many clients the server has, the one that asks included."""
    import socket

    with socket.create_connection((HOST, server.port)) as client:
        client.sendall(b"stats\r\n")
        for line in client.makefile("rb"):
            if line.startswith(b"STAT curr_connections"):
                return int(line.split()[2]) - 1  # the listening socket counts, too
    raise AssertionError("no such statistic")
