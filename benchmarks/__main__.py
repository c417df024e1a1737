"""Whole applications against rivals: `python -m benchmarks --help`.

    for each variant:  start every application, each pinned to one core
        for each round:  for each workload:  for each application:  check, load from the other core
        --tails times:   the latencies at half of its highest rate, and at half of the best rival's, one rate for all

Rounds are interleaved, so that what else the machine does meets all alike; figures are medians. Without arguments it
measures everything, in less than 40 minutes; `--short` is for a change: a workload of each kind, in 5 minutes.
Begin with `main`.
"""

import argparse
import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import sockets
from benchmarks.load import idle_connection_bytes, loaded, paced, upload, validators
from benchmarks.process import AppProcess, StartError, running, set_priority
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS, Scope, Workload

APPS = ("torngas", "aiohttp", "starlette-uvicorn", "starlette-granian", "blacksheep-granian", "sanic", "tornado")
"""Have every route."""

SIMPLE_APPS = ("litestar-uvicorn", "fastapi-uvicorn", "falcon-uvicorn", "falcon-granian", "django-uvicorn")
TYPED_APPS = ("torngas", "fastapi-uvicorn", "litestar-uvicorn", "blacksheep-granian")
"""Declare what they take: the workloads `typed-...`."""

BARE_APPS = ("bare", "bare-task")
SHORT_APPS = ("torngas", "aiohttp", "starlette-uvicorn", "blacksheep-granian")
SHORT = (
    *("plain", "varied-headers", "varied-cookies", "varied-json-post", "form", "static-100k", "static-304", "events"),
    *("access-log", "delivered", "websocket-echo"),
)

PROBES: dict[str, Callable[[AppProcess], dict[str, float]]] = {
    "start": lambda app: {"start_ms": app.start_seconds * 1e3, "rss_mb": app.memory() / 2**20},
    "idle": lambda app: {"kb_per_connection": idle_connection_bytes(app) / 1024, "rss_mb": app.memory() / 2**20},
    "upload": upload,
    "websocket-echo": sockets.echo,
    "websocket-broadcast": sockets.broadcast,
    "websocket-idle": sockets.idle,
}
"""What has a process of its own, and a client other than wrk."""


def main() -> int:
    options = _options()
    allow_many_sockets()
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


def allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _measure_variant(variant: str, workloads: list[Workload], options: argparse.Namespace, report: Report) -> None:
    with contextlib.ExitStack() as stack:
        apps = list(_started(variant, options, stack))
        pairs = [(workload, app) for workload in workloads for app in apps if takes_part(app.name, workload.scope)]
        pairs = [pair for pair in pairs if _answers_right(*pair)]
        for number in range(options.rounds):
            for workload, app in pairs:
                _measure(app, workload, options, report, is_first=number == 0)
            print(f"{variant}: round {number + 1} of {options.rounds} done", file=sys.stderr)
        for workload, app in pairs:
            _measure_tails(app, workload, options, report)


def _started(variant: str, options: argparse.Namespace, stack: contextlib.ExitStack) -> Iterable[AppProcess]:
    for name in options.only:
        if name in BARE_APPS and variant != "plain":
            continue
        try:
            yield stack.enter_context(running(name, variant, options.server_core, options.nice))
        except StartError as exc:
            print(exc, file=sys.stderr)


def takes_part(name: str, scope: Scope) -> bool:
    if name in BARE_APPS:
        return scope == "bare"
    if scope == "typed":
        return name in TYPED_APPS
    return scope != "full" or name not in SIMPLE_APPS


def _answers_right(workload: Workload, app: AppProcess) -> bool:
    problem = workload.check(app.ask(workload.sample({"Connection": "close", **validators(app, workload)})))
    if problem is not None:
        print(f"{app.name}, {workload.name}: wrong answer, left out: {problem}", file=sys.stderr)
    return problem is None


def _measure(app: AppProcess, workload: Workload, options: argparse.Namespace, report: Report, is_first: bool) -> None:
    try:
        for _ in range(2 if is_first else 1):  # the first run warms
            figures = loaded(app, workload, options.seconds, options.connections, options.client_core)
    except RuntimeError as exc:
        print(exc, file=sys.stderr)
        return
    report.add(workload.name, app.name, figures)


def _measure_tails(app: AppProcess, workload: Workload, options: argparse.Namespace, report: Report) -> None:
    highest = report.highest_rates(workload.name)
    own = highest.get(app.name, 0)
    rival = max((rate for name, rate in highest.items() if name not in (report.first, *BARE_APPS)), default=0)
    for name, rate in (("half", own / 2), ("same", rival / 2)):
        if 0 < rate < own:  # one that cannot answer at this rate has no latency there
            for _ in range(options.tails):
                with contextlib.suppress(RuntimeError):
                    figures = paced(app, workload, options.seconds, rate, options.client_core, name)
                    report.add(workload.name, app.name, figures)


def _measure_probe(probe: str, options: argparse.Namespace, report: Report) -> None:
    for _ in range(min(options.rounds, 3)):
        for name in options.only:
            if not takes_part(name, "simple" if probe in ("start", "idle") else "full"):
                continue
            try:
                with running(name, "plain", options.server_core, options.nice) as app:
                    report.add(probe, name, PROBES[probe](app))
            except (StartError, RuntimeError, OSError) as exc:
                print(f"{name}, {probe}: {exc}", file=sys.stderr)
        print(f"{probe}: a round done", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*WORKLOADS, *PROBES]
    apps = (*APPS, *SIMPLE_APPS, *BARE_APPS)
    parser.add_argument("--short", action="store_true", help="a workload of each kind, three rivals, three rounds")
    parser.add_argument("--only", nargs="+", metavar="APP", choices=apps, help=f"among {', '.join(apps)}")
    parser.add_argument("--workloads", nargs="+", choices=known, metavar="NAME", help=f"among {', '.join(known)}")
    parser.add_argument("--rounds", type=int, help="of each workload and application (5)")
    parser.add_argument("--seconds", type=float, default=1, help="of load in each round, whole seconds (1)")
    parser.add_argument("--tails", type=int, default=1, help="measurements of the latencies at half rates (1)")
    parser.add_argument("--connections", type=int, default=64, help="kept alive by wrk (64)")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=(os.cpu_count() or 2) - 1)
    parser.add_argument("--nice", type=int, default=0, help="priority of all; below 0 on a machine that is not idle")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write medians and all samples here")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    options.only = options.only or (SHORT_APPS if options.short else (*APPS, *BARE_APPS))
    options.workloads = options.workloads or (SHORT if options.short else known)
    options.rounds = options.rounds or (3 if options.short else 5)
    set_priority(options.nice)
    os.sched_setaffinity(0, {options.client_core})
    return options


if __name__ == "__main__":
    sys.exit(main())
