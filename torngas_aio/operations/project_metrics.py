"""The project's own metrics: those in prometheus-client's default registry.

one process    reads them at the scrape
a worker       reads them each second in a thread and sends changes to the parent, which sums over all workers

{"#orders": ["counter", "Orders."], 'orders\\norders_total\\n{"shop": "a"}': 7.0}
"""

import asyncio
import contextlib
import copy
import itertools
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, REGISTRY
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from torngas_aio._cleanup import cancel_tasks
from torngas_aio._concurrency import run_in_thread

__all__ = ["MAX_SAMPLES", "ProjectMetrics", "collected", "families_of"]

logger = logging.getLogger("torngas_aio.operations")

MAX_SAMPLES = 5000
"""Most samples of one worker; further ones are dropped."""

MAX_AT_ONCE = 500
"""Most changed samples in one report to the parent; there is one report a second."""

_SECONDS = 1.0
_IDLE_FACTOR = 20
"""The pause after reading is at least this many times the time that reading took."""

_said: set[str] = set()


def collected() -> list[Metric]:
    """Return the registry's metrics that can be written to a page; if a collector fails, those collected before it."""
    found: list[Metric] = []
    try:
        for family in REGISTRY.collect():
            sound = copy.copy(family)  # a collector may return the same object each time
            sound.documentation = str(family.documentation).encode(errors="replace").decode()
            sound.samples = [sample for sample in family.samples if _is_sound(sample)]
            if len(sound.samples) < len(family.samples):
                _log_once(f"The metric {family.name} has labels or values that cannot be written; those are dropped.")
            found.append(sound)
    except Exception as exc:  # noqa: BLE001  a boundary: the collectors of the project
        _log_once(f"A collector of the project's metrics failed; the metrics after it are missing: {exc!r}")
    return found


def families_of(values: dict[str, Any]) -> Iterator[Metric]:
    """Yield the families encoded in *values*, which come from `ProjectMetrics`."""
    families = {
        key[1:]: Metric(key[1:], described[1], described[0]) for key, described in values.items() if key.startswith("#")
    }
    for key, value in values.items():
        if not key.startswith("#"):
            family, sample, labels = key.split("\n", 2)
            if family in families:
                families[family].add_sample(sample, json.loads(labels), value)
    yield from families.values()


def _is_sound(sample: Sample) -> bool:
    """Return whether *sample* can be written: a label may contain client data that UTF-8 cannot encode."""
    try:
        float(sample.value)
        for label in sample.labels.values():
            label.encode()
    except (TypeError, ValueError, AttributeError):
        return False
    return True


class ProjectMetrics:
    """A reader of the project's metrics in a worker, for its parent."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._sent: dict[str, Any] = {}
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reading."""
        self._reading = asyncio.get_running_loop().create_task(self._read_forever(), name="the project's metrics")

    async def stop(self) -> None:
        """Read a last time and stop reading."""
        if self._reading is not None:
            await cancel_tasks([self._reading], _SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                self._values = await run_in_thread(_read)

    @property
    def is_reported(self) -> bool:
        """Whether `changes` has returned all values read."""
        return self._sent == self._values

    def changes(self, most: int = MAX_AT_ONCE) -> dict[str, Any]:
        """Return at most *most* new or changed values since the last call, and the keys of values that are gone."""
        gone = [key for key in self._sent if key not in self._values]
        differing = ((key, value) for key, value in self._values.items() if self._sent.get(key) != value)
        changed = dict(itertools.islice(differing, most))
        for key in gone:
            del self._sent[key]
        self._sent |= changed
        return {"own": changed, "gone": gone} if changed or gone else {}

    async def _read_forever(self) -> None:
        while True:
            started = time.perf_counter()
            self._values = await run_in_thread(_read)
            await asyncio.sleep(max(_SECONDS, _IDLE_FACTOR * (time.perf_counter() - started)))


def _read() -> dict[str, Any]:
    standard = {
        family.name for each in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR) for family in each.collect()
    }
    values: dict[str, Any] = {}
    for family in collected():
        if family.name in standard:  # metrics of a single process: their sum over workers is meaningless
            continue
        values[f"#{family.name}"] = [family.type, family.documentation[:500]]
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            if len(values) >= MAX_SAMPLES:
                _log_once(f"The project has more than {MAX_SAMPLES} metrics and samples; the rest is dropped.")
                return values
            values[f"{family.name}\n{sample.name}\n{json.dumps(sample.labels)}"] = float(sample.value)
    return values


def _log_once(text: str) -> None:
    if text not in _said and len(_said) < 100:
        _said.add(text)
        logger.error("%s", text)
