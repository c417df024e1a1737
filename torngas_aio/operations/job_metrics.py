"""What the metrics page says of jobs: what has happened to them, and how many wait.

    in this process, or in all workers   counted, see `torngas_aio.operations.counts`
    in a store that is shared            asked for at the scrape, at most every few seconds, and not waited for long

Begin with `job_families` and `QueueSizes`.
"""

import asyncio
import itertools
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from torngas_aio.logger import OutageLog

__all__ = ["QueueSizes", "job_families"]

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
