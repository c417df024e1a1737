"""The metrics page, in Prometheus' text format.

    Counts ── of this process, or of all workers (summed by the parent) ──► families ──► /-/metrics
    job queue sizes ── read at the scrape, at most every ASK_EVERY_SECONDS ──►┘

Label values are names of the project's routes, caches and databases, and constants of this module; never data from a
client. prometheus-client only formats the page: its counters cost ten times as much as a list.
"""

import asyncio
import functools
import hmac
import itertools
import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import Metric
from prometheus_client.core import SummaryMetricFamily as Summary

from torngas_aio.application import Application
from torngas_aio.exception import Http404
from torngas_aio.handler import WebHandler
from torngas_aio.http.worker import WORKER_STATES, current_worker
from torngas_aio.logger import OutageLog
from torngas_aio.operations.access import may_see_details
from torngas_aio.operations.counts import Counts
from torngas_aio.operations.handlers import path_pattern
from torngas_aio.operations.observed import observe
from torngas_aio.operations.project_metrics import ProjectMetrics, collected, families_of
from torngas_aio.settings_manager import settings

__all__ = ["METRICS_DEFAULTS", "MetricsHandler", "QueueSizes", "add_metrics"]

METRICS_DEFAULTS: dict[str, Any] = {
    "enabled": False,
    "path": "/-/metrics",
    "token": None,  # a request with `Authorization: Bearer <token>` sees the page, from any address
    "seconds": (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),  # upper bounds of duration buckets
    "bytes": (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),  # upper bounds of body size buckets
}

LAST_REPORTS = 100
"""Most reports that a stopping worker sends to its parent, 0.01 s apart."""

_outages = OutageLog(logging.getLogger("torngas_aio.operations"))
ASK_EVERY_SECONDS = 5.0
DEADLINE_SECONDS = 1.0
MAX_QUEUES = 100
Sizes = Mapping[str, Mapping[str, tuple[int, int]] | None]


def add_metrics(application: Application) -> Counts:
    """Count the requests of *application* and add the metrics page; call before the application starts."""
    chosen = {**METRICS_DEFAULTS, **settings.METRICS}
    counts = Counts(application, chosen["seconds"], chosen["bytes"])
    observed: Any = application
    observed.serve_request = counts.counting(observe(application, []))
    own = ProjectMetrics()
    application.lifespan.add("metrics", functools.partial(_open, counts, own), functools.partial(_close, counts, own))
    kwargs = {
        "counts": counts, "token": chosen["token"], "bounds": (chosen["seconds"], chosen["bytes"]),
        "queues": QueueSizes(is_alone=current_worker() is None),
    }  # fmt: skip
    application.wildcard_router.add_rules([(path_pattern(chosen["path"]), MetricsHandler, kwargs)])
    return counts


async def _open(counts: Counts, own: ProjectMetrics) -> None:
    counts.start()
    if (worker := current_worker()) is not None:
        own.start()
        worker.counts = lambda: {"counts": counts.take(), "now": counts.now(), **own.changes()}


async def _close(counts: Counts, own: ProjectMetrics) -> None:
    counts.stop()
    if (worker := current_worker()) is not None:
        await own.stop()
        for _ in range(LAST_REPORTS):  # a report is limited to what one write to the parent can carry
            if worker.report() and own.is_reported:
                break
            await asyncio.sleep(0.01)


class MetricsHandler(WebHandler):
    """The page, for this machine, the networks of HEALTH and requests with the token; 404 for all others."""

    uses_session = False

    def initialize(self, counts: Counts, token: str | None, bounds: Any, queues: "QueueSizes") -> None:
        self._counts, self._token, self._bounds, self._queues = counts, token, bounds, queues
        self.skips_access_log = not settings.HEALTH.get("log", True)

    async def get(self) -> None:
        if not (may_see_details(self.request) or self._has_token()):
            raise Http404
        try:
            found = await self._found()
        except OSError:
            self.set_status(503)
            self.finish("The parent process does not answer.\n")
            return
        found["queues"] = await self._queues.ask()
        page = await anyio.to_thread.run_sync(functools.partial(_page, found, *self._bounds))
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.set_header("Cache-Control", "no-store")
        self.finish(page)

    async def _found(self) -> dict[str, Any]:
        worker = current_worker()
        if worker is not None:
            return await worker.totals()
        found = {"counts": self._counts.peek(), "now": {"0": self._counts.now()}}
        copied: dict[str, Any] = json.loads(json.dumps(found))  # a snapshot for the worker thread
        return copied

    def _has_token(self) -> bool:
        given = self.request.headers.get("Authorization", "")
        return bool(self._token) and hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())


