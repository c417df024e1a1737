"""The stores' servers, for the backends' own tests."""

from tests.services.fixtures import lone_memcached, lone_redis, memcached_servers, redis_cluster, redis_server

__all__ = ["lone_memcached", "lone_redis", "memcached_servers", "redis_cluster", "redis_server"]
