"""Commands are found, described, run and refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_registry import BUILT_IN
from tests.webserver.project import Project
from torngas_aio import __version__
from torngas_aio.cli import main


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
