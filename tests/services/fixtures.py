"""Fixtures of the stores' servers, a pytest plugin; each server is started once, when first requested.

redis_server   redis_cluster   redis_sentinels   memcached_servers      shared: each test uses its own keys
lone_redis     lone_memcached                                           per test: may be paused, killed, filled
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.services.memcached import MemcachedServer
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer

__all__ = [
    "lone_memcached",
    "lone_redis",
    "memcached_servers",
    "redis_cluster",
    "redis_sentinels",
    "redis_server",
]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer(unix_socket=True, tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinels() -> Iterator[RedisSentinels]:
    with RedisSentinels(down_after=60) as watched:
        yield watched


@pytest.fixture(scope="session")
def memcached_servers() -> Iterator[list[MemcachedServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MemcachedServer()) for _ in range(3)]


@pytest.fixture
def lone_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def lone_memcached() -> Iterator[MemcachedServer]:
    with MemcachedServer() as server:
        yield server
