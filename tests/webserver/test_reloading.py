"""A program that a reloaded server starts is no reload itself."""

import os
import subprocess
import sys

import pytest
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
