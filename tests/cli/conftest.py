"""A project that startproject has made, as the current directory; what it imported is forgotten afterwards."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torngas_aio.cli import main
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory to work in; modules imported from it do not outlive the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(ENVIRONMENT_NAME, "")
    before = set(sys.modules)
    yield tmp_path
    settings.reset()
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None) or ""
        if place.startswith(str(tmp_path)):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def project(directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A fresh project named `site`, as the current directory."""
    assert main(["startproject", "site-one"]) == 0
    capsys.readouterr()
    os.chdir(directory / "site-one")  # monkeypatch.chdir of `directory` undoes it
    sys.path[:] = [entry for entry in sys.path if entry != str(directory)]
    return directory / "site-one"
