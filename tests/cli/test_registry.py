"""Built-in commands, the project's and those of installed packages: listed, loaded, refused."""

import sys
from pathlib import Path

import pytest

from torngas_aio.cli import Command, main
from torngas_aio.cli.registry import command_names, load_command
from torngas_aio.exception import ConfigError

BUILT_IN = [
    "startproject",
    "startapp",
    "runserver",
    "routes",
    "pipeline",
    "openapi",
    "check",
    "ps",
    "worker",
    "jobs",
    "shell",
    "run",
    "syncdb",
    "db",
    "port",
    "migrate",
]

PROJECTS_OWN = """
[tool.torngas-aio.commands]
hello = "commands.Hello"
routes = "commands.Thief"
greet = "commands.Hello"
made = "commands.hello"
shapeless = "commands.Thief"
absent = "commands.Absent"
"""
COMMANDS = """
class Hello:
    help = "say hello"
    def add_arguments(self, parser): pass
    def run(self, arguments): print("hello from the project")
hello = Hello()
class Thief: pass
"""


@pytest.fixture
def own(directory: Path, installed: None) -> Path:
    """A project with commands of its own, some of which other packages have too."""
    (directory / "pyproject.toml").write_text(PROJECTS_OWN)
    (directory / "commands.py").write_text(COMMANDS)
    sys.path.insert(0, str(directory))
    return directory


@pytest.mark.usefixtures("own")
class TestOfTheProject:
    def test_it_comes_behind_the_built_in_ones_and_before_those_of_packages(self) -> None:
        names = command_names()
        assert names[: len(BUILT_IN)] == BUILT_IN
        assert names[len(BUILT_IN) :] == ["absent", "broken", "greet", "hello", "made", "shapeless"]
        assert type(load_command("routes")).__module__ == "torngas_aio.cli.routes"
        assert type(load_command("greet")).__module__ == "commands"

    @pytest.mark.parametrize("name", ["hello", "made"])
    def test_it_is_a_class_or_an_object(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([name]) == 0
        assert capsys.readouterr().out == "hello from the project\n"

    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            ("shapeless", ConfigError, "The command 'shapeless' .* lacks `help`, `add_arguments` or `run`"),
            ("absent", ImportError, "has no attribute 'Absent'"),
            ("unknown", KeyError, "unknown"),
        ],
    )
    def test_what_is_no_command_is_refused(self, name: str, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            load_command(name)

    def test_a_table_that_cannot_be_read_says_where(self, own: Path) -> None:
        (own / "pyproject.toml").write_text("[tool.torngas-aio.commands\n")
        with pytest.raises(ConfigError, match=r"pyproject\.toml: Expected ']'"):
            command_names()


@pytest.mark.usefixtures("installed")
class TestOtherPackages:
    def test_their_commands_are_listed_and_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """By the entry point group; a built-in name cannot be taken."""
        assert main(["greet", "ada"]) == 0
        assert capsys.readouterr().out == "hello ada\n"
        assert main(["--help"]) == 0
        text = capsys.readouterr().out
        assert "say hello" in text
        assert command_names().count("routes") == 1
        assert "torngas_aio" in type(load_command("routes")).__module__

    def test_a_broken_one_breaks_nothing_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The list says so; calling one that is no command is a clear error."""
        main(["--help"])
        assert "(cannot be loaded: No module named 'no_such_package')" in " ".join(capsys.readouterr().out.split())
        assert main(["shapeless"]) == 1
        assert "lacks `help`, `add_arguments` or `run`" in capsys.readouterr().err

    def test_errors_of_ours_have_no_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Status 1 and the message; Ctrl-C is 130."""
        assert main(["greet", "nobody"]) == 1
        assert capsys.readouterr().err == "nobody: there is no one.\n"
        assert main(["greet", "stop"]) == 130


def test_every_built_in_command_is_one() -> None:
    """Each has a line of help and a description."""
    for name in BUILT_IN:
        command = load_command(name)
        assert isinstance(command, Command)
        assert command.help
        assert command.__doc__
    assert command_names()[: len(BUILT_IN)] == BUILT_IN
