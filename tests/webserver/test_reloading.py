"""A program that a reloaded server starts is no reload itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from tornado import autoreload

from torngas_aio.webserver import Server, reloading


def test_the_mark_of_a_reload_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "_is_reloading", False)
    monkeypatch.setenv("TORNGAS_RELOADING", "1")
    Server(os.getcwd())  # noqa: PTH109
    assert "TORNGAS_RELOADING" not in os.environ
    code = "import os; print(os.environ.get('TORNGAS_RELOADING'))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "None\n"
    assert reloading.is_reloading()
    assert reloading.is_reloading()


def test_a_start_that_waits_for_an_edit_marks_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "_is_reloading", True)
    monkeypatch.setenv("TORNGAS_RELOADING", "")
    monkeypatch.setattr(autoreload, "wait", lambda: None)
    reloading.wait_if_reloading(ValueError())
    assert os.environ["TORNGAS_RELOADING"] == "1"


def test_a_first_start_is_no_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "_is_reloading", False)
    monkeypatch.delenv("TORNGAS_RELOADING", raising=False)
    assert not reloading.is_reloading()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocking_calls_fail: BlockBuster) -> Iterator[Path]:
    """A file of the project, older than this process."""
    blocking_calls_fail.deactivate()  # the watcher looks at the disk
    path = tmp_path / "late.py"
    path.write_text("")
    os.utime(path, ns=(0, reloading._STARTED_NS - 1))
    monkeypatch.setattr(reloading, "_watched_files", lambda: [str(path)])
    monkeypatch.delenv(reloading._LATE, raising=False)
    yield path
    os.environ.pop(reloading._LATE, None)


async def starts(monkeypatch: pytest.MonkeyPatch, watcher: reloading._Watcher) -> int:
    """Return how often three looks start the program again."""
    restarts: list[int] = []

    async def no_fault(program: object) -> str:
        return ""

    monkeypatch.setattr(reloading, "trial_fault", no_fault)
    monkeypatch.setattr(reloading, "restart", lambda: restarts.append(1))
    for _ in range(3):
        await watcher.look()
    return len(restarts)


async def test_a_file_that_changes_during_the_start_is_a_change(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program had imported what stood there before, and never noticed."""
    assert await starts(monkeypatch, reloading._Watcher()) == 0
    os.utime(watched, ns=(0, reloading._STARTED_NS + 1))
    assert await starts(monkeypatch, reloading._Watcher()) == 1


async def test_a_file_that_each_start_writes_starts_it_once(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(watched, ns=(0, reloading._STARTED_NS + 1))
    assert await starts(monkeypatch, reloading._Watcher()) == 1
    os.utime(watched, ns=(0, reloading._STARTED_NS + 2))
    assert await starts(monkeypatch, reloading._Watcher()) == 0
    assert reloading._LATE not in os.environ


async def test_a_change_between_start_and_first_look_is_noticed(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = reloading._Watcher()
    os.utime(watched, ns=(0, reloading._STARTED_NS + 1))
    assert await starts(monkeypatch, watcher) == 1