def _page(found: dict[str, Any], seconds: Iterable[float], sizes: Iterable[float]) -> bytes:
    own = families_of(found["own"]) if "own" in found else collected()  # the project's
    every: Any = SimpleNamespace(collect=lambda: [*_families(found, [*seconds], [*sizes]), *own])
    return generate_latest(every)


_FAMILIES: tuple[tuple[Any, str, str, str], ...] = (
    (Counter, "requests", "route method status", "Requests that have ended."),
    (Histogram, "request_seconds", "route", "From the head's arrival on."),
    (Histogram, "request_bytes", "route", "Bodies of requests."),
    (Histogram, "response_bytes", "route", "Answers on the connection."),
    (Summary, "stage_seconds", "route stage", "Of every 64th request, 40 a second at most, without the stages inside."),
    (Counter, "refused_requests", "reason", "Requests that were answered by a refusal."),
    (Counter, "session_requests", "", "Requests with a session."),
    (Counter, "cache_keys", "cache result", "Keys that a cache was asked for."),
    (Counter, "cache_errors", "cache", "Calls of a cache that failed."),
    (Summary, "cache_seconds", "cache", "Calls of a cache."),
    (Counter, "sql_errors", "database role", "Statements that failed."),
    (Summary, "sql_seconds", "database role", "Statements."),
    (Gauge, "requests_in_progress", "worker", "Requests that are being answered."),
    (Gauge, "websockets_open", "worker", "WebSockets."),
    (Gauge, "loop_lag_seconds", "worker", "How late the loop was at most, in the last 10 s."),
    (Gauge, "database_connections", "worker database role state", "Of the pools, and requests that wait."),
    (Counter, "jobs", "job event", "What has happened to jobs."),
    (Gauge, "jobs_running", "worker job", "Jobs that run."),
    (Gauge, "job_store_up", "jobs", "Whether the store of jobs answers."),
    (Gauge, "job_queue_jobs", "jobs queue state", "Jobs in the store."),
    (Histogram, "job_seconds", "job", "Attempts of jobs."),
    (Counter, "unawaited", "", "Coroutines that were made and never awaited."),
    (Counter, "log_lines_lost", "reason", "Lines of the log that could not be written."),
    (Counter, "worker_restarts", "reason", "Workers in the place of another one."),
    (Counter, "worker_failed_starts", "", "Workers that ended before they were ready."),
    (Gauge, "workers", "state", "Worker processes."),
)
"""Kind, name, labels and help text of each family, in page order."""


def _families(found: dict[str, Any], seconds: list[float], sizes: list[float]) -> Iterable[Metric]:
    families = {name: kind(f"torngas_{name}", text, labels=labels.split()) for kind, name, labels, text in _FAMILIES}
    for name, labels, *numbers in _rows(found, seconds, sizes):
        families[name].add_metric(labels, *numbers)
    return families.values()


_Row = tuple[Any, ...]
"""Name of a family, label values, and the arguments of its kind's `add_metric`."""


def _rows(found: dict[str, Any], seconds: list[float], sizes: list[float]) -> Iterator[_Row]:
    counts = found.get("counts", {})
    yield from _count_rows(counts)
    for name, kept, bounds in (
        ("request_seconds", "seconds", seconds), ("request_bytes", "received", sizes),
        ("response_bytes", "sent", sizes), ("job_seconds", "job_seconds", seconds),
    ):  # fmt: skip
        for label, (*numbers, total) in counts.get(kept, {}).items():
            ends = [*map(str, map(float, bounds)), "+Inf"]
            yield name, [label], list(zip(ends, itertools.accumulate(numbers), strict=True)), total
    yield from _rows_of_now(found.get("now", {}))
    sizes_of: Sizes = found.get("queues", {})
    for alias, queues in sizes_of.items():
        yield "job_store_up", [alias], queues is not None
        for queue, numbers in (queues or {}).items():
            for state, number in zip(("waiting", "running"), numbers, strict=True):
                yield "job_queue_jobs", [alias, queue, state], number
    for reason, number in found.get("restarts", {}).items():
        yield "worker_restarts", [reason], number
    if "states" in found:  # from a parent process
        yield "worker_failed_starts", [], found["failed_starts"]
        yield from (("workers", [state], found["states"].get(state, 0)) for state in WORKER_STATES)


