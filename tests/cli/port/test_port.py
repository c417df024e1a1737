"""Projects of torngas 1.8 and of Tornado 4 are ported, start, and answer as before; a second run changes nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.port.porting import answer, contents, make, port
from tests.polling import wait_until
from tests.services.process import HOST, accepts, free_port
from tests.services.redis import RedisServer
from tests.webserver.project import Project

PAGES = {
    "blog": [
        ("/admin/", "posts=0 unseen"),
        ("/admin/write/?title=one", "saved"),
        ("/admin/write/?title=two", "saved"),
        ("/", "1: two, one"),
        ("/post/1", "one"),
        ("/admin/remove/1", "removed"),
        ("/post/1", "404 no post"),
        ("/admin/", "posts=1"),
    ],
    "site": [("/push/?text=one", "pushed 1"), ("/push/?text=two", "pushed 2"), ("/", "two, one")],
    "game": [
        ("/", "none"),
        ("/walk/?player=ann&steps=2", "ann at 2"),
        ("/walk/?player=ann", "ann at 3"),
        ("/?banned=1", "403 banned"),
        ("/", "ann"),
        ("/moves/", "2"),
    ],
}


@pytest.mark.parametrize("name", ["blog", "game"])
@pytest.mark.timeout(120)
def test_a_ported_project_is_checked_starts_and_answers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _answers(make(tmp_path, name), name, capsys)


@pytest.mark.redis
@pytest.mark.timeout(120)
def test_a_site_with_redis_lists_and_its_cron_script(
    redis_server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make(tmp_path, "site", redis_server.port)
    _answers(project, "site", capsys)
    done = project.run("cron/report.py")
    assert (done.returncode, done.stdout.split("\n")[:3]) == (0, ["from cron", "two", "one"]), done.stderr


def _answers(project: Project, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = port(project, capsys)
    lines = int(re.search(r"(\d+) lines", report)[1])  # type: ignore[index]
    assert int(re.search(r"(\d+) places", report)[1]) <= max(1, lines / 150)  # type: ignore[index]
    once = contents(project.path)
    port(project, capsys)
    assert contents(project.path) == once
    checked = project.run("-m", "torngas_aio", "check", "--settings=settings.setting")
    assert checked.returncode == 0, checked.stderr
    with project.serve("--port=0", "--address=127.0.0.1") as server:
        for path, expected in PAGES[name]:
            assert answer(server.address + path).strip() == expected, (path, server.log)
    assert "never awaited" not in server.log


@pytest.mark.timeout(120)
def test_a_tornado_project_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, listening = make(tmp_path, "tornado"), free_port()
    assert "0 places" in port(project, capsys)
    with subprocess.Popen(
        [sys.executable, "runserver.py", f"--port={listening}"], cwd=project.path, env=project.environment()
    ) as process:
        try:
            wait_until(lambda: accepts((HOST, listening)), 60)
            assert answer(f"http://127.0.0.1:{listening}/") == "3"
            assert answer(f"http://127.0.0.1:{listening}/plain") == "plain"
        finally:
            process.kill()
