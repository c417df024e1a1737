"""Connections of a node are shared out among its processes."""

from typing import Any

import pytest

from torngas_aio import _node
from torngas_aio.channels.memory import MemoryChannels
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy.specs import parse_database
from torngas_aio.exception import ConfigError
from torngas_aio.httpmodule.ratelimit import RateLimit
from torngas_aio.settings_manager import settings


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_node, "_said", None)
    monkeypatch.setattr(_node, "_warned", set())
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)


def parsed(total: Any) -> Any:
    server = {"ROLE": "master", "DRIVER": "mysql+aiomysql", "HOST": "h", "DATABASE": "d", "NODE_CONNECTIONS": total}
    return parse_database("default", {"default": {"connections": [server]}}, {"sqlalchemy.max_overflow": 5}).master


@pytest.mark.parametrize(("workers", "total", "share"), [(1, 40, 40), (4, 40, 10), (3, 40, 13), (8, 4, 1)])
def test_each_process_has_its_share(workers: int, total: int, share: int) -> None:
    _node.set_processes(workers)
    options = parsed(total).options
    assert (options["pool_size"], options["max_overflow"]) == (share, 0)


async def test_basedb_s_pool_too() -> None:
    db = database(dbn="mysql", db="d", node_connections=40)
    _node.set_processes(4)  # after the module was imported, before the worker's loop runs
    assert db.pool._places.size == 10
    await db.aclose()
    for wrong in (0, -1, "many"):
        with pytest.raises(ConfigError, match="node_connections"):
            database(dbn="mysql", db="d", node_connections=wrong)


@pytest.mark.parametrize("text", ["4", "04"])
def test_the_environment_says_it_to_other_servers(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", text)
    assert _node.processes() == 4


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1e9", "99999999", "\u0664"])
def test_what_is_not_a_number_of_processes_is_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", text)
    assert _node.processes() == 1


@pytest.mark.parametrize("total", [0, -1, "40", 1.5, True])
def test_a_wrong_number_is_a_fault(total: Any) -> None:
    with pytest.raises(ConfigError, match="NODE_CONNECTIONS"):
        parsed(total)


@pytest.mark.parametrize("workers", [1, 4])
async def test_memory_that_several_processes_would_have_to_share_is_told_once(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    _node.set_processes(workers)
    channels = MemoryChannels()
    for number in range(3):
        await channels.publish("news", number)
        RateLimit()
    told = [record.getMessage() for record in caplog.records if record.name == "torngas_aio.server"]
    expected = [
        "CHANNELS['default'] is in memory, and 4 workers serve: each hears its own messages only. Name a server.",
        "RATE_LIMIT['storage'] is in memory, and 4 workers serve: each counts for itself. Name a server.",
    ]
    assert told == (expected if workers == 4 else [])


def test_a_server_that_is_shared_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    _node.set_processes(4)
    with settings.override(RATE_LIMIT={"storage": "async+redis://127.0.0.1:6379"}):
        RateLimit()
    assert not caplog.records
