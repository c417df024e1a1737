"""Calls that are left to a person are told: what cannot await, what is ambiguous, what is read as a value."""

# ruff: noqa: E501  the texts of files
from pathlib import Path

import pytest

from tests.cli.port.porting import CACHE, listed, port, ported
from tests.webserver.project import Project

MODEL = "from torngas.db.dbalchemy import Model\n\n\nclass Post(Model):\n    pass\n\n\n"


def test_calls_that_wait_in_one_place_are_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write(
        "app.py", f"{CACHE}class A:\n    def __init__(self):\n        cache.get('a')\n        cache.clear()\n"
    )
    (line,) = listed(port(project, capsys))
    assert line.startswith("app.py:6: TGM202 `cache.get(...)`, `cache.clear(...)` (lines 6, 7) wait, but `__init__`")


def test_places_that_read_a_property_that_waits_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    model = MODEL + "class Note(Model):\n    @property\n    def author(self):\n        return Post.Q.get(1)\n"
    path = project.write("models.py", model)
    project.write(
        "app.py",
        "def f(note):\n    return note.author.name, 1\n\n\ndef g(note):\n    if not note.author:\n        pass\n",
    )
    project.write("templates/a.html", "{{ note.author.name }}\n")
    report = listed(port(project, capsys))
    assert "Read at app.py:2, app.py:6." in report[0]
    assert report[1].startswith("templates/a.html:1: TGM204")
    path.write_text(
        path.read_text()
        .replace("    @property\n    def author", "    async def author")
        .replace("return Post", "return await Post")
    )
    report = listed(port(project, capsys))
    assert [line.partition(" `")[0] for line in report] == [
        "app.py:2: TGM201",
        "app.py:6: TGM201",
        "templates/a.html:1: TGM204",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(ids):\n    return map(cache.get, ids)\n", "app.py:5: TGM202 `cache.get(...)` waits, but `map(...)` calls"),
        ("class A(object):\n    def say(self):\n        cache.get('a')\n\n    def f(self, x):\n        {'say': self.say}[x]()\n", "app.py:9: TGM201 `.say`"),
    ],
)  # fmt: skip
def test_coroutine_functions_that_are_handed_on_are_told(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("app.py", CACHE + text)
    assert listed(port(project, capsys))[0].startswith(line)


@pytest.mark.parametrize(
    "text",
    [
        "def test_a():\n    cache.get('a')\n",
        "class TestA(object):\n    def test_a(self):\n        cache.get('a')\n",
        "import pytest\n\n\n@pytest.fixture\ndef a():\n    return cache.get('a')\n",
        "import pytest\n\n\n@pytest.fixture(scope='module')\ndef a():\n    return cache.get('a')\n",
    ],
)
def test_pytest_does_not_await(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    path = project.write("test_app.py", CACHE + text)
    (line,) = listed(port(project, capsys))
    assert "TGM202" in line
    assert "pytest awaits" in line
    assert path.read_text() == CACHE + text


def test_a_method_that_waits_in_each_class_is_awaited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = "class A(object):\n    def keep(self):\n        cache.set('a', 1)\n\n\nclass B(object):\n    def keep(self):\n        %s\n\n\ndef f(x):\n    return x.keep()\n"
    assert ported(tmp_path / "a", capsys, CACHE + both % "cache.delete('a')").endswith(
        "async def f(x):\n    return await x.keep()\n"
    )
    project = Project(tmp_path / "b")
    project.write("app.py", CACHE + both % "pass")
    (line,) = listed(port(project, capsys))
    assert "TGM201 `.keep()` is a method of several classes, some of which wait now (app.py)." in line


def test_common_methods_of_known_objects_are_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    widget = "class Box(object):\n    def render(self):\n        return cache.get('a')\n\n\n"
    project.write(
        "app.py", f"{CACHE}{widget}class A(WebHandler):\n    def get(self, x):\n        self.render('a.html')\n"
    )
    assert listed(port(project, capsys)) == []


def test_work_for_a_loop_that_never_runs_is_found_in_other_modules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("server.py", "from torngas.webserver import run\nimport jobs\n\njobs.start()\nrun()\n")
    jobs = "def start():\n    again()\n\n\ndef again():\n    PeriodicCallback(f, 9).start()\n\n\ndef unused():\n    loop.add_callback(f)\n"
    project.write("jobs.py", f"{jobs}\n\nloop.call_later(1, f)\n")
    assert [line.partition(" The ")[0] for line in listed(port(project, capsys))] == [
        "jobs.py:6: TGM403", "jobs.py:13: TGM403"
    ]  # fmt: skip
