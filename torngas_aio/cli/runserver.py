"""`torngas-aio runserver`: the project's runserver.py, or what it would do."""

import argparse
import runpy
import sys
from pathlib import Path

from torngas_aio.cli.project import choose_settings
from torngas_aio.webserver import Server
from torngas_aio.webserver.main import run_server

__all__ = ["RunServer"]

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
