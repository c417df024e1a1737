"""The stores' servers, for the backends' own tests."""

from tests.services.fixtures import lone_redis, redis_cluster, redis_server

__all__ = ["lone_redis", "redis_cluster", "redis_server"]
