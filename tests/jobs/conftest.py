"""The backends that the suite runs on, and workers of them in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.services.fixtures import redis_cluster, redis_sentinels, redis_server
from torngas_aio._cleanup import close_all, tasks_to_drain
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.jobs.declaring import declared
from torngas_aio.jobs.registry import jobs
from torngas_aio.settings_manager import settings

__all__ = ["redis_cluster", "redis_sentinels", "redis_server"]

Working = Callable[..., contextlib.AbstractAsyncContextManager[Any]]


@pytest.fixture(autouse=True)
def only_own_jobs() -> Iterator[None]:
    """Forget the jobs that a test declares."""
    before = dict(declared)
    yield
    declared.clear()
    declared.update(before)


@pytest.fixture(params=["memory"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[BaseJobs]:
    """The backend of JOBS["default"]."""
    with settings.override(JOBS={"default": entry_of(request)}):
        yield jobs["default"]
        await close_all()


def entry_of(request: pytest.FixtureRequest, **options: Any) -> dict[str, Any]:
    return {"BACKEND": "torngas_aio.jobs.memory.MemoryJobs", "OPTIONS": options}


@pytest.fixture
def working(backend: BaseJobs) -> Working:
    """Return a function whose block has a worker of the backend."""

    @contextlib.asynccontextmanager
    async def work() -> AsyncIterator[None]:
        yield
        while tasks := tasks_to_drain():
            await asyncio.wait(tasks, timeout=20)

    return work
