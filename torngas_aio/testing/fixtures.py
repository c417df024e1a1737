"""The fixtures of the pytest plugin, for an environment with the extra `testing`."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio

from torngas_aio._cleanup import close_all
from torngas_aio._names import did_you_mean
from torngas_aio.application import Application
from torngas_aio.exception import ArgumentError
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings
from torngas_aio.testing.client import TestClient, made_application

__all__ = ["application", "client", "db_session", "job_queue", "override_settings"]


@pytest.fixture
def override_settings() -> Iterator[Callable[..., None]]:
    """Return a function that overrides settings, given as keywords, until the end of the test.

    They apply to the calling test and its requests. Names similar to a setting are refused as misspelt.
    """
    with ExitStack() as stack:

        def override(**values: object) -> None:
            for name in values:
                if name not in settings and (meant := did_you_mean(name, settings, likeness=0.85)):
                    raise ArgumentError(f"override_settings({name}=...): there is no such setting.{meant}")
            stack.enter_context(settings.override(**values))

        yield override


@pytest.fixture
def application(request: pytest.FixtureRequest) -> Iterator[Application]:
    """Return the application of the project's settings, not started yet; override this fixture to test another."""
    module = request.config.getini("torngas_settings") or os.environ.get(ENVIRONMENT_NAME)
    if not module:
        pytest.fail(
            "No settings module is named. Set `torngas_settings` in the pytest configuration, or "
            f"{ENVIRONMENT_NAME}, or override the `application` fixture."
        )
    with made_application(module) as made:
        yield made


@pytest_asyncio.fixture
async def client(application: Application) -> AsyncIterator[TestClient]:
    """Return a client of `application`, listening on a free port in the test's loop."""
    async with TestClient(application) as opened:
        yield opened


@pytest_asyncio.fixture
async def db_session() -> AsyncIterator[Any]:
    """Return a session of the connection "default" within a transaction that is rolled back after the test.

    Each request and job has its own session on the same connection, one at a time, and commits or rolls back as usual.
    Commits are visible to the test, its requests and jobs only. The tables must exist. Queries of the test refresh
    objects that it has loaded before. Needs an extra with SQLAlchemy, such as `sqlite`.
    """
    from torngas_aio.db.dbalchemy import rolled_back

    try:
        async with rolled_back() as session:
            yield session
    finally:
        await close_all()  # the pools of this test's loop: there need not be an application that closes them


@pytest_asyncio.fixture
async def job_queue() -> AsyncIterator[Any]:
    """Return a `torngas_aio.testing.jobs.RecordedJobs`, which replaces all backends of JOBS and records jobs.

    `calls(job)` returns the waiting calls, `await run()` runs them, `await advance(seconds)` moves the clock and
    enqueues due jobs. Needs the extra `jobs`.
    """
    from torngas_aio.testing.jobs import RecordedJobs

    kept = RecordedJobs()
    with settings.override(JOBS={alias: {"BACKEND": RecordedJobs, "LOCATION": kept} for alias in settings.JOBS}):
        yield kept
