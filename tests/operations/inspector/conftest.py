"""A client of the inspected site."""

from collections.abc import AsyncIterator

import pytest

from tests.db.conftest import sqlite
from tests.operations.inspector.site import made, project
from torngas_aio.testing import TestClient

__all__ = ["sqlite"]


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    application, _ = made()
    with project():
        async with TestClient(application) as client:
            yield client
