"""The inspector over sockets: what it records of a request, how much of it, and who may see it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.db.conftest import sqlite
from tests.operations.inspector.site import SECRET

__all__ = ["sqlite"]


@pytest.mark.parametrize("is_debug", [True, False])
def test_without_debug_nothing_of_it_is_loaded(is_debug: bool, tmp_path: Path) -> None:
    script = f"""
import sys
from torngas_aio.settings_manager import settings
settings.configure(DEBUG={is_debug}, TORNADO_CONF={{"cookie_secret": "{SECRET}"}})
from torngas_aio.webserver.building import build_application
from torngas_aio import Application
made = build_application(None, [])
names = ("inspector", "observ", "calls")
loaded = [name for name in sys.modules if name.startswith("torngas_aio.operations.") and any(map(name.count, names))]
print("inspector" if loaded else "none", type(made) is Application)
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == (["inspector", "False"] if is_debug else ["none", "True"]), found.stderr
