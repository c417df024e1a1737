"""Commands are found, described, run and refused."""

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webserver.project import Project
from torngas_aio import __version__
from torngas_aio.cli import Command, main
from torngas_aio.cli.registry import GROUP, _installed, command_names, load_command
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


class Greet:
    """Say hello to somebody."""

    help = "say hello"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")

    def run(self, arguments: argparse.Namespace) -> None:
        if arguments.name == "nobody":
            raise ConfigError("nobody: there is no one.")
        if arguments.name == "stop":
            raise KeyboardInterrupt
        sys.stdout.write(f"hello {arguments.name}\n")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two more commands, one of them broken, as installed packages would bring them."""
    entries = [
        importlib.metadata.EntryPoint("greet", f"{__name__}:Greet", GROUP),
        importlib.metadata.EntryPoint("broken", "no_such_package:Command", GROUP),
        importlib.metadata.EntryPoint("shapeless", "builtins:int", GROUP),
        importlib.metadata.EntryPoint("routes", "no_such_package:Thief", GROUP),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries if group == GROUP else [])
    _installed.cache_clear()
    yield
    _installed.cache_clear()


def test_every_built_in_command_is_one() -> None:
    """Each has a line of help and a description."""
    for name in BUILT_IN:
        command = load_command(name)
        assert isinstance(command, Command)
        assert command.help
        assert command.__doc__
    assert command_names()[: len(BUILT_IN)] == BUILT_IN


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for it succeeds; without a command it is what the error looks like."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in BUILT_IN)
    assert main([]) == 2
    assert capsys.readouterr().out == text


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the choices, the nearest of them, and status 2."""
    with pytest.raises(SystemExit) as caught:
        main(["startprojekt"])
    assert caught.value.code == 2
    assert "'startprojekt' is not a command. Did you mean 'startproject'? There are " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "--setings=x"], "'--setings=x' is not an option. Did you mean --settings?"),
        (["check", "deploy"], "'deploy' is not an option."),
        (["check", "--deplo"], "'--deplo' is not an option. Did you mean --deploy?"),
        (["syncdb", "--dro"], "'--dro' is not an option. Did you mean --drop?"),
        (["db", "upgrade", "head", "--conection=x"], "'--conection=x' is not an option. Did you mean --connection?"),
        (["db", "revision", "-m", "x", "--emty"], "'--emty' is not an option. Did you mean --empty?"),
        (["db", "upgarde"], "'upgarde' is not one of revision, upgrade, downgrade, history. Did you mean upgrade?"),
        (["db"], "the following arguments are required: verb."),
        (["startproject"], "the following arguments are required: name."),
        (["check", "--workers=many"], "argument --workers: invalid int value: 'many'."),
        (["routes", "--settings"], "argument --settings: expected one argument."),
        (["rotues"], "'rotues' is not a command. Did you mean 'routes'? There are "),
    ],
)
def test_an_unknown_option_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest one, where one is near, and status 2; in one line."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "--help` tells" in line


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


def test_python_dash_m_is_the_same(tmp_path: Path) -> None:
    """`python -m torngas_aio`, with the current directory first on the path."""
    done = Project(tmp_path).run("-m", "torngas_aio", "--version")
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    """`torngas-aio --help | head` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-u", "-m", "torngas_aio", "--version"],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=Project(tmp_path).environment(),
        timeout=15,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""
