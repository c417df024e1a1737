"""Sessions in Redis: each request reads its session, counts in it and answers when Redis has it.

    wrk (64 connections, 256 sessions in turn) ─► application on one core ─► redis-server on the other

Afterwards every session is read back: what was answered must have been counted. Needs redis-server and wrk;
rivals: pip install "redis[hiredis]" starsessions aiohttp-session litestar sanic django uvicorn. Begin with `main`.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.client import ask

SESSIONS = 256
ROOT = Path(__file__).parent.parent
SCRIPT = """
local cookies, turn = {}, 0
for line in io.lines("%s") do cookies[#cookies + 1] = wrk.format("GET", "/", {Cookie = line, Host = "localhost"}) end
request = function() turn = turn %% #cookies + 1; return cookies[turn] end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(APPS), choices=list(APPS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in options.only}
    costs: dict[str, list[float]] = {name: [] for name in options.only}
    lost: dict[str, int] = dict.fromkeys(options.only, 0)
    with redis_server() as redis_port:
        for _ in range(options.rounds):
            for name in options.only:
                with serving(name, redis_port) as (port, pid):
                    rate, cpu, missing = measured(port, pid, options)
                    rates[name].append(rate)
                    costs[name].append(cpu)
                    lost[name] += missing
    best = max((statistics.median(found) for name, found in rates.items() if name != "torngas"), default=1.0)
    print(f"{'':10} {'requests/s':>10} {'x best rival':>13} {'server us':>10} {'answered, not counted':>22}")
    for name, found in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        rate, cost = statistics.median(found), statistics.median(costs[name])
        print(f"{name:10} {rate:10.0f} {rate / best:13.2f} {cost:10.0f} {lost[name]:22}")


def measured(port: int, pid: int, options: argparse.Namespace) -> tuple[float, float, int]:
    """Requests a second, CPU microseconds a request, and how many answered requests no session has counted."""
    cookies = [cookie_of(port) for _ in range(SESSIONS)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cookies").write_text("\n".join(cookies) + "\n", encoding="ascii")
        script = Path(folder, "session.lua")
        done = Path(__file__).with_name("wrk.lua").read_text(encoding="utf-8")
        script.write_text(SCRIPT % Path(folder, "cookies") + done, encoding="utf-8")
        command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s"]
        command += [str(script), f"http://127.0.0.1:{port}/"]
        before = cpu_seconds(pid)
        output = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu = cpu_seconds(pid) - before
    found = json.loads(re.findall("JSON (.*)", output.stdout)[0])
    if found["bad_answers"]:
        raise SystemExit(f"wrong answers: {found}")
    counted = sum(int(ask(port, "/read", {"Cookie": cookie}).body) - 1 for cookie in cookies)
    return found["requests"] / found["seconds"], cpu / found["requests"] * 1e6, max(0, found["requests"] - counted)


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far; what else the machine does is not in it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cookie_of(port: int) -> str:
    return ask(port, "/").headers["set-cookie"].partition(";")[0]


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    port = free_port()
    program = shutil.which("redis-server") or "/usr/bin/redis-server"
    command = ["taskset", "-c", "1", program, "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with process(command, port):
        yield port


@contextlib.contextmanager
def serving(name: str, redis_port: int) -> Iterator[tuple[int, int]]:
    """Start an application; give its port and process id."""
    port = free_port()
    command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.session_apps", name, str(port), str(redis_port)]
    with process(command, port) as pid:
        yield port, pid


@contextlib.contextmanager
def process(command: list[str], port: int) -> Iterator[int]:
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and started.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.02)  # a process that starts gives no event to wait for
            else:
                log.seek(0)
                raise SystemExit(f"{' '.join(command)} did not start:\n{log.read().decode()[-2000:]}")
            yield started.pid
        finally:
            started.terminate()
            try:
                started.wait(5)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


APPS = ("torngas", "sanic", "starlette", "litestar", "aiohttp", "django")

if __name__ == "__main__":
    main()
