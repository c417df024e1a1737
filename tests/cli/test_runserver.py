"""`runserver`, with and without the project's own script, and what `ps` shows of a server."""

import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.webserver.project import Project, RunningServer
from torngas_aio.cli import main
from torngas_aio.http import status_socket


@pytest.mark.timeout(90)  # it starts processes, on machines that may be busy
def test_the_command_line_serves_a_project(project: Path) -> None:
    """`torngas-aio runserver` runs the project's script; without one, it finds the settings itself."""
    (project / "runserver.py").unlink()
    served = RunningServer(Project(project), ["-m", "torngas_aio", "runserver", "--port=0", "--address=127.0.0.1"], {})
    with served as server:
        with urllib.request.urlopen(f"{server.address}/api/hello/ada", timeout=10) as response:
            assert response.headers["Cache-Control"] == "no-store"
        server.terminate()
        assert server.wait() == 0
    (project / "runserver.py").write_text("import sys\nprint('mine', __name__, sys.argv)\n")
    done = Project(project).run("-m", "torngas_aio", "runserver", "--port=0")
    assert done.stdout == "mine __main__ ['runserver.py', '--port=0']\n"


def test_ps_shows_ages_and_sizes_as_people_read_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = {"number": 1, "pid": 8, "state": "ready", "requests": 3, "rss": 64 * 2**20, "started_at": 0, "code": ""}
    workers = [{**worker, "age": age} for age in (119.0, 121.0, 7_300.0, 180_000.0)]
    server: dict[str, Any] = {
        "pid": 7,
        "age": 60.0,
        "folder": "/site",
        "command": ["python", "runserver.py"],
        "workers": workers,
    }
    monkeypatch.setattr(status_socket, "ask_all", lambda: iter([server]))
    assert main(["ps"]) == 0
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title == "process 7, 60 s, in /site: python runserver.py"
    assert header.split()[:4] == ["worker", "process", "state", "age"]
    assert [row.split(maxsplit=3)[3].split("  ")[0] for row in rows] == ["119 s", "2 min", "2 h", "2 d"]
    assert all("64 MiB" in row and row.endswith("?") for row in rows)
    server["renewal"] = {"state": "failed", "at": 0, "error": "The new worker 0 ended with status 1."}
    monkeypatch.setattr(status_socket, "ask_all", lambda: iter([server]))
    assert main(["ps"]) == 0
    renewal = capsys.readouterr().out.splitlines()[1]
    assert renewal.startswith("last renewal: failed, 19")
    assert renewal.endswith(": The new worker 0 ended with status 1.")
