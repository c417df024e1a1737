"""Commands for servers and scripts of the project.

runserver   runs the project's runserver.py, or an equivalent server
run         runs a script
ps          lists this user's servers with worker processes, and the state of each worker
"""

import argparse
import json
import runpy
import sys
import time
from pathlib import Path

from torngas_aio._json import JsonObject
from torngas_aio.cli.project import add_settings_option, choose_settings, table
from torngas_aio.exception import ArgumentError
from torngas_aio.scripts import run_script
from torngas_aio.webserver import Server
from torngas_aio.webserver.main import run_server

__all__ = ["Ps", "Run", "RunServer"]

SCRIPT = "runserver.py"

MOMENT = "%Y-%m-%d %H:%M:%S"
HEADER = ("worker", "process", "state", "age", "requests", "memory", "loaded at", "code")


class RunServer:
    """Serve the project, with the options of its runserver.py, which is run where there is one."""

    help = "serve the project; --help lists the server's options"
    takes_rest = True  # options are parsed by Tornado, since the project may define its own

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Do nothing: all words after the command are passed to the server."""

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
        """Run the script; `sys.exit` in it sets the status.

        Raises:
            ArgumentError: There is no such script.
        """
        if not Path(arguments.script).is_file():
            raise ArgumentError(f"run {arguments.script!r}: no such file.")
        choose_settings(arguments.settings)
        return 0 if run_script(arguments.script, arguments.arguments) else 1


class Ps:
    """Show each server with `--workers` that this user runs: workers, ages, requests, memory, which code they run."""

    help = "show running servers and their workers"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare `--json`."""
        parser.add_argument("--json", action="store_true", help="all that is known, seconds and bytes")

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the servers' status."""
        from torngas_aio.http.status_socket import ask_all  # Unix sockets, which Windows lacks

        found = list(ask_all())
        if arguments.json:
            print(json.dumps(found))
        elif not found:
            print("No server with workers runs for this user.")
        else:
            print("\n\n".join(map(_shown, found)))
        return 0


def _shown(server: JsonObject) -> str:
    rows = [
        (
            str(worker["number"]), str(worker["pid"]), worker["state"], _age(worker["age"]), str(worker["requests"]),
            f"{worker['rss'] / 2**20:.0f} MiB", time.strftime(MOMENT, time.localtime(worker["started_at"])),
            worker["code"] or "?",
        )
        for worker in server["workers"]
    ]  # fmt: skip
    title = f"process {server['pid']}, {_age(server['age'])}, in {server['folder']}: {' '.join(server['command'])}"
    renewal = server.get("renewal", {})  # missing from older servers
    if "at" in renewal:
        moment = time.strftime(MOMENT, time.localtime(renewal["at"]))
        title += f"\nlast renewal: {renewal['state']}, {moment}"
        title += f": {renewal['error']}" if "error" in renewal else ""
    return f"{title}\n{table(HEADER, rows)}"


def _age(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
