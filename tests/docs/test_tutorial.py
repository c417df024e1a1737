"""The tutorial, followed step by step: its files over a new project, its checks, its tests."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SECRETS = ("COOKIE_SECRET", "SECRET_KEY", "AUTHOR_PASSWORD")

_FILE = re.compile(r"^```(?:python|html)\n(?:# |\{# )(\S+)(?: #\})?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"^```(?:python|html)\n", re.MULTILINE)


def in_project(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m *arguments` in *folder*, with *variables* and none of this run's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TORNGAS", "BLOG", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**kept, **variables, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _is_installed() -> bool:
    """Whether pytest finds the plugin by itself, as it does for whoever has installed the package."""
    return any(point.value == "torngas_aio.testing.plugin" for point in entry_points(group="pytest11"))


@pytest.mark.timeout(240)  # nine processes, one after the other: 20 s of one core
def test_the_blog_of_the_tutorial(tmp_path: Path) -> None:
    """A new project, the files of every step, its migration, the guard in the pipeline, `pytest`, `check --deploy`."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    files = _FILE.findall(text)  # in order: a later step may write a file again
    assert len(files) == len(_BLOCK.findall(text))  # no block without a file's name
    assert in_project(tmp_path, "torngas_aio", "startproject", "mysite").returncode == 0
    project = tmp_path / "mysite"
    assert in_project(project, "torngas_aio", "startapp", "blog").returncode == 0
    for name, content in files:
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")

    for command, expected in (
        ("db revision -m posts", "migrations"),
        ("db upgrade", ""),
        ("pipeline /write", "AuthorModule"),
        ("openapi", "/api/posts"),
    ):
        done = in_project(project, "torngas_aio", *command.split())
        assert done.returncode == 0, done.stdout + done.stderr
        assert expected in done.stdout
    assert (project / "blog.db").exists()

    plugin = [] if _is_installed() else ["-p", "torngas_aio.testing.plugin"]
    tests = in_project(project, "pytest", "-q", "-p", "no:cacheprovider", *plugin)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "9 passed" in tests.stdout

    check = ("torngas_aio", "check", "--deploy", "--settings=settings.setting_online")
    secrets = {name: f"of this test, with 32 characters: {name}" for name in SECRETS}
    ready = in_project(project, *check, **secrets)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    assert ready.stdout in text  # the page shows what it prints: no faults, no cautions
    refused = in_project(project, *check)
    assert refused.returncode == 1
    assert all(f"{name!r}] is missing" in refused.stderr for name in ("cookie_secret", "secret_key"))
