"""The backends that the suite runs on, and workers of them in this process."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest

from torngas_aio._cleanup import close_all, tasks_to_drain
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.jobs.registry import jobs
from torngas_aio.jobs.worker import queues_of, run_worker
from torngas_aio.settings_manager import settings

Working = Callable[..., contextlib.AbstractAsyncContextManager[Any]]


@pytest.fixture(autouse=True)
def short_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torngas_aio.jobs.redis.BLOCK_SECONDS", 0.1)


@pytest.fixture(params=["memory", "redis", "sentinel", "cluster"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[BaseJobs]:
    """The backend of JOBS["default"]."""
    with settings.override(JOBS={"default": entry_of(request)}):
        yield jobs["default"]
        await close_all()


@pytest.fixture
async def memory() -> AsyncIterator[BaseJobs]:
    """The default backend, for what is the same on all of them."""
    yield jobs["default"]
    await close_all()


def entry_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    fixture = {"redis": "redis_server", "cluster": "redis_cluster", "sentinel": "redis_sentinels"}.get(request.param)
    if fixture is None:
        return {"BACKEND": "torngas_aio.jobs.memory.MemoryJobs"}
    options = {"KEY_PREFIX": f"jobs-{uuid.uuid4().hex}", "DEADLINE": 10}
    url = request.getfixturevalue(fixture).url
    return {"BACKEND": "torngas_aio.jobs.redis.RedisJobs", "LOCATION": url, "OPTIONS": options}


@pytest.fixture
def working(backend: BaseJobs) -> Working:
    """Return a function whose block has a worker of the backend."""

    @contextlib.asynccontextmanager
    async def work() -> AsyncIterator[None]:
        if backend.runs_here:
            yield
            while tasks := tasks_to_drain():
                await asyncio.wait(tasks, timeout=20)
            return
        async with worker_of(backend, {"default", *queues_of("default")}):
            yield

    return work


@contextlib.asynccontextmanager
async def worker_of(backend: BaseJobs, queues: Collection[str], **options: Any) -> AsyncIterator[asyncio.Event]:
    """Run a worker for a block; it gives what stops it."""
    stopping = asyncio.Event()
    worker = asyncio.create_task(run_worker(backend, sorted(queues), stopping, **options))
    try:
        yield stopping
    finally:
        stopping.set()
        await asyncio.wait_for(worker, 30)
