"""What a run writes, and what it does not; its options, and what it refuses."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.port.porting import CACHE, contents, listed, make, port, ported
from tests.webserver.project import Project
from torngas_aio.cli import main
from torngas_aio.cli.port.command import POOL_FROM


def test_nothing_is_written_without_being_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(tmp_path, "blog")
    before = contents(project.path)
    assert main(["port", str(project.path)]) == 0
    out = capsys.readouterr().out
    assert "--- a/blog/models.py\n+++ b/blog/models.py\n" in out
    assert "+    async def save(self):" in out
    assert contents(project.path) == before


@pytest.mark.parametrize("name", ["blog", "site", "game"])
def test_a_second_run_lists_what_is_left(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(tmp_path, name)
    first = port(project, capsys)
    written = contents(project.path)
    assert listed(port(project, capsys)) == listed(first)
    assert contents(project.path) == written


def test_an_uncommitted_tree_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(tmp_path, "game")
    subprocess.run(["git", "init", "-q"], cwd=project.path, check=True)
    before = contents(project.path)
    assert main(["port", str(project.path), "--write"]) == 1
    assert "--force" in capsys.readouterr().err
    assert contents(project.path) == before
    assert main(["port", str(project.path), "--write", "--force"]) == 0
    assert contents(project.path) != before


def test_nothing_of_the_project_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nimport torngas\n"
    ported(tmp_path, capsys, text)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["rename", "await", "python2", "coroutines"])
def test_a_change_can_be_left_out(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {
        "rename": "import torngas\n",
        "await": CACHE + "def f():\n    cache.get('a')\n",
        "python2": "print 'a'\n",
        "coroutines": "@gen.coroutine\ndef f():\n    yield g()\n",
    }
    assert ported(tmp_path / "a", capsys, texts[name], f"--skip={name}") == texts[name]
    assert ported(tmp_path / "b", capsys, texts[name]) != texts[name]


@pytest.mark.parametrize("words", [[], ["app"], ["--fake"]])
def test_migrate_asks_which_command_is_meant(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", *words]) == 1
    assert "`torngas-aio db upgrade` or `torngas-aio port`?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_thousand_files_take_two_minutes_of_two_cores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = "def f{0}(x):\n    y = [x, {0}]\n    return len(y)\n\n\nclass A{0}(object):\n    pass\n\n\n" * 11
    for number in range(5000):
        path = tmp_path / f"p{number % 50}" / f"m{number}.py"
        path.parent.mkdir(exist_ok=True)
        lead = CACHE + f"def g{number}():\n    return cache.get('a')\n\n\n" if number % 10 == 0 else ""
        path.write_text(lead + plain.replace("{0}", str(number)))
    begin = os.times()
    assert "500 changed" in port(Project(tmp_path), capsys)
    assert sum(os.times()[:4]) - sum(begin[:4]) < 2 * 120


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no/such/folder"], "port 'no/such/folder': no such file or folder."),
        ([".", "--jobs=0"], "port --jobs=0: at least 1."),
    ],
)
def test_what_cannot_be_ported_is_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["port", *words]) == 1
    assert message in capsys.readouterr().err


def test_without_the_extra_python_2_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["port", str(tmp_path)]) == 1
    assert "pip install 'torngas-aio[port]'; or --skip python2" in capsys.readouterr().err
    assert main(["port", str(tmp_path), "--skip=python2"]) == 0


def test_one_file_is_ported_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("import torngas\n")
    assert main(["port", str(tmp_path / "a.py"), "--write"]) == 0
    assert contents(tmp_path) == {"a.py": "import torngas_aio\n", "b.py": "import torngas\n"}
    assert "1 files, 1 lines of Python: 1 changed. 0 places left to you." in capsys.readouterr().out


def test_a_diff_of_a_file_without_a_last_line_end_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("import torngas")
    assert main(["port", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "-import torngas\n\\ No newline at end of file\n+import torngas_aio\n\\ No newline at end of file\n" in out
    assert main(["port", str(tmp_path), "--no-diff"]) == 0
    assert capsys.readouterr().out.startswith("1 files")


def test_several_processes_find_what_one_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(POOL_FROM):
        (tmp_path / f"m{number}.py").write_text(f"import torngas\nx = {number}\n")
    (tmp_path / "app.py").write_text(CACHE + "def f():\n    cache.get('a')\n\nf2 = lambda: cache.get('a')\n")
    assert main(["port", str(tmp_path), "--jobs=1"]) == 0
    alone = capsys.readouterr().out
    assert main(["port", str(tmp_path), "--jobs=2"]) == 0
    assert capsys.readouterr().out == alone
    assert "app.py:7: TGM202" in alone