def _count_rows(counts: dict[str, Any]) -> Iterator[_Row]:
    """Yield rows of the counters, of this process or of all workers; for their layout see the module `counts`."""

    def of(name: str) -> Iterable[tuple[str, Any]]:
        return counts.get(name, {}).items()  # type: ignore[no-any-return]  # a dict of JSON

    def within(name: str) -> Iterable[tuple[str, str, Any]]:
        return ((outer, inner, value) for outer, each in of(name) for inner, value in each.items())

    for route, kind, number in within("requests"):
        yield "requests", [route, *kind.split()], number
    for route, stage, (total, number) in within("stages"):
        yield "stage_seconds", [route, stage], number, total
    for reason, number in of("refused"):
        yield "refused_requests", [reason], number
    yield "session_requests", [], counts.get("sessions", 0)
    yield "unawaited", [], counts.get("unawaited", 0)
    yield from (("log_lines_lost", [reason], number) for reason, number in of("lost_lines"))
    for alias, (hits, misses, failed, number, taken) in of("cache"):
        yield "cache_keys", [alias, "hit"], hits
        yield "cache_keys", [alias, "miss"], misses
        yield "cache_errors", [alias], failed
        yield "cache_seconds", [alias], int(number), taken
    for server, (number, failed, taken) in of("sql"):
        yield "sql_errors", server.rsplit(" ", 1), failed
        yield "sql_seconds", server.rsplit(" ", 1), int(number), taken
    for job, kind, number in within("jobs"):
        yield "jobs", [job, kind], number


def _rows_of_now(workers: dict[str, Any]) -> Iterator[_Row]:
    """Yield rows of the gauges, by worker."""
    for worker, now in workers.items():
        yield "requests_in_progress", [worker], now["in_progress"]
        yield "websockets_open", [worker], now["sockets"]
        yield "loop_lag_seconds", [worker], now["lag"]
        for server, numbers in now["pools"].items():
            for state, number in zip(("in use", "idle", "waiting"), numbers, strict=True):
                yield "database_connections", [worker, *server.rsplit(" ", 1), state], number
        for job, number in now["jobs"].items():
            yield "jobs_running", [worker, job], number


class QueueSizes:
    """Numbers of waiting and running jobs, by JOBS alias and queue; None for a store that does not respond.

    No store is queried if no job is declared. Queues in memory are reported only without worker processes.
    """

    def __init__(self, *, is_alone: bool) -> None:
        self._is_alone = is_alone
        self._found: Sizes = {}
        self._asked_at = -ASK_EVERY_SECONDS
        self._lock = asyncio.Lock()

    async def ask(self) -> Sizes:
        """Return the sizes, at most ASK_EVERY_SECONDS old."""
        declaring: Any = sys.modules.get("torngas_aio.jobs.declaring")  # None: no job is declared
        if declaring is None or not declaring.declared:
            return {}
        async with self._lock:
            if time.monotonic() - self._asked_at >= ASK_EVERY_SECONDS:
                aliases = sorted({job.alias for job in declaring.declared.values()})
                self._found = {alias: await self._sizes(alias) for alias in aliases}
                self._asked_at = time.monotonic()
            return self._found

    async def _sizes(self, alias: str) -> dict[str, tuple[int, int]] | None:
        from torngas_aio.jobs.registry import jobs  # a job is declared, so taskiq is installed
        from torngas_aio.jobs.worker import queues_of

        try:
            backend = jobs[alias]
            if backend.runs_here and not self._is_alone:
                return {}
            async with asyncio.timeout(DEADLINE_SECONDS):
                return dict(itertools.islice((await backend.sizes(queues_of(alias))).items(), MAX_QUEUES))
        except Exception as exc:  # noqa: BLE001  a boundary: the broker may be from another package
            _outages.report((alias,), "The metrics page cannot read the queues of JOBS[%r]: %s", alias, exc)
            return None
