"""How tests have a project ported, and what they look at then."""

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.port.trees import TREES
from tests.webserver.project import Project
from torngas_aio.cli import main
from torngas_aio.cli.port.python2 import convert_source


def make(folder: Path, name: str, redis_port: int = 0) -> Project:
    project = Project(folder / name)
    for path, text in TREES[name].items():
        project.write(path, text.removeprefix("\n").replace("REDIS_PORT", str(redis_port)))
    return project


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as exc:
        return f"{exc.code} {exc.read().decode()}"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}


def port(project: Project, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["port", str(project.path), "--write", *options]) == 0
    return capsys.readouterr().out


def ported(folder: Path, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> str:
    """Return the file that *text* becomes."""
    project = Project(folder)
    path = project.write("app.py", text)
    port(project, capsys, *options)
    return path.read_text()


def mended(text: str) -> str:
    """Return what *text* of a Python 2 project becomes, without the imports at its head."""
    made = convert_source(text)
    assert made is not None
    assert convert_source(made) == made, "a second time something else"
    return "".join(line for line in made.splitlines(keepends=True) if not line.startswith(("import ", "from ")))


CACHE = "from torngas_aio.cache import cache\n\n\n"


def listed(report: str) -> list[str]:
    """Return the lines of a report that say what is left to do."""
    return re.findall(r"(?m)^\S+:\d+: TGM.*", report)
