"""Every application answers every workload with the same bytes; rivals take part where they are installed."""

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest

from benchmarks import sockets
from benchmarks.__main__ import APPS, BARE_APPS, PROBES, allow_many_sockets, takes_part
from benchmarks.apps.common import Variant
from benchmarks.client import request_bytes, upload_seconds
from benchmarks.goals import GOALS
from benchmarks.load import loaded, paced, validators
from benchmarks.process import AppProcess, running
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS, Workload

pytestmark = [
    pytest.mark.skipif(shutil.which("taskset") is None, reason="the runner pins processes with taskset"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="the runner makes a certificate with openssl"),
]
CORE = min(getattr(os, "sched_getaffinity", lambda _: {0})(0))
EVERY = (*APPS, "torngas-tornado", *BARE_APPS)
SERVE_PACKED = ("torngas", "torngas-tornado", "aiohttp")
"""Look for `app.js.gz` where `app.js` is asked for."""


def is_installed(app: str) -> bool:
    if app.startswith(("torngas", "bare")):
        return True
    needed = [name for name in app.split("-") if importlib.util.find_spec(name) is None]
    return not needed and (app != "starlette-uvicorn" or importlib.util.find_spec("python_multipart") is not None)


@pytest.fixture(scope="module", params=[name for name in EVERY if is_installed(name)])
def app(request: pytest.FixtureRequest) -> Iterator[AppProcess]:
    with running(request.param, "plain", CORE) as process:
        yield process


def wrong(app: AppProcess, workload: Workload) -> str | None:
    return workload.check(app.ask(workload.sample({"Connection": "close", **validators(app, workload)})))


def test_every_workload_is_answered_right(app: AppProcess) -> None:
    asked = [workload for workload in WORKLOADS.values() if workload.variant == "plain"]
    for workload in asked:
        is_offered = workload.name != "static-packed" or app.name in SERVE_PACKED
        if is_offered and takes_part(app.name, workload.scope):
            assert wrong(app, workload) is None, workload.name


def test_uploads_are_counted_and_the_kernel_is_asked(app: AppProcess) -> None:
    if app.name not in BARE_APPS:
        assert upload_seconds(app.port, 3_000_000) > 0
    assert app.memory() > app.private_bytes() > 2**20
    assert app.cpu_seconds() > 0


def test_websockets_are_echoed_and_told(app: AppProcess) -> None:
    if app.name in BARE_APPS:
        pytest.skip("has no WebSockets")
    figures = sockets.echo(app, seconds=0.2, connections=3)
    assert 0 < figures["half_p50_ms"] <= figures["half_p99_ms"]
    assert sockets.broadcast(app, count=20, times=2)["held_ms"] > 0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_five_thousand_websockets_take_less_than_10_kb_each_and_hold_the_loop_less_than_10_ms() -> None:
    allow_many_sockets()
    with running("torngas", "plain", CORE) as process:
        assert sockets.idle(process, 5_000)["kb_per_socket"] < 10
        assert sockets.broadcast(process, 5_000)["held_ms"] < 10  # of CPU time


@pytest.mark.parametrize("name", ["middlewares", "routes-10", "tls", "access-log", "delivered"])
def test_variants_are_answered_right(name: str) -> None:
    workload = WORKLOADS[name]
    with running("torngas", workload.variant, CORE) as process:
        before = process.settled_lines()
        assert wrong(process, workload) is None
        assert process.settled_lines() - before == Variant(workload.variant).logs_access


def test_a_wrong_answer_is_noticed() -> None:
    with running("bare", "plain", CORE) as process:
        problem = wrong(process, WORKLOADS["json"])
        with pytest.raises(ConnectionError):
            sockets.open_socket(process.port, "/echo")
    assert problem is not None


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_what_is_checked() -> None:
    """Requests differ, POST has its body, a 304 is a right answer, and waits hold the rate down."""
    with running("tornado", "plain", CORE) as process:
        for name in ("varied-parameter", "varied-json-post", "static-304"):
            figures = loaded(process, WORKLOADS[name], 1, 2, CORE)
            assert figures["rps"] > 0 < figures["cpu_us"], name
        figures = paced(process, WORKLOADS["plain"], 1, 100, CORE)
    assert figures["half_rps"] < 150


def test_a_varied_request_has_no_placeholder_left() -> None:
    for workload in WORKLOADS.values():
        assert (b"{n}" in workload.template()) == workload.name.startswith("varied-")
        assert b"{n}" not in workload.sample()
    head, _, body = WORKLOADS["varied-json-post"].sample().partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"


def test_goals_are_of_what_is_measured() -> None:
    assert set(GOALS) <= {*WORKLOADS, *PROBES}


def test_client_frames_are_masked() -> None:
    frame = sockets.text_frame("m" * 128)
    assert len(frame) == 4 + 4 + 128
    assert bytes(byte ^ frame[4 + at % 4] for at, byte in enumerate(frame[8:])) == b"m" * 128
    assert request_bytes("/", body=b"") == b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


def test_variants_say_what_they_hold() -> None:
    assert (Variant("middlewares").middlewares, Variant().middlewares) == (5, 0)
    assert (len(Variant("routes-10").routes), len(Variant().routes)) == (10, 0)


def test_a_report_gives_medians_and_ratios() -> None:
    report = Report(first="ours")
    for rps in (90.0, 100.0, 500.0):
        report.add("plain", "ours", {"rps": rps, "cpu_us": 10.0})
        report.add("plain", "theirs", {"rps": rps / 2, "cpu_us": 20.0})
        report.add("plain", "bare", {"rps": rps * 2, "cpu_us": 5.0})
    for app, tail in (("ours", 1.5), ("theirs", 2.5)):
        report.add("plain", app, {"half_p99_ms": tail})
        report.add("plain", app, {"same_p99_ms": tail / 2})
    assert report.highest_rates("plain") == {"ours": 500.0, "theirs": 250.0, "bare": 1000.0}
    assert report.medians("plain")["ours"] == {"rps": 100.0, "cpu_us": 10.0, "half_p99_ms": 1.5, "same_p99_ms": 0.75}
    line = report.text("plain").splitlines()[3].split()
    assert line[:7] == ["theirs", "50.0", "20.0", "2.50", "1.25", "2.00", "0.50"]
    assert "| theirs | 50 |" in report.markdown()
    assert "| plain | cpu_us | 10.0 | theirs | 20.0 | 2.00 | 1.80 | 1.50, 2.50 ms | 0.75, 1.25 ms |" in report.ratios()
    assert '"medians"' in report.json()
