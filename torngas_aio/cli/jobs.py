"""`torngas-aio jobs`: which jobs there are, what waits, what has failed; and what has failed put on its queue again.

Begin with `ShowJobs`.
"""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from torngas_aio._names import did_you_mean
from torngas_aio.cli.output import table
from torngas_aio.cli.project import add_settings_option, load_jobs, run_async
from torngas_aio.exception import ArgumentError

if TYPE_CHECKING:
    from torngas_aio.jobs.base import DeadJob
    from torngas_aio.jobs.schedules import Schedule

__all__ = ["ShowJobs"]

MOMENT = "%Y-%m-%d %H:%M:%S"
SHOWN = 20


class ShowJobs:
    """Show the declared jobs, their schedules, the queues and the dead letters; or retry dead letters.

    A dead letter is a job that has failed as often as it may. `jobs retry ID ...` or `jobs retry --all` puts such jobs
    on their queues again.
    """

    help = "show jobs, schedules, queues and dead letters; retry dead letters"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "verb", nargs="?", choices=["list", "retry"], default="list", help="list (default), or retry"
        )
        parser.add_argument("ids", nargs="*", help="with retry: the dead letters")
        parser.add_argument("--all", action="store_true", help="with retry: every dead letter; with list: show all")
        parser.add_argument("--alias", default="default", help="an entry of JOBS (default: default)")
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print or retry; the status is 1 where no dead letter was retried.

        Raises:
            ArgumentError: The ids do not fit the verb.
            ConfigError: The settings cannot be used.
        """
        if arguments.verb == "retry" and bool(arguments.ids) == arguments.all:
            raise ArgumentError("jobs retry: name dead letters by the ids that `torngas-aio jobs` shows, or say --all.")
        if arguments.verb == "list" and arguments.ids:
            raise ArgumentError(f"jobs list takes no {arguments.ids[0]!r}.")
        application = load_jobs(arguments.settings)
        return run_async(application, lambda: _retry(arguments) if arguments.verb == "retry" else _list(arguments))


async def _list(arguments: argparse.Namespace) -> int:
    from torngas_aio.jobs.registry import jobs
    from torngas_aio.jobs.worker import queues_of

    backend = jobs[arguments.alias]
    print(_jobs_table(arguments.alias))
    if backend.runs_here:
        print("\nThey run in the process that enqueues them.")
        return 0
    sizes = await backend.sizes(queues_of(arguments.alias))
    rows = [(name, str(waiting), str(running)) for name, (waiting, running) in sizes.items()]
    print("\n" + table(("queue", "waiting", "running"), rows))
    dead = await backend.dead()
    shown = dead if arguments.all else dead[-SHOWN:]
    header = ("dead letter", "job", "queue", "failed at", "error")
    print("\n" + (table(header, [_told(each) for each in shown]) if shown else "No dead letters."))
    if len(dead) > len(shown):
        print(f"The last {len(shown)} of {len(dead)}; --all shows them all.")
    return 0


def _jobs_table(alias: str) -> str:
    from torngas_aio.jobs.declaring import declared

    rows = [
        (name, job.queue, str(job.retries), "" if job.timeout is None else f"{job.timeout:g} s", _due(job.schedule))
        for name, job in sorted(declared.items())
        if job.alias == alias
    ]
    return table(("job", "queue", "retries", "timeout", "schedule, next"), rows) if rows else "No job is declared."


async def _retry(arguments: argparse.Namespace) -> int:
    from torngas_aio.jobs.registry import jobs

    backend = jobs[arguments.alias]
    dead = await backend.dead(10_000)
    ids = [each.id for each in dead] if arguments.all else arguments.ids
    for each in ids:
        if each not in {known.id for known in dead}:
            sys.stderr.write(f"jobs retry {each}: {_advice(each, dead)}\n")
    count = await backend.revive(ids)
    print(f"{count} of {len(ids)} put on their queues.")
    return 0 if count or not ids else 1


def _advice(name: str, dead: list["DeadJob"]) -> str:
    """Say what to write instead of *name*, which is no dead letter's id."""
    from torngas_aio.jobs.declaring import declared

    failed = [each.id for each in dead if _name_of(each) == name]
    if failed:
        return f"a job's name; its dead letters are {' '.join(failed[-SHOWN:])}. Name those, or say --all."
    if name in declared:
        return "a job's name; it has no dead letter."
    near = did_you_mean(name, [*declared, *(each.id for each in dead)])
    return f"there is no such dead letter.{near} `torngas-aio jobs` shows their ids."


def _due(schedule: "Schedule | None") -> str:
    if schedule is None:
        return ""
    return f"{schedule}, {time.strftime(MOMENT, time.localtime(schedule.after(time.time())))}"


def _name_of(dead: "DeadJob") -> str:
    try:
        return str(json.loads(dead.data)["task_name"])
    except (ValueError, KeyError, TypeError):
        return "?"


def _told(dead: "DeadJob") -> tuple[str, ...]:
    failed_at = time.strftime(MOMENT, time.localtime(dead.failed_at))
    return dead.id, _name_of(dead), dead.queue, failed_at, dead.error[:100]
