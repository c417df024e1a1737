"""`torngas-aio worker`: run the jobs that wait in a store.

    --management      answers health and metrics at an address of this worker's own
    SIGTERM, SIGINT   take no more, finish what runs within the graceful time, give the rest back
    a second one      give back at once

Begin with `Worker`.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from typing import Any

from torngas_aio._names import did_you_mean
from torngas_aio.application import Application
from torngas_aio.cli.project import add_settings_option, load_jobs, run_async
from torngas_aio.exception import ArgumentError
from torngas_aio.logger import init_logging
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.listeners import ManagementListener
from torngas_aio.webserver.serving import GRACEFUL_SECONDS

__all__ = ["Worker"]

logger = logging.getLogger("torngas_aio.jobs")


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
        """Work until a signal.

        Raises:
            ArgumentError: `--concurrency` is below 1.
            ConfigError: The settings cannot be used.
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
async def _managed(application: Application, where: str) -> AsyncIterator[None]:
    """Answer what is below `/-/`, and nothing else, at *where* while the block runs; "" is nowhere.

    Raises:
        ConfigError: It is no address, or cannot be listened on.
    """
    if not where:
        yield
        return
    listener = ManagementListener(where)
    guarded: Any = application
    guarded.serve_request = listener.guarded(application.serve_request)
    backend = make_backend(application)
    try:
        backend.add_sockets(listener.sockets)
        yield
    finally:
        await backend.stop_gracefully(1.0)
        listener.close()
