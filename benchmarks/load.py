"""wrk from the other core, and the probes that neither wrk nor `sockets` has a word for.

Begin with `loaded`.
"""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.apps.common import Variant
from benchmarks.client import connect, read_answer, request_bytes, upload_seconds
from benchmarks.process import AppProcess
from benchmarks.workloads import Workload

__all__ = ["idle_connection_bytes", "loaded", "paced", "upload", "validators"]

PACED_CONNECTIONS = 256
_SCRIPT = Path(__file__).with_name("wrk.lua")


def validators(app: AppProcess, workload: Workload) -> dict[str, str]:
    """Return the conditional headers for a file that *app* has just given, as a browser would send them."""
    if not workload.is_conditional:
        return {}
    headers = app.ask(request_bytes(workload.path, {"Connection": "close"})).headers
    found = {"If-None-Match": headers.get("etag"), "If-Modified-Since": headers.get("last-modified")}
    return {name: value for name, value in found.items() if value is not None}


def loaded(app: AppProcess, workload: Workload, seconds: float, connections: int, core: int) -> dict[str, float]:
    """Ask *app* as fast as it answers; return rate, latencies, CPU time a request and memory.

    Raises:
        RuntimeError: wrk failed, or some answers were not 200 or 304.
    """
    cpu = app.cpu_seconds()
    logs_access = Variant(workload.variant).logs_access
    before = app.settled_lines() if logs_access else 0
    found = _wrk(app, workload, seconds, connections, core)
    cpu = app.cpu_seconds() - cpu
    if logs_access and (lines := app.settled_lines() - before) < found["requests"]:
        raise RuntimeError(f"{app.name}: {lines} lines logged for {found['requests']} requests")
    return {
        "rps": found["requests"] / found["seconds"],
        "cpu_us": cpu / found["requests"] * 1e6,
        "rss_mb": app.memory() / 2**20,
        **{name: found[name] for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")},
    }


def paced(
    app: AppProcess, workload: Workload, seconds: float, rate: float, core: int, name: str = "half"
) -> dict[str, float]:
    """Return the latencies when *app* is asked at *rate*, and the rate that this was, as figures of *name*.

    Each connection waits a random time before its next request: what comes does not follow from what was answered.
    """
    connections = PACED_CONNECTIONS
    found = _wrk(app, workload, seconds, connections, core, wait_ms=connections / rate * 1e3)
    return {
        f"{name}_rps": found["requests"] / found["seconds"],
        f"{name}_p50_ms": found["p50_ms"],
        f"{name}_p99_ms": found["p99_ms"],
    }


def _wrk(
    app: AppProcess, workload: Workload, seconds: float, connections: int, core: int, wait_ms: float = 0
) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile() as request:
        request.write(workload.template(validators(app, workload)))
        request.flush()
        command = [
            *("taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{max(1, round(seconds))}s", "--script", str(_SCRIPT)),
            f"{'https' if app.is_tls else 'http'}://127.0.0.1:{app.port}/",
            *("--", request.name, str(wait_ms)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("JSON "):
            return _accepted(app, workload, json.loads(line[5:]))
    raise RuntimeError(f"wrk failed on {app.name}: {done.stdout}{done.stderr}")


def _accepted(app: AppProcess, workload: Workload, found: Mapping[str, Any]) -> dict[str, Any]:
    if found["bad_answers"] or found["failures"] or not found["requests"]:
        raise RuntimeError(f"{app.name}, {workload.name}: {found}")
    return dict(found)


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
    """Stream a body of *size* bytes, *times* over; return its median time and how far memory rose above before."""
    upload_seconds(app.port, 2**20)
    before = app.memory()
    app.reset_peak()
    cpu = app.cpu_seconds()
    seconds = statistics.median(upload_seconds(app.port, size) for _ in range(times))
    return {
        "upload_ms": seconds * 1e3,
        "upload_cpu_ms": (app.cpu_seconds() - cpu) / times * 1e3,
        "upload_growth_mb": max(0, app.memory("VmHWM") - before) / 2**20,
    }
