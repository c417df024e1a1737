"""`torngas-aio runserver`: the project's runserver.py, or what it would do; `run`: a script in the project."""

import argparse
import runpy
import sys
from pathlib import Path

from torngas_aio.cli.project import add_settings_option, choose_settings
from torngas_aio.exception import ArgumentError
from torngas_aio.scripts import run_script
from torngas_aio.webserver import Server
from torngas_aio.webserver.main import run_server

__all__ = ["Run", "RunServer"]

SCRIPT = "runserver.py"


class RunServer:
    """Serve the project, with the options of its runserver.py, which is run where there is one."""

    help = "serve the project; --help lists the server's options"
    takes_rest = True  # the options are Tornado's, and the project's own

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Nothing: every word after the command is the server's."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Serve until SIGTERM or SIGINT."""
        if Path(SCRIPT).is_file():
            sys.argv = [SCRIPT, *arguments.rest]
            runpy.run_path(SCRIPT, run_name="__main__")
            return 0
        if not any(word.lstrip("-").partition("=")[0] == "settings" for word in arguments.rest):
            choose_settings()
        run_server(Server(Path.cwd(), ["torngas-aio", *arguments.rest]))
        return 0


class Run:
    """Run a script in the project: settings, logs, caches and a session of each database are there.

    The script may use `await` outside of functions, or call `asyncio.run`. Everything is closed at the end. The status
    is 1 where it has forgotten an `await`.
    """

    help = "run a script in the project, with await"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_settings_option(parser)
        parser.add_argument("script", help="path of the script")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the script's own, options too")

    def run(self, arguments: argparse.Namespace) -> int:
        """Run it; its `sys.exit` counts.

        Raises:
            ArgumentError: There is no such script.
        """
        if not Path(arguments.script).is_file():
            raise ArgumentError(f"run {arguments.script!r}: no such file.")
        choose_settings(arguments.settings)
        return 0 if run_script(arguments.script, arguments.arguments) else 1
