"""The pytest plugin where the extra `testing` is not installed: it is loaded beside every pytest all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import torngas_aio

WITHOUT_THE_EXTRA = """
import sys

sys.modules["httpx2"] = sys.modules["httpcore2"] = None  # as if they were not installed
"""

RUN = f"""{WITHOUT_THE_EXTRA}
import sys

import pytest

sys.exit(pytest.main(["-q", "-p", "torngas_aio.testing.plugin", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def run(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter makes of *code*."""
    command = [sys.executable, "-c", code, *arguments]
    here = str(Path(torngas_aio.__file__).parents[1])
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": here},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A project with a test that wants nothing of torngas_aio, and one that does."""
    (tmp_path / "test_it.py").write_text(
        "def test_plain():\n    pass\n\n\ndef test_with_client(client):\n    pass\n", encoding="utf-8"
    )
    return tmp_path


def test_other_tests_run_without_the_extra(foreign: Path) -> None:
    """Who has pytest for something else is not disturbed; who asks for the client reads what to install."""
    done = run(RUN, cwd=foreign)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "1 error" in done.stdout
    assert "pip install 'torngas-aio[testing]'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_client_names_its_extra(tmp_path: Path) -> None:
    """A ConfigError, when it is asked for and not before."""
    done = run(f"{WITHOUT_THE_EXTRA}\nfrom torngas_aio.testing import TestClient", cwd=tmp_path)
    assert done.returncode == 1
    assert "ConfigError: torngas_aio's test client and fixtures need the extra `testing`" in done.stderr


def test_the_orm_names_its_extra(tmp_path: Path) -> None:
    """Below the import error that Python gives."""
    done = run("import sys\nsys.modules['sqlalchemy'] = None\nimport torngas_aio.db.dbalchemy", cwd=tmp_path)
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install 'torngas-aio[db]'" in done.stderr


def test_modules_read_the_settings_when_they_are_imported(tmp_path: Path) -> None:
    """By test modules too: before any fixture, when the tests are collected."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\ntorngas_settings = "chosen"\npythonpath = ["."]\n', encoding="utf-8"
    )
    (tmp_path / "chosen.py").write_text("PAGE_SIZE = 7\n", encoding="utf-8")
    (tmp_path / "shop.py").write_text(
        "from torngas_aio import settings\n\nPAGE_SIZE = settings.PAGE_SIZE\n", encoding="utf-8"
    )
    (tmp_path / "test_it.py").write_text(
        "import shop\n\n\ndef test_it():\n    assert shop.PAGE_SIZE == 7\n", encoding="utf-8"
    )
    done = run(RUN.removeprefix(WITHOUT_THE_EXTRA), cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
