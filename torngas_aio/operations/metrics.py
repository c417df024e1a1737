"""The metrics page, in Prometheus' text format.

    Counts ── of this process, or of all workers (the parent's sums) ──► families ──► /-/metrics
    queues of jobs ── asked for at the scrape, at most every few seconds ──►┘

Label values are names of the project's routes, caches and databases, and words from here; never anything of a
client's. prometheus-client only writes the page: its own counters cost ten times what a list does. Begin with
`add_metrics`.
"""

import asyncio
import functools
import hmac
import itertools
import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import Metric
from prometheus_client.core import SummaryMetricFamily as Summary

from torngas_aio.application import Application
from torngas_aio.exception import Http404
from torngas_aio.handler import WebHandler
from torngas_aio.http.worker import current_worker
from torngas_aio.logger import OutageLog
from torngas_aio.operations.access import may_see_details
from torngas_aio.operations.counts import Counts
from torngas_aio.operations.observed import observe
from torngas_aio.operations.project_metrics import ProjectMetrics, collected, families_of
from torngas_aio.settings_manager import settings

__all__ = ["METRICS_DEFAULTS", "MetricsHandler", "QueueSizes", "add_metrics", "job_families"]

METRICS_DEFAULTS: dict[str, Any] = {
    "enabled": False,
    "path": "/-/metrics",
    "token": None,  # who sends it (`Authorization: Bearer ...`) sees the page, wherever the request comes from
    "seconds": (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),  # upper bounds of the duration's buckets
    "bytes": (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),  # and of the sizes' of bodies
}

LAST_REPORTS = 100
"""How often a worker that ends speaks to its parent at most, with a hundredth of a second between."""


def add_metrics(application: Application) -> Counts:
    """Have the requests of *application* counted, and the page answered; to be called before it starts."""
    chosen = {**METRICS_DEFAULTS, **settings.METRICS}
    counts = Counts(application, chosen["seconds"], chosen["bytes"])
    observe(application, [])
    observed: Any = application
    observed.serve_request = counts.counting(application.serve_request)
    own = ProjectMetrics()
    application.lifespan.add("metrics", functools.partial(_open, counts, own), functools.partial(_close, counts, own))
    kwargs = {
        "counts": counts, "token": chosen["token"], "bounds": (chosen["seconds"], chosen["bytes"]),
        "queues": QueueSizes(is_alone=current_worker() is None),
    }  # fmt: skip
    application.wildcard_router.add_rules([(re.escape(chosen["path"]), MetricsHandler, kwargs, "metrics")])
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
        for _ in range(LAST_REPORTS):  # each is no larger than what the connection to the parent takes at once
            if worker.report() and own.is_told:
                break
            await asyncio.sleep(0.01)


class MetricsHandler(WebHandler):
    """Answers the page to this machine, named networks and holders of the token; to others as if it were not there."""

    uses_session = False

    def initialize(self, counts: Counts, token: str | None, bounds: Any, queues: "QueueSizes") -> None:
        self._counts, self._token, self._bounds, self._queues = counts, token, bounds, queues

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
        copied: dict[str, Any] = json.loads(json.dumps(found))  # a thread reads it
        return copied

    def _has_token(self) -> bool:
        given = self.request.headers.get("Authorization", "")
        return bool(self._token) and hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())


def _page(found: dict[str, Any], seconds: Iterable[float], sizes: Iterable[float]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(_families(found, [*seconds], [*sizes])))
    registry.register(_Collector(families_of(found["own"]) if "own" in found else collected()))  # the project's
    return generate_latest(registry)


class _Collector:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        return self._families


def _families(found: dict[str, Any], seconds: list[float], sizes: list[float]) -> Iterator[Metric]:
    counts: dict[str, Any] = found.get("counts", {})
    requests = Counter("torngas_requests", "Requests that have ended.", labels=["route", "method", "status"])
    for route, kinds in counts.get("requests", {}).items():
        for kind, number in kinds.items():
            requests.add_metric([route, *kind.split()], number)
    yield requests
    yield _histogram("torngas_request_seconds", "From the head's arrival on.", seconds, counts.get("seconds", {}))
    yield _histogram("torngas_request_bytes", "Bodies of requests.", sizes, counts.get("received", {}))
    yield _histogram("torngas_response_bytes", "Answers on the connection.", sizes, counts.get("sent", {}))
    stages = Summary(
        "torngas_stage_seconds", "Of every 64th request, without the stages inside.", labels=["route", "stage"]
    )
    for route, by_stage in counts.get("stages", {}).items():
        for stage, (total, number) in by_stage.items():
            stages.add_metric([route, stage], number, total)
    yield stages
    refused = Counter("torngas_refused_requests", "Requests that were answered by a refusal.", labels=["reason"])
    for reason, number in counts.get("refused", {}).items():
        refused.add_metric([reason], number)
    yield refused
    yield Counter("torngas_session_requests", "Requests with a session.", value=counts.get("sessions", 0))
    yield from _cache_families(counts.get("cache", {}))
    yield from _sql_families(counts.get("sql", {}))
    yield from _families_of_now(found.get("now", {}))
    yield from job_families(counts.get("jobs", {}), found.get("now", {}), found.get("queues", {}))
    yield _histogram("torngas_job_seconds", "Attempts of jobs.", seconds, counts.get("job_seconds", {}), "job")
    restarts = Counter("torngas_worker_restarts", "Workers in the place of another one.", labels=["reason"])
    for reason, number in found.get("restarts", {}).items():
        restarts.add_metric([reason], number)
    yield restarts


