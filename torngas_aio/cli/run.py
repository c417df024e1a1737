"""`torngas-aio run`: a script in the project. Begin with `Run`."""

import argparse
from pathlib import Path

from torngas_aio.cli.project import add_settings_option, choose_settings
from torngas_aio.exception import ArgumentError
from torngas_aio.scripts import run_script

__all__ = ["Run"]


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
        """Run it; its `sys.exit` counts."""
        if not Path(arguments.script).is_file():
            raise ArgumentError(f"run {arguments.script!r}: no such file.")
        choose_settings(arguments.settings)
        return 0 if run_script(arguments.script, arguments.arguments) else 1
