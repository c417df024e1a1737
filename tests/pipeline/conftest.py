"""A client of the recording application, on each front door."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pipeline import recording
from torngas_aio.handler import execution
from torngas_aio.testing import TestClient


@pytest.fixture(params=["tornado", "torngas_aio"])
def door(request: pytest.FixtureRequest) -> str:
    """The HTTP server under test."""
    return str(request.param)


@pytest.fixture(params=["watched", "unwatched"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether methods are watched, or each `finish()` asks the loop for its next turn: nothing else may differ."""
    if request.param == "unwatched":
        monkeypatch.setattr(execution, "_watch", lambda handler, method: method)
    return str(request.param)


@pytest.fixture
async def client(door: str, way: str, tmp_path: Path) -> AsyncIterator[TestClient]:
    """A client of `recording_application`; the log is empty once it is open."""
    (tmp_path / "page.html").write_text("{{ word }}")
    (tmp_path / "file.txt").write_text("static")
    recording.MISCHIEF.clear()
    recording.ENDED.clear()
    recording.ENDED["A"] = asyncio.Event()
    recording.Waiting.started = asyncio.Event()
    recording.Waiting.go_on = asyncio.Event()
    application = recording.recording_application(template_path=str(tmp_path), static_path=str(tmp_path))
    async with TestClient(application, http_server=door) as opened:
        recording.LOG.clear()
        yield opened
    recording.ENDED.clear()