def _histogram(
    name: str, text: str, bounds: list[float], routes: dict[str, list[float]], label: str = "route"
) -> Metric:
    histogram = Histogram(name, text, labels=[label])
    for route, (*numbers, total) in routes.items():
        buckets, so_far = [], 0.0
        for bound, number in zip([*map(str, map(float, bounds)), "+Inf"], numbers, strict=True):
            so_far += number
            buckets.append((bound, so_far))
        histogram.add_metric([route], buckets, total)
    return histogram


def _cache_families(caches: dict[str, list[float]]) -> Iterator[Metric]:
    keys = Counter("torngas_cache_keys", "Keys that a cache was asked for.", labels=["cache", "result"])
    errors = Counter("torngas_cache_errors", "Calls of a cache that failed.", labels=["cache"])
    calls = Summary("torngas_cache_seconds", "Calls of a cache.", labels=["cache"])
    for alias, (hits, misses, failed, number, seconds) in caches.items():
        keys.add_metric([alias, "hit"], hits)
        keys.add_metric([alias, "miss"], misses)
        errors.add_metric([alias], failed)
        calls.add_metric([alias], int(number), seconds)
    return iter((keys, errors, calls))


def _sql_families(servers: dict[str, list[float]]) -> Iterator[Metric]:
    errors = Counter("torngas_sql_errors", "Statements that failed.", labels=["database", "role"])
    statements = Summary("torngas_sql_seconds", "Statements.", labels=["database", "role"])
    for name, (number, failed, seconds) in servers.items():
        database, _, role = name.rpartition(" ")
        errors.add_metric([database, role], failed)
        statements.add_metric([database, role], int(number), seconds)
    return iter((errors, statements))


def _families_of_now(workers: dict[str, Any]) -> Iterator[Metric]:
    labels = ["database", "role", "state"]
    progress = Gauge("torngas_requests_in_progress", "Requests that are being answered.", labels=["worker"])
    sockets = Gauge("torngas_websockets_open", "WebSockets.", labels=["worker"])
    lag = Gauge("torngas_loop_lag_seconds", "How late the loop was at most, in the last 10 s.", labels=["worker"])
    pools = Gauge("torngas_database_connections", "Of the pools, and requests that wait.", labels=["worker", *labels])
    for worker, now in workers.items():
        progress.add_metric([worker], now["in_progress"])
        sockets.add_metric([worker], now["sockets"])
        lag.add_metric([worker], now["lag"])
        for name, numbers in now["pools"].items():
            database, _, role = name.rpartition(" ")
            for state, number in zip(("in use", "idle", "waiting"), numbers, strict=True):
                pools.add_metric([worker, database, role, state], number)
    return iter((progress, sockets, lag, pools))


_outages = OutageLog(logging.getLogger("torngas_aio.operations"))

ASK_EVERY_SECONDS = 5.0
DEADLINE_SECONDS = 1.0
MAX_QUEUES = 100

Sizes = Mapping[str, Mapping[str, tuple[int, int]] | None]


class QueueSizes:
    """How many jobs wait and run, by the entry of JOBS and the queue; None for a store that does not answer.

    Where no job is declared, nothing is asked. Jobs in memory are told by a process that serves alone.
    """

    def __init__(self, *, is_alone: bool) -> None:
        self._is_alone = is_alone
        self._found: Sizes = {}
        self._asked_at = -ASK_EVERY_SECONDS
        self._lock = asyncio.Lock()

    async def ask(self) -> Sizes:
        """Return the sizes of a moment ago."""
        declaring: Any = sys.modules.get("torngas_aio.jobs.declaring")  # not imported: no job is declared
        if declaring is None or not declaring.declared:
            return {}
        async with self._lock:
            if time.monotonic() - self._asked_at >= ASK_EVERY_SECONDS:
                aliases = sorted({job.alias for job in declaring.declared.values()})
                self._found = {alias: await self._sizes(alias) for alias in aliases}
                self._asked_at = time.monotonic()
            return self._found

    async def _sizes(self, alias: str) -> dict[str, tuple[int, int]] | None:
        from torngas_aio.jobs.registry import jobs  # a job is declared, so taskiq is here
        from torngas_aio.jobs.worker import queues_of

        try:
            backend = jobs[alias]
            if backend.runs_here and not self._is_alone:
                return {}
            async with asyncio.timeout(DEADLINE_SECONDS):
                return dict(itertools.islice((await backend.sizes(queues_of(alias))).items(), MAX_QUEUES))
        except Exception as exc:  # noqa: BLE001  a boundary: another package's broker may be behind it
            _outages.report((alias,), "The metrics page does not know the queues of JOBS[%r]: %s", alias, exc)
            return None


def job_families(counts: Mapping[str, Any], workers: Mapping[str, Any], sizes: Sizes) -> Iterator[Metric]:
    """Yield the families of jobs, but for the histogram.

    Args:
        counts: By job what has happened.
        workers: By worker what is so at this moment.
    """
    events = Counter("torngas_jobs", "What has happened to jobs.", labels=["job", "event"])
    for name, kinds in counts.items():
        for kind, number in kinds.items():
            events.add_metric([name, kind], number)
    yield events
    running = Gauge("torngas_jobs_running", "Jobs that run.", labels=["worker", "job"])
    for worker, now in workers.items():
        for name, number in now["jobs"].items():
            running.add_metric([worker, name], number)
    yield running
    up = Gauge("torngas_job_store_up", "Whether the store of jobs answers.", labels=["jobs"])
    queues = Gauge("torngas_job_queue_jobs", "Jobs in the store.", labels=["jobs", "queue", "state"])
    for alias, found in sizes.items():
        up.add_metric([alias], found is not None)
        for queue, numbers in (found or {}).items():
            for state, number in zip(("waiting", "running"), numbers, strict=True):
                queues.add_metric([alias, queue, state], number)
    yield from (up, queues)
