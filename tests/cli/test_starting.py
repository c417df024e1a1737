"""startproject and startapp make what works at once."""

import os
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.webserver.project import Project
from torngas_aio.checks.signing import is_well_known
from torngas_aio.cli import main

pytestmark = pytest.mark.timeout(90)  # each test starts processes, on machines that may be busy

LAYOUT = """home/urls.py home/handlers/main_handler.py settings/setting.py settings/setting_online.py
    middlewares/timing.py httpmodules/nostore.py templates/base.html statics/css/site.css logs/.gitkeep
    runserver.py README.md pyproject.toml .gitignore tests/test_home.py"""


def test_it_has_the_layout_of_torngas_1_8(project: Path) -> None:
    """Applications, settings, middlewares, modules, templates, static files, logs, runserver.py."""
    for name in LAYOUT.split():
        assert (project / name).is_file(), name
    texts = [path.read_text() for path in project.rglob("*") if path.is_file()]
    assert not any("__project__" in text or "__secret__" in text for text in texts)


def test_each_project_has_a_secret_of_its_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Random, and not one that is refused."""
    assert main(["startproject", "second", str(project.parent / "two")]) == 0
    first, second = (
        (path / "settings/setting.py").read_text().partition('"COOKIE_SECRET", "')[2].partition('"')[0]
        for path in (project, project.parent / "two")
    )
    assert first != second
    assert len(first) >= 32
    assert not is_well_known(first)
    assert "python runserver.py" in capsys.readouterr().out


def test_its_own_tests_pass(project: Path) -> None:
    """`python -m pytest` in a new project is green, with warnings as errors."""
    done = Project(project).run("-m", "pytest", "-q", "-p", "torngas_aio.testing.plugin", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("here", [".", "../here", "{path}"])
def test_a_project_made_here_names_its_folder(directory: Path, capsys: pytest.CaptureFixture[str], here: str) -> None:
    """And asks for no change of directory."""
    (directory / "here").mkdir()
    os.chdir(directory / "here")  # monkeypatch.chdir of `directory` undoes it
    assert main(["startproject", "shop", here.format(path=directory / "here")]) == 0
    out = capsys.readouterr().out
    assert out == f"Made {directory / 'here'}. Now:\n\n  python runserver.py\n  python -m pytest\n\n"
    assert (directory / "here" / "runserver.py").is_file()


def test_it_is_served(project: Path) -> None:
    """By its runserver.py: on this machine only, with the page, its style and its API."""
    with Project(project).serve("--port=0") as server:
        assert server.address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(server.address, timeout=10) as response:
            page = response.read().decode()
        assert "<h1>site-one</h1>" in page
        style = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        with urllib.request.urlopen(server.address + style, timeout=10) as response:
            assert response.headers["Content-Type"] == "text/css"
        with urllib.request.urlopen(f"{server.address}/api/hello/ada", timeout=10) as response:
            assert response.read() == b'{"hello":"ada"}'
        server.terminate()
        assert server.wait() == 0
    assert "OTHER MACHINES" not in server.log


def test_online_settings_want_a_secret_from_the_environment(project: Path) -> None:
    """Without it they are refused, with it they serve without debug."""
    done = Project(project).run("-m", "torngas_aio", "check", "--settings=settings.setting_online")
    assert done.returncode == 1
    assert "TORNADO_CONF['cookie_secret'] is missing, and DEBUG is off" in done.stderr
    secret = "a-long-and-random-secret-of-this-test"
    done = Project(project).run(
        "-m", "torngas_aio", "check", "--settings=settings.setting_online", COOKIE_SECRET=secret
    )
    assert done.returncode == 0, done.stderr


def test_an_application_is_added(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """startapp tells what to do; once installed, its page is routed."""
    assert main(["startapp", "blog"]) == 0
    assert "Add 'blog' to INSTALLED_APPS" in capsys.readouterr().out
    setting = project / "settings/setting.py"
    setting.write_text(setting.read_text().replace('("home",)', '("home", "blog")'))
    assert main(["routes"]) == 0
    assert "/blog/?" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["startproject", "a b"], "use letters, digits, underscores and hyphens; no digit first"),
        (["startproject", "1x"], "no digit first"),
        (["startproject", "full"], "full: exists and is not empty"),
        (["startproject", "file"], "file: exists and is not empty"),
        (["startproject", "new", "file/below"], "Not a directory"),
        (["startapp", "my-app"], "a package's name is letters, digits and underscores"),
        (["startapp", "class"], "a package's name is letters, digits and underscores"),
        (["startapp", "json"], "a module of this name exists already"),
        (["startapp", "torngas_aio"], "a module of this name exists already"),
    ],
)
def test_names_that_cannot_be_are_refused(
    directory: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """With a reason; nothing that exists is touched."""
    (directory / "full").mkdir()
    (directory / "full" / "precious").write_text("kept")
    (directory / "file").write_text("kept")
    assert main(words) == 1
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in directory.rglob("*")) == ["file", "full", "precious"]
    assert str(directory) in sys.path
