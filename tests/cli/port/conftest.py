"""The Redis server of the site's tests."""

from tests.services.fixtures import redis_server

__all__ = ["redis_server"]
