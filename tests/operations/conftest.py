"""A client of the health addresses."""

from collections.abc import AsyncIterator

import pytest

from torngas_aio import Application
from torngas_aio.operations import health
from torngas_aio.operations.handlers import health_rules
from torngas_aio.testing import TestClient


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestClient]:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    async with TestClient(Application(health_rules())) as client:
        yield client
