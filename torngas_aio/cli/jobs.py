"""`torngas-aio worker` runs the jobs in a store; `jobs` lists jobs and retries failed ones.

worker --management   serves health checks and metrics at an address of this worker
SIGTERM, SIGINT       stop taking jobs, finish running ones within the graceful timeout, requeue the rest
a second signal       requeue running jobs at once
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from torngas_aio._names import did_you_mean
from torngas_aio.application import Application
from torngas_aio.cli.project import add_settings_option, load_jobs, run_async, table
from torngas_aio.exception import ArgumentError
from torngas_aio.logger import init_logging
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.management import ManagementListener
from torngas_aio.webserver.serving import GRACEFUL_SECONDS

if TYPE_CHECKING:
    from torngas_aio.jobs.base import DeadJob
    from torngas_aio.jobs.schedules import Schedule

__all__ = ["ShowJobs", "Worker"]

MOMENT = "%Y-%m-%d %H:%M:%S"
SHOWN = 20

logger = logging.getLogger("torngas_aio.jobs")


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
        """Print or retry; the status is 1 if none of the given dead letters was retried.

        Raises:
            ArgumentError: Ids are missing for `retry`, or given for `list`.
            ConfigError: The settings are invalid.
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
    if later := await backend.count_later():
        print(f"{later} more {'come' if later > 1 else 'comes'} later: delayed, or to be tried again.")
    dead = await backend.dead()
    shown = dead if arguments.all else dead[-SHOWN:]
    header = ("dead letter", "job", "queue", "failed at", "error")
    print("\n" + (table(header, [_dead_row(each) for each in shown]) if shown else "No dead letters."))
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
    """Return a hint for *name*, which is not the id of a dead letter."""
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
    return f"{schedule}, {time.strftime(f'{MOMENT} %Z', time.localtime(schedule.after(time.time())))}"


def _name_of(dead: "DeadJob") -> str:
    try:
        return str(json.loads(dead.data)["task_name"])
    except (ValueError, KeyError, TypeError):
        return "?"


def _dead_row(dead: "DeadJob") -> tuple[str, ...]:
    failed_at = time.strftime(MOMENT, time.localtime(dead.failed_at))
    return dead.id, _name_of(dead), dead.queue, failed_at, dead.error[:100]


class Worker:
    """Run the jobs that wait in a store, with the project's settings, logs, caches and databases.

    The jobs are those of the modules `jobs`, `models` and `urls` of INSTALLED_APPS, and of what they import. A stop
    (SIGTERM, Ctrl-C) takes no more, lets those that run end within the graceful time, and gives the rest back.
    """

    help = "run the jobs that wait in a store"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--queues", metavar="A,B", help="take from these queues only (default: those of all jobs)")
        parser.add_argument("--concurrency", type=int, default=100, help="jobs at a time (default: 100)")
        parser.add_argument("--alias", default="default", help="an entry of JOBS (default: default)")
        parser.add_argument(
            "--graceful_timeout", type=float, default=GRACEFUL_SECONDS, help="seconds for jobs that run at a stop"
        )
        parser.add_argument(
            "--management", metavar="HOST:PORT", default="",
            help="answer /-/live, /-/ready and, with METRICS, /-/metrics there; or unix: and a path",
        )  # fmt: skip
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Run jobs until a signal.

        Raises:
            ArgumentError: `--concurrency` is below 1, or `--graceful_timeout` is not a duration.
            ConfigError: The settings are invalid.
        """
        if arguments.concurrency < 1:
            raise ArgumentError(f"worker --concurrency={arguments.concurrency}: write a number above 0.")
        if not 0 <= arguments.graceful_timeout < float("inf"):
            raise ArgumentError(f"worker --graceful_timeout={arguments.graceful_timeout}: write seconds, 0 or more.")
        application = load_jobs(arguments.settings)
        init_logging(None, settings)
        run_async(application, lambda: _work(application, arguments))
        return 0


async def _work(application: Application, arguments: argparse.Namespace) -> None:
    from torngas_aio.jobs.registry import jobs
    from torngas_aio.jobs.worker import queues_of, run_worker

    backend = jobs[arguments.alias]
    known = queues_of(arguments.alias)
    queues = [each.strip() for each in (arguments.queues or "").split(",") if each.strip()] or known
    if backend.runs_here:
        raise ArgumentError(
            f"JOBS[{arguments.alias!r}] keeps its jobs in the process that enqueues them. For workers name "
            "'torngas_aio.jobs.redis.RedisJobs' as its BACKEND."
        )
    if not known:
        raise ArgumentError(f"No job is declared for JOBS[{arguments.alias!r}]: a module `jobs` of an app is imported.")
    for queue in queues:
        if queue not in known:
            hint = did_you_mean(queue, known, otherwise=f" There are: {', '.join(known)}.")
            raise ArgumentError(
                f"worker --queues={arguments.queues}: no job is declared for the queue {queue!r}.{hint}"
            )
    stopping, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        (hurry if stopping.is_set() else stopping).set()
        application.is_stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    logger.info("Working on %s, %d at a time.", ", ".join(queues), arguments.concurrency)
    async with _managed(application, arguments.management):
        await run_worker(
            backend,
            queues,
            stopping,
            hurry=hurry,
            concurrency=arguments.concurrency,
            graceful_seconds=arguments.graceful_timeout,
        )
    logger.info("The worker has ended.")


@contextlib.asynccontextmanager
async def _managed(application: Application, where: str) -> AsyncGenerator[None]:
    """Serve only `/-/...` at the address *where* while the block runs; do nothing if it is empty.

    Raises:
        ConfigError: The address is invalid or cannot be bound.
    """
    if not where:
        yield
        return
    listener = ManagementListener(where, named=f"worker --management={where}")
    guarded: Any = application
    guarded.serve_request = listener.guarded(application.serve_request)
    backend = make_backend(application)
    try:
        backend.add_sockets(listener.sockets)
        yield
    finally:
        await backend.stop_gracefully(1.0)
        listener.close()
