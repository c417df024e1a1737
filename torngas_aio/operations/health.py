"""Whether the services that this process uses answer."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torngas_aio._backends import Backends
from torngas_aio._cleanup import bounded, is_imposed
from torngas_aio._concurrency import SingleFlight
from torngas_aio.cache.registry import caches
from torngas_aio.channels import channels
from torngas_aio.logger import OutageLog

__all__ = ["CheckResult", "ReadyChecks"]

CHECK_SECONDS = 1.0
"""How long one check may take; they run side by side."""

FRESH_SECONDS = 1.0
"""How long an answer is given again to those who ask meanwhile."""

logger = logging.getLogger("torngas_aio.operations")
_outages = OutageLog(logger)

Check = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check has found.

    Attributes:
        name: Such as `cache default` or `database default master`.
        error: Why it failed; "" when it did not.
        seconds: How long it took.
    """

    name: str
    error: str
    seconds: float


class ReadyChecks:
    """The checks of one application: those of the stores and databases that are open, and its own.

    A slave that does not answer is no failure: reads go to another, or to the master.
    """

    def __init__(self) -> None:
        self._own: dict[str, Check] = {}
        self._under_way: set[str] = set()
        self._runs = SingleFlight()
        self._results: list[CheckResult] = []
        self._ran_at = -FRESH_SECONDS

    def add(self, name: str, check: Check) -> None:
        """Have *check* awaited as well; it fails by raising, or by taking longer than a second.

        One that swallows its cancellation is not awaited again until it has ended; meanwhile it fails.
        """
        self._own[name] = check

    async def run(self) -> list[CheckResult]:
        """Return what every check has found, at most a second ago."""
        if time.monotonic() - self._ran_at < FRESH_SECONDS:
            return self._results
        return await self._runs.run("checks", self._run)

    async def _run(self) -> list[CheckResult]:
        checks = {**dict(_service_checks()), **self._own}
        self._results = await asyncio.gather(*(self._outcome(name, check) for name, check in checks.items()))
        self._ran_at = time.monotonic()
        return self._results

    async def _outcome(self, name: str, check: Check) -> CheckResult:
        started = time.monotonic()
        error = ""
        try:
            if name in self._under_way:
                raise TimeoutError  # one task is left behind, not one with each run
            await bounded(f"the ready check {name!r}", partial(self._noted, name, check), CHECK_SECONDS)
        except TimeoutError:
            error = f"no answer within {CHECK_SECONDS:g} s"
        except BaseException as exc:
            if is_imposed(exc):
                raise
            error = str(exc) or type(exc).__qualname__
        if error:
            _outages.report(("ready", name), "The process is not ready: %s: %s", name, error)
        return CheckResult(name, error, time.monotonic() - started)

    async def _noted(self, name: str, check: Check) -> None:
        self._under_way.add(name)
        try:
            await check()
        finally:
            self._under_way.discard(name)


def _service_checks() -> Iterator[tuple[str, Check]]:
    jobs = sys.modules.get("torngas_aio.jobs.registry")  # not imported: no job is declared
    stores: list[tuple[str, Backends[Any]]] = [("cache", caches), ("channels", channels)]
    for kind, backends in [*stores, *([] if jobs is None else [("jobs", jobs.jobs)])]:
        for alias, backend in backends.opened():
            if hasattr(backend, "ping"):  # it is not in memory
                yield f"{kind} {alias}", backend.ping
    registry = sys.modules.get("torngas_aio.db.dbalchemy.registry")  # not imported: no database is in use
    for cluster in () if registry is None else registry.open_clusters():
        yield f"database {cluster.name} master", partial(_ping, cluster.master.engine)


async def _ping(engine: Any) -> None:
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
