"""Every command line that a page shows is one that the command takes."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from torngas_aio.cli.registry import BUILT_IN, load_command
from torngas_aio.webserver.options import BUILT_IN as SERVER_OPTIONS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]

OWN = {"greet", "createuser", "changepassword"}
"""Commands that pages have projects write."""

TORNADO = {"logging", "log_file_prefix", "log_rotate_mode", "log_to_stderr", "help"}

_LINE = re.compile(r"^(?:\$ | {4}(?:\$ )?)?torngas-aio ([a-z].*?)(?=\n|  |\s#|\s&&|$)", re.MULTILINE)
_MENTION = re.compile(r"`torngas-aio ([a-z]+)")
_OPTION = re.compile(r"(?:runserver\.py|app\.py|torngas-aio runserver)((?: --?[\w-]+(?:=\S+)?)+)")


def id_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_commands_take_the_arguments_that_a_page_shows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    unknown = set(_MENTION.findall(text)) - {*BUILT_IN, *OWN}
    assert not unknown, f"no commands: {unknown}; those that a page has projects write are listed in OWN"
    for line in _LINE.findall(text):
        name, *arguments = shlex.split(line, comments=True)
        if name in OWN:
            continue
        parser = argparse.ArgumentParser(exit_on_error=False)
        load_command(name).add_arguments(parser)
        try:
            parser.parse_args(arguments)
        except (SystemExit, argparse.ArgumentError) as error:
            pytest.fail(f"torngas-aio {line}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_the_server_knows_the_options_that_a_page_shows(page: Path) -> None:
    known = {name.replace("-", "_") for name, *_ in SERVER_OPTIONS} | TORNADO
    for shown in _OPTION.findall(page.read_text(encoding="utf-8")):
        for option in re.findall(r"--([\w-]+)", shown):
            assert option.replace("-", "_") in known, shown
