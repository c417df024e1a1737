"""wrk from the other core, and the probes that wrk has no word for.

Begin with `loaded`.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.apps.common import Variant
from benchmarks.client import connect, read_answer, request_bytes, upload_seconds
from benchmarks.process import AppProcess
from benchmarks.workloads import Workload

__all__ = ["idle_connection_bytes", "loaded", "upload"]

_SCRIPT = Path(__file__).with_name("wrk.lua")


def loaded(app: AppProcess, workload: Workload, seconds: float, connections: int, core: int) -> dict[str, Any]:
    """Ask *app* as fast as it answers; return rate, latencies, CPU time a request and memory.

    Raises:
        RuntimeError: wrk failed, or some answers were not 200.
    """
    _wrk(app, workload, 0.4, connections, core)  # warm
    cpu = app.cpu_seconds()
    logs_access = Variant(workload.variant).logs_access
    before = app.settled_lines() if logs_access else 0
    found = _wrk(app, workload, seconds, connections, core)
    cpu = app.cpu_seconds() - cpu
    if logs_access and (lines := app.settled_lines() - before) < found["requests"]:
        raise RuntimeError(f"{app.name}: {lines} lines logged for {found['requests']} requests")
    if found["bad_answers"] or found["failures"] or not found["requests"]:
        raise RuntimeError(f"{app.name}, {workload.name}: {found}")
    return {
        "rps": found["requests"] / found["seconds"],
        "cpu_us": cpu / found["requests"] * 1e6,
        "rss_mb": app.memory() / 2**20,
        **{name: found[name] for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")},
    }


def _wrk(app: AppProcess, workload: Workload, seconds: float, connections: int, core: int) -> dict[str, Any]:
    headers = [part for name, value in workload.headers.items() for part in ("-H", f"{name}: {value}")]
    command = [
        *("taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{max(1, round(seconds))}s", "--script", str(_SCRIPT), *headers),
        f"http://127.0.0.1:{app.port}{workload.path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("JSON "):
            found: dict[str, Any] = json.loads(line[5:])
            return found
    raise RuntimeError(f"wrk failed on {app.name}: {done.stdout}{done.stderr}")


def idle_connection_bytes(app: AppProcess, count: int = 1_000) -> float:
    """How much memory one kept-alive connection takes that has asked once and waits.

    The first *count* fill what start-up left free; the growth by as many again is what counts.
    """
    with _idle(app, count):
        before = _settled_memory(app)
        with _idle(app, count):
            return (_settled_memory(app) - before) / count


def _settled_memory(app: AppProcess) -> int:
    time.sleep(0.5)  # what is freed late is freed by now
    return app.memory()


@contextmanager
def _idle(app: AppProcess, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(connect(app.port))
            connection.sendall(request_bytes("/plain"))
            read_answer(connection)
        yield


def upload(app: AppProcess, size: int = 100 * 2**20, times: int = 9) -> dict[str, float]:
    """Stream a body of *size* bytes, *times* over; return its median rate and how far memory rose above before."""
    upload_seconds(app.port, 2**20)
    before = app.memory()
    app.reset_peak()
    cpu = app.cpu_seconds()
    seconds = statistics.median(upload_seconds(app.port, size) for _ in range(times))
    return {
        "upload_mb_s": size / seconds / 2**20,
        "upload_cpu_ms": (app.cpu_seconds() - cpu) / times * 1e3,
        "upload_growth_mb": max(0, app.memory("VmHWM") - before) / 2**20,
    }
