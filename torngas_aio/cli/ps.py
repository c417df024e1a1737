"""`torngas-aio ps`: the servers of this user that have worker processes, and what each worker does.

Begin with `Ps`.
"""

import argparse
import json
import time
from typing import Any

from torngas_aio.cli.output import table

__all__ = ["Ps"]

MOMENT = "%Y-%m-%d %H:%M:%S"
HEADER = ("worker", "process", "state", "age", "requests", "memory", "loaded at", "code")


class Ps:
    """Show each server with `--workers` that this user runs: workers, ages, requests, memory, which code they run."""

    help = "show running servers and their workers"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare `--json`."""
        parser.add_argument("--json", action="store_true", help="all that is known, seconds and bytes")

    def run(self, arguments: argparse.Namespace) -> int:
        """Print what the servers say."""
        from torngas_aio.http.status_socket import ask_all  # no unix sockets on Windows

        found = list(ask_all())
        if arguments.json:
            print(json.dumps(found))
        elif not found:
            print("No server with workers runs for this user.")
        else:
            print("\n\n".join(map(_shown, found)))
        return 0


def _shown(server: dict[str, Any]) -> str:
    rows = [
        (
            str(worker["number"]), str(worker["pid"]), worker["state"], _age(worker["age"]), str(worker["requests"]),
            f"{worker['rss'] / 2**20:.0f} MiB", time.strftime(MOMENT, time.localtime(worker["started_at"])),
            worker["code"] or "?",
        )
        for worker in server["workers"]
    ]  # fmt: skip
    title = f"process {server['pid']}, {_age(server['age'])}, in {server['folder']}: {' '.join(server['command'])}"
    return f"{title}\n{table(HEADER, rows)}"


def _age(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
