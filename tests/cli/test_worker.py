"""The worker's command: what it refuses, and how it stops."""

import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.services.process import free_port
from torngas_aio.cli import main

pytestmark = pytest.mark.redis

Capture = pytest.CaptureFixture[str]

SLOW = """
import asyncio
from pathlib import Path

from torngas_aio.jobs import job

@job(queue="slow", retries=0)
async def work(seconds: float) -> None:
    print("BEGUN", flush=True)
    await asyncio.sleep(seconds)
    Path("done").write_text("done")
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--concurrency=0"], "above 0"),
        (["--graceful_timeout=nan"], "0 or more"),
        (["--graceful_timeout=-1"], "0 or more"),
        (["--alias=mail"], "'mail'"),
        (["--queues=fils"], "no job is declared for the queue 'fils'. Did you mean 'files'?"),
        (["--queues=files, mail"], "for the queue 'mail'. There are: default, files."),
    ],
)
def test_what_makes_no_sense_is_refused(site: Path, capsys: Capture, words: list[str], told: str) -> None:
    assert main(["worker", *words]) == 1
    assert told in capsys.readouterr().err


def test_jobs_in_memory_need_no_worker(site: Path, capsys: Capture) -> None:
    (site / "settings" / "setting.py").write_text("INSTALLED_APPS = ('one',)\nDEBUG = True\n")
    assert main(["worker"]) == 1
    assert "RedisJobs" in capsys.readouterr().err
    assert main(["jobs"]) == 0
    assert "They run in the process" in capsys.readouterr().out


def test_a_project_without_jobs_has_nothing_to_work_on(site: Path, capsys: Capture) -> None:
    (site / "one" / "jobs.py").write_text("")
    assert main(["worker"]) == 1
    assert "No job is declared for JOBS['default']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "signals", "waiting"),
    [
        (0.3, [signal.SIGTERM], 0),
        (600, [signal.SIGTERM, signal.SIGINT], 1),
    ],
    ids=["ends in time", "second signal"],
)
def test_a_stop_lets_a_job_end_or_gives_it_back(
    site: Path, capsys: Capture, seconds: float, signals: list[signal.Signals], waiting: int
) -> None:
    (site / "one" / "jobs.py").write_text(SLOW)
    (site / "enqueue.py").write_text(f"from one.jobs import work\nawait work.enqueue({seconds})\n")
    command = [sys.executable, "-m", "torngas_aio"]
    subprocess.run([*command, "run", "enqueue.py"], cwd=site, check=True, timeout=60)
    with subprocess.Popen(
        [*command, "worker"], cwd=site, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        assert worker.stdout is not None
        seen = ""
        for line in worker.stdout:
            seen += line
            if "BEGUN" in line:
                break
        for number in signals:
            worker.send_signal(number)
        seen += worker.communicate(timeout=40)[0]
    assert worker.returncode == 0, seen
    assert "The worker has ended." in seen
    assert (site / "done").exists() == (not waiting)
    assert main(["jobs"]) == 0
    assert re.search(rf"(?m)^ *slow +{waiting} +0$", capsys.readouterr().out)


def test_a_worker_answers_health_and_metrics_at_an_address_of_its_own(site: Path) -> None:
    text = (site / "settings" / "setting.py").read_text()
    (site / "settings" / "setting.py").write_text(f"{text}METRICS = {{'enabled': True}}\n")
    subprocess.run([sys.executable, "-m", "torngas_aio", "run", "enqueue.py"], cwd=site, check=True, timeout=60)
    port = free_port()
    words = [sys.executable, "-m", "torngas_aio", "worker", f"--management=127.0.0.1:{port}"]
    worker = subprocess.Popen(words, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert worker.stdout is not None
    try:
        missing = {"WROTE", "failed for good"}
        while missing and (line := worker.stdout.readline()):
            missing = {word for word in missing if word not in line}
        assert not missing
        page = asked(port, "/-/metrics")
        assert 'torngas_jobs_total{event="succeeded",job="one.jobs:write"} 1.0' in page
        assert 'torngas_jobs_total{event="dead",job="one.jobs:fail"} 1.0' in page
        assert 'torngas_job_queue_jobs{jobs="default",queue="files",state="waiting"} 0.0' in page
        assert '"up"' in asked(port, "/-/ready")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            asked(port, "/")
    finally:
        worker.send_signal(signal.SIGTERM)
        told = worker.communicate(timeout=40)[0]
    assert worker.returncode == 0, told


def asked(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return str(answer.read().decode())
