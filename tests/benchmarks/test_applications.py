"""The benchmarks' own applications answer what the runner checks; rivals are installed by `nox -s bench` only."""

import os
import shutil
from collections.abc import Iterator

import pytest

from benchmarks.apps.common import Variant
from benchmarks.client import ask, upload_seconds
from benchmarks.process import AppProcess, running
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS, Workload

pytestmark = pytest.mark.skipif(shutil.which("taskset") is None, reason="the runner pins processes with taskset")
CORE = min(getattr(os, "sched_getaffinity", lambda _: {0})(0))
OURS = ("torngas", "torngas-tornado", "tornado", "bare", "bare-task")


@pytest.fixture(scope="module", params=OURS)
def app(request: pytest.FixtureRequest) -> Iterator[AppProcess]:
    with running(request.param, "plain", CORE) as process:
        yield process


def wrong(app: AppProcess, workload: Workload) -> str | None:
    return workload.check(ask(app.port, workload.path, workload.headers))


def test_every_workload_is_answered_right(app: AppProcess) -> None:
    is_bare = app.name.startswith("bare")
    for workload in WORKLOADS.values():
        if workload.variant == "plain" and (workload.is_basic or not is_bare):
            assert wrong(app, workload) is None, workload.name


def test_uploads_are_counted_and_the_kernel_is_asked(app: AppProcess) -> None:
    if not app.name.startswith("bare"):
        assert upload_seconds(app.port, 3_000_000) > 0
    assert app.memory() > 2**20
    assert app.cpu_seconds() > 0


@pytest.mark.parametrize("name", ["middlewares", "routes-100"])
def test_variants_are_answered_right(name: str) -> None:
    workload = WORKLOADS[name]
    with running("torngas", workload.variant, CORE) as process:
        assert wrong(process, workload) is None


def test_a_wrong_answer_is_noticed() -> None:
    with running("bare", "plain", CORE) as process:
        problem = wrong(process, WORKLOADS["json"])
    assert problem is not None


def test_variants_say_what_they_hold() -> None:
    assert (Variant("middlewares").middlewares, Variant().middlewares) == (5, 0)
    assert (len(Variant("routes-10").routes), len(Variant().routes)) == (10, 0)


def test_a_report_gives_medians_and_ratios() -> None:
    report = Report(first="ours")
    for rps in (90.0, 100.0, 500.0):
        report.add("plain", "ours", {"rps": rps, "cpu_us": 10.0})
        report.add("plain", "theirs", {"rps": rps / 2, "cpu_us": 20.0})
    assert report.medians("plain")["ours"] == {"rps": 100.0, "cpu_us": 10.0}
    line = report.text("plain").splitlines()[2].split()
    assert line == ["theirs", "50.0", "20.0", "2.00", "0.50"]
    assert "| theirs | 50 |" in report.markdown()
    assert '"medians"' in report.json()
