"""Files are found, read and replaced whole; links, modes, line ends and encodings stay."""

import stat
from pathlib import Path

import pytest

from tests.cli.port.porting import port
from tests.webserver.project import Project
from torngas_aio.cli import main
from torngas_aio.cli.awaits import MAX_BYTES
from torngas_aio.cli.port import tree
from torngas_aio.exception import ConfigError


def test_modes_are_kept_and_links_are_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("import torngas\n")
    project = Project(tmp_path / "project")
    path = project.write("run.py", "import torngas\n")
    path.chmod(0o750)
    (project.path / "link.py").symlink_to(outside)
    (project.path / "folder").symlink_to(tmp_path)
    port(project, capsys)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("import torngas_aio\n", 0o750)
    assert outside.read_text() == "import torngas\n"
    assert sorted(each.name for each in project.path.iterdir()) == ["folder", "link.py", "run.py"]


def test_line_ends_and_encodings_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_bytes("# coding: gbk\r\nimport torngas\r\nx = '你好'\r\n".encode("gbk"))
    port(Project(tmp_path), capsys)
    assert (tmp_path / "a.py").read_bytes() == "# coding: gbk\r\nimport torngas_aio\r\nx = '你好'\r\n".encode("gbk")


def test_a_file_that_cannot_be_replaced_stays_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    path = project.write("app.py", "import torngas\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert main(["port", str(project.path), "--write"]) == 1
    assert "app.py: No space left on device" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["app.py"]
    assert path.read_text() == "import torngas\n"


def test_files_of_the_project_alone_are_found(tmp_path: Path) -> None:
    for name in (
        "a.py", "b/c.py", "b/page.html", "b/page.mako", "b/style.css", ".hidden/d.py", ".e.py", "build/f.py",
        "node_modules/g.py", "env/pyvenv.cfg", "env/lib/h.py", "i.pyc",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "large.py").write_text("x\n" * MAX_BYTES)
    found = {path.relative_to(tmp_path).as_posix() for path in tree.find_files(tmp_path)}
    assert found == {"a.py", "b/c.py", "b/page.html", "b/page.mako"}
    assert list(tree.find_files(tmp_path / "a.py")) == [tmp_path / "a.py"]


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        list(tree.find_files(tmp_path))


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"# coding: utf-9\n", SyntaxError), (b"x = '\xff'\n", SyntaxError), (b"\xff\xfe", SyntaxError)],
)
def test_a_file_that_is_no_text_is_not_read(content: bytes, fault: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    with pytest.raises(fault):
        tree.read(path)


def test_a_file_with_mixed_line_ends_gets_one_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"a = 1\r\nb = 2\nc = 3\rd = 4")
    text, encoding, newline = tree.read(path)
    assert (text, encoding, newline) == ("a = 1\nb = 2\nc = 3\nd = 4", "utf-8", "\r\n")
    tree.write(path, text, encoding, newline)
    assert path.read_bytes() == b"a = 1\r\nb = 2\r\nc = 3\r\nd = 4"


def test_no_git_and_no_tree_of_it_are_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tree.is_dirty(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not tree.is_dirty(tmp_path)
