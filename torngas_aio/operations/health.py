"""Readiness checks of the services that this process uses."""

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
"""Timeout of one check; checks run concurrently."""

FRESH_SECONDS = 1.0
"""How long results are reused."""

logger = logging.getLogger("torngas_aio.operations")
_outages = OutageLog(logger)

Check = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: Such as `cache default` or `database default master`.
        error: The reason of the failure; "" on success.
        seconds: Duration.
    """

    name: str
    error: str
    seconds: float


class ReadyChecks:
    """The checks of one application: one for each open store and database, and the project's own.

    Slaves are not checked: if one fails, reads go to another or to the master.
    """

    def __init__(self) -> None:
        self._own: dict[str, Check] = {}
        self._under_way: set[str] = set()
        self._runs = SingleFlight()
        self._results: list[CheckResult] = []
        self._ran_at = -FRESH_SECONDS

    def add(self, name: str, check: Check) -> None:
        """Add *check*; it fails by raising, or by taking longer than a second.

        A check that swallows its cancellation counts as failed, and is not started again, until it has ended.
        """
        self._own[name] = check

    async def run(self) -> list[CheckResult]:
        """Return the results of all checks, at most a second old."""
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
                raise TimeoutError  # at most one task per check is left running
            await bounded(f"the ready check {name!r}", partial(self._run_marked, name, check), CHECK_SECONDS)
        except TimeoutError:
            error = f"no answer within {CHECK_SECONDS:g} s"
        except BaseException as exc:
            if is_imposed(exc):
                raise
            error = str(exc) or type(exc).__qualname__
        if error:
            _outages.report(("ready", name), "The process is not ready: %s: %s", name, error)
        return CheckResult(name, error, time.monotonic() - started)

    async def _run_marked(self, name: str, check: Check) -> None:
        self._under_way.add(name)
        try:
            await check()
        finally:
            self._under_way.discard(name)


def _service_checks() -> Iterator[tuple[str, Check]]:
    jobs = sys.modules.get("torngas_aio.jobs.registry")  # None: no job is declared
    stores: list[tuple[str, Backends[Any]]] = [("cache", caches), ("channels", channels)]
    for kind, backends in [*stores, *([] if jobs is None else [("jobs", jobs.jobs)])]:
        for alias, backend in backends.opened():
            if hasattr(backend, "ping"):  # backends in memory have none
                yield f"{kind} {alias}", backend.ping
    registry = sys.modules.get("torngas_aio.db.dbalchemy.registry")  # None: no database is in use
    for cluster in () if registry is None else registry.open_clusters():
        yield f"database {cluster.name} master", partial(_ping, cluster.master.engine)


async def _ping(engine: Any) -> None:
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
