"""Whole applications against rivals: `python -m benchmarks --help`.

    for each variant:  start every application, each pinned to one core
        for each round:  for each workload:  for each application:  check, warm, load from the other core

Rounds are interleaved, so that what else the machine does meets all alike; figures are medians. Begin with `main`.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.client import ask
from benchmarks.load import idle_connection_bytes, loaded, upload
from benchmarks.process import AppProcess, StartError, running, set_priority
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS, Workload

APPS = (
    *("torngas", "tornado", "starlette-uvicorn", "starlette-granian", "litestar-uvicorn", "fastapi-uvicorn"),
    *(
        "falcon-uvicorn",
        "falcon-granian",
        "blacksheep-granian",
        "sanic",
        "aiohttp",
        "django-uvicorn",
        "bare",
        "bare-task",
    ),
)
PROBES = ("start", "idle", "upload")


def main() -> int:
    options = _options()
    report = Report()
    chosen = [name for name in options.workloads if name not in PROBES]
    try:
        for variant in dict.fromkeys(WORKLOADS[name].variant for name in chosen):
            workloads = [WORKLOADS[name] for name in chosen if WORKLOADS[name].variant == variant]
            _measure_variant(variant, workloads, options, report)
        for probe in PROBES:
            if probe in options.workloads:
                _measure_probe(probe, options, report)
    except KeyboardInterrupt:
        print("interrupted: what was measured follows", file=sys.stderr)
    print(report.markdown() if options.markdown else "\n\n".join(report.text(name) for name in report.samples))
    if options.json:
        options.json.write_text(report.json(), encoding="utf-8")
    return 0


def _measure_variant(variant: str, workloads: list[Workload], options: argparse.Namespace, report: Report) -> None:
    with contextlib.ExitStack() as stack:
        apps = list(_started(variant, options, stack))
        for number in range(options.rounds):
            for workload in workloads:
                for app in apps:
                    if app.name.startswith("bare") and not workload.is_basic:
                        continue
                    _measure(app, workload, options, report)
            print(f"{variant}: round {number + 1} of {options.rounds} done", file=sys.stderr)


def _started(variant: str, options: argparse.Namespace, stack: contextlib.ExitStack) -> Iterable[AppProcess]:
    for name in options.only:
        if name.startswith("bare") and variant != "plain":
            continue
        try:
            yield stack.enter_context(running(name, variant, options.server_core, options.nice))
        except StartError as exc:
            print(exc, file=sys.stderr)


def _measure(app: AppProcess, workload: Workload, options: argparse.Namespace, report: Report) -> None:
    problem = workload.check(ask(app.port, workload.path, workload.headers))
    if problem is not None:
        print(f"{app.name}, {workload.name}: wrong answer, left out: {problem}", file=sys.stderr)
        return
    try:
        figures = loaded(app, workload, options.seconds, options.connections, options.client_core)
    except RuntimeError as exc:
        print(exc, file=sys.stderr)
        return
    report.add(workload.name, app.name, figures)


def _measure_probe(probe: str, options: argparse.Namespace, report: Report) -> None:
    for _ in range(options.rounds):
        for name in options.only:
            if name.startswith("bare") and probe == "upload":
                continue
            try:
                with running(name, "plain", options.server_core, options.nice) as app:
                    report.add(probe, name, _probed(probe, app))
            except (StartError, RuntimeError, OSError) as exc:
                print(f"{name}, {probe}: {exc}", file=sys.stderr)
        print(f"{probe}: a round done", file=sys.stderr)


def _probed(probe: str, app: AppProcess) -> dict[str, float]:
    if probe == "start":
        return {"start_ms": app.start_seconds * 1e3, "rss_mb": app.memory() / 2**20}
    if probe == "idle":
        return {"kb_per_idle_connection": idle_connection_bytes(app) / 1024, "rss_mb": app.memory() / 2**20}
    return upload(app)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*WORKLOADS, *PROBES]
    parser.add_argument("--only", nargs="+", default=list(APPS), metavar="APP", help=f"among {', '.join(APPS)}")
    parser.add_argument(
        "--workloads", nargs="+", default=known, choices=known, metavar="NAME", help=f"among {', '.join(known)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each workload and application (3)")
    parser.add_argument("--seconds", type=float, default=2, help="of load in each round, whole seconds (2)")
    parser.add_argument("--connections", type=int, default=64, help="kept alive by wrk (64)")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=(os.cpu_count() or 2) - 1)
    parser.add_argument("--nice", type=int, default=0, help="priority of all; below 0 on a machine that is not idle")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write medians and all samples here")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    set_priority(options.nice)
    os.sched_setaffinity(0, {options.client_core})
    return options


if __name__ == "__main__":
    sys.exit(main())
