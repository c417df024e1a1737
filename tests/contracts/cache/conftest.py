"""Backends of the suite: one fixture for each, and `subject` and `cache`, parametrized over all."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contracts.cache.networked import (
    NETWORKED,
    subject_cluster,
    subject_memcached,
    subject_redis,
    subject_sentinel,
)
from tests.contracts.cache.subject import Clock, MakeCache, Subject
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.backends.dummy import DummyCache
from torngas_aio.cache.backends.filecache import FileBasedCache
from torngas_aio.cache.backends.localcache import LocMemCache

__all__ = [
    "subject_cluster",
    "subject_memcached",
    "subject_redis",
    "subject_sentinel",
]

KEEPING = ("locmem", "file", *NETWORKED)
NAMES = (*KEEPING, "dummy")


@contextmanager
def made_by(kind: type[BaseCache], location: str, clock: Clock) -> Iterator[tuple[MakeCache, list[BaseCache]]]:
    opened: list[BaseCache] = []

    def make(**params: object) -> BaseCache:
        cache = kind(location, params)
        cache.clock = clock
        opened.append(cache)
        return cache

    yield make, opened


@pytest.fixture
async def subject_locmem(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    clock = Clock()
    with made_by(LocMemCache, request.node.nodeid, clock) as (make, opened):
        yield Subject(make, clock.wind)
        for cache in opened:
            await cache.close()


@pytest.fixture
async def subject_file(tmp_path: Path) -> AsyncIterator[Subject]:
    clock = Clock()
    with made_by(FileBasedCache, str(tmp_path / "cache"), clock) as (make, opened):
        yield Subject(make, clock.wind)
        for cache in opened:
            await cache.close()


@pytest.fixture
async def subject_dummy() -> AsyncIterator[Subject]:
    clock = Clock()
    with made_by(DummyCache, "", clock) as (make, _):
        yield Subject(make, clock.wind, keeps=False)


@pytest.fixture(params=KEEPING)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Every backend that stores values."""
    found: Subject = request.getfixturevalue(f"subject_{request.param}")
    return found


@pytest.fixture(params=NAMES)
def any_subject(request: pytest.FixtureRequest) -> Subject:
    """Every backend."""
    found: Subject = request.getfixturevalue(f"subject_{request.param}")
    return found


@pytest.fixture
def cache(subject: Subject) -> BaseCache:
    return subject.make()
