"""How many requests a second end in the database: one row by primary key, a page of twenty rows, an insert.

    python -m benchmarks.db [--seconds 3] [--rounds 3] [--connections 32] [--rivals PYTHON] [--json FILE]

MariaDB (a master and a slave that replicates) and wrk share one core, the application has the other. Rounds are
interleaved; figures are medians, *ratio* is ours to theirs. Django's ASGI handler gives each request a thread, and so
a connection, of its own: it connects anew for each. `--own` measures, without a socket, what one read costs
above a bare `AsyncSession.get` on the same engine, and
what that costs on an engine as SQLAlchemy makes it (with BEGIN and ROLLBACK). Begin with `main`.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.db_apps import LAST
from tests.services.mariadb import DATABASE, MariaCluster

APPS = ("torngas", "starlette", "litestar", "aiohttp", "django")
WORKLOADS = {"one": "GET", "page": "GET", "insert": "POST"}
_LUA = f"""
local path = os.getenv("BENCH_PATH")
wrk.method = os.getenv("BENCH_METHOD")
request = function()
  return wrk.format(nil, path == "one" and "/one/" .. math.random(1, {LAST}) or "/" .. path)
end
done = function(summary, latency)
  local bad = summary.errors.status + summary.errors.read
  local seconds, p99 = summary.duration / 1e6, latency:percentile(99) / 1e3
  print(string.format("RESULT %d %f %f %d", summary.requests, seconds, p99, bad))
end
"""
_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--apps", default=",".join(APPS))
    parser.add_argument("--rivals", default=sys.executable, help="the Python that has the rivals installed")
    parser.add_argument("--own", action="store_true", help="only our own cost above AsyncSession.get")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with MariaCluster() as cluster:
        fill(cluster)
        os.environ["TORNGAS_BENCH_MASTER"] = str(cluster.master.port)
        os.environ["TORNGAS_BENCH_SLAVE"] = str(cluster.slaves[0].port)
        if options.own:
            print(own_cost(cluster))
            return
        for server in cluster.servers:
            subprocess.run(["taskset", "--all-tasks", "--cpu-list", "--pid", "0", str(server.process.pid)], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        found = measured(options)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def fill(cluster: MariaCluster) -> None:
    columns = "id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL, visits INT NOT NULL"
    cluster.master.execute(f"CREATE TABLE users ({columns})", DATABASE)
    values = ", ".join(f"({number}, 'user {number}', {number % 7})" for number in range(1, LAST + 1))
    cluster.master.execute(f"INSERT INTO users VALUES {values}", DATABASE)
    cluster.wait_for_slaves()


def measured(options: argparse.Namespace) -> dict[str, dict[str, dict[str, list[float]]]]:
    names = options.apps.split(",")
    found: dict[str, dict[str, dict[str, list[float]]]] = {
        workload: {name: {"rps": [], "cpu_us": [], "p99_ms": []} for name in names} for workload in WORKLOADS
    }
    for _ in range(options.rounds):
        for name in names:
            with running(name, options.rivals) as app:
                for workload in WORKLOADS:
                    load(app, workload, 1, options.connections)
                    for key, value in load(app, workload, options.seconds, options.connections).items():
                        found[workload][name][key].append(value)
    return found


class App:
    """A started application."""

    def __init__(self, name: str, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.name, self.port, self.pid = name, port, process.pid

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


@contextlib.contextmanager
def running(name: str, rivals: str) -> Iterator[App]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    python = sys.executable if name == "torngas" else rivals
    command = ["taskset", "--cpu-list", "1", python, "-m", "benchmarks.db_apps", name, str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parent.parent) as process:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/one/1") as answer:
                    assert json.load(answer) == {"id": 1, "name": "user 1"}
                    break
                time.sleep(0.05)
            yield App(name, port, process)
        finally:
            process.kill()


def load(app: App, workload: str, seconds: int, connections: int) -> dict[str, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA)
        script.flush()
        cpu = app.cpu_seconds()
        done = subprocess.run(
            ["taskset", "--cpu-list", "0", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name,
             f"http://127.0.0.1:{app.port}/"],
            env={**os.environ, "BENCH_PATH": workload, "BENCH_METHOD": WORKLOADS[workload]},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        cpu = app.cpu_seconds() - cpu
    words = next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).split()
    requests, duration, p99, bad = max(1, int(words[1])), float(words[2]), float(words[3]), int(words[4])
    assert not bad, f"{app.name}, {workload}: {bad} of {requests} answers were wrong"
    return {"rps": requests / duration, "cpu_us": cpu / requests * 1e6, "p99_ms": p99}


def report(found: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    for workload, apps in found.items():
        print(f"\n{workload:12}{'requests/s':>12}{'CPU us':>9}{'p99 ms':>9}{'ratio':>8}")
        ours = statistics.median(apps["torngas"]["rps"]) if "torngas" in apps else 0.0
        for name, figures in apps.items():
            rps, cpu, p99 = (statistics.median(figures[key]) for key in ("rps", "cpu_us", "p99_ms"))
            print(f"{name:12}{rps:12.0f}{cpu:9.0f}{p99:9.1f}{ours / rps:8.2f}")


def own_cost(cluster: MariaCluster) -> str:
    """CPU of one read by primary key: bare, in a `session_scope`, and as `Model.Q` in a request."""
    import uvloop

    from tests.db.models import User
    from tests.db.support import configured, maria

    async def run() -> str:
        with configured(maria(cluster, slaves=1)):
            return await _compared(User)

    return uvloop.run(run())


async def _compared(model: Any) -> str:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    from tests.db.support import in_request
    from torngas_aio._cleanup import close_all
    from torngas_aio.db.dbalchemy import session_scope
    from torngas_aio.db.dbalchemy.registry import cluster_of

    engine = cluster_of().slaves[0].engine

    async def bare() -> None:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            await session.get(model, 1)

    async def scoped() -> None:
        async with session_scope() as session:
            await session.get(model, 1)

    async def requested() -> None:
        async with in_request():
            await model.Q.get(1)

    async def empty() -> None:
        async with in_request():
            pass

    plain_engine = create_async_engine(engine.url.set(drivername="mysql+aiomysql"))

    async def plain() -> None:
        async with AsyncSession(plain_engine, expire_on_commit=False) as session:
            await session.get(model, 1)

    ways: tuple[Callable[[], Awaitable[None]], ...] = (bare, scoped, requested, empty, plain)
    times: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for number in range(8):
        for way in ways:
            started = time.process_time()
            for _ in range(1000):
                await way()
            if number:
                times[way.__name__].append((time.process_time() - started) * 1e3)
    await plain_engine.dispose()
    await close_all()
    cost = {name: statistics.median(each) for name, each in times.items()}
    own = cost["requested"] - cost["empty"] - cost["bare"]
    return (
        f"CPU us of one row by primary key: bare AsyncSession.get {cost['bare']:.0f}, "
        f"session_scope {cost['scoped']:.0f}, "
        f"Model.Q in a request {cost['requested']:.0f} (the request alone {cost['empty']:.0f}): own cost {own:+.0f}; "
        f"AsyncSession.get on an engine as SQLAlchemy makes it: {cost['plain']:.0f}"
    )


if __name__ == "__main__":
    main()
