"""`worker` runs what waits, what it refuses and how it stops; `jobs` shows what waits and retries what failed."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import run_worker
from tests.services.process import free_port
from torngas_aio.cli import main

pytestmark = pytest.mark.redis

Capture = pytest.CaptureFixture[str]


def test_a_worker_runs_what_was_enqueued_and_dead_letters_are_retried(site: Path, capsys: Capture) -> None:
    subprocess.run([sys.executable, "-m", "torngas_aio", "run", "enqueue.py"], cwd=site, check=True, timeout=60)
    assert main(["jobs"]) == 0
    shown = capsys.readouterr().out
    assert "one.jobs:write" in shown
    assert ["files", "1", "0"] in [line.split() for line in shown.splitlines()]
    assert "No dead letters." in shown
    run_worker(site, "WROTE", "failed for good")
    assert (site / "written").read_text() == "done"
    assert main(["jobs"]) == 0
    shown = capsys.readouterr().out
    assert ["files", "0", "0"] in [line.split() for line in shown.splitlines()]
    (line,) = [line for line in shown.splitlines() if "ValueError: no such luck" in line]
    assert main(["jobs", "retry", "one.jobs:fail"]) == 1
    assert f"its dead letters are {line.split()[0]}. Name those" in capsys.readouterr().err
    assert main(["jobs", "retry", line.split()[0]]) == 0
    assert "1 of 1 put" in capsys.readouterr().out
    assert main(["jobs", "retry", "1-1"]) == 1
    run_worker(site, "failed for good", queues="default")
    assert main(["jobs", "retry", "--all"]) == 0
    assert "1 of 1 put" in capsys.readouterr().out


def test_jobs_that_come_later_are_counted(site: Path, capsys: Capture) -> None:
    (site / "enqueue.py").write_text(
        "from one.jobs import fail, write\nawait write.enqueue_in(3600, 'x')\nawait fail.enqueue_in(3600)\n"
    )
    assert main(["jobs"]) == 0
    assert "later" not in capsys.readouterr().out
    assert main(["run", "enqueue.py"]) == 0
    assert main(["jobs"]) == 0
    assert "2 more come later: delayed, or to be tried again." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["jobs", "retry"], "name dead letters"),
        (["jobs", "retry", "1-1", "--all"], "name dead letters"),
        (["jobs", "list", "1-1"], "takes no"),
        (["jobs", "retry", "one.jobs:fail"], "a job's name; it has no dead letter"),
        (["jobs", "retry", "one.jobs:fial"], "mean 'one.jobs:fail'"),
        (["jobs", "retry", "1-1"], "`torngas-aio jobs` shows their ids"),
        (["jobs", "--alias=defualt"], "mean 'default'"),
    ],
)
def test_what_makes_no_sense_is_refused(site: Path, capsys: Capture, words: list[str], told: str) -> None:
    assert main(words) == 1
    assert told in capsys.readouterr().err


def with_database(site: Path) -> None:
    text = (site / "settings" / "setting.py").read_text()
    database = "{'connections': [{'ROLE': 'master', 'DRIVER': 'sqlite+aiosqlite', 'DATABASE': 'site.db'}]}"
    (site / "settings" / "setting.py").write_text(f"{text}DATABASE_CONNECTION = {{'default': {database}}}\n")


def run(site: Path, *words: str) -> str:
    command = [sys.executable, "-m", "torngas_aio", *words]
    done = subprocess.run(command, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_syncdb_makes_the_tables_of_a_project_with_jobs(site: Path) -> None:
    with_database(site)
    for wanted in ("made torngas_job_keys, torngas_job_outbox", "already there torngas_job_keys, torngas_job_outbox"):
        assert wanted in run(site, "syncdb")


def test_an_outbox_with_rows_gets_a_column_that_it_lacks_by_a_migration(site: Path) -> None:
    with_database(site)
    run(site, "syncdb")
    with contextlib.closing(sqlite3.connect(site / "site.db")) as database:
        database.execute("ALTER TABLE torngas_job_outbox DROP COLUMN attempt")
        database.execute("INSERT INTO torngas_job_outbox VALUES ('1', 'default', 'default', x'', 0, 1)")
        database.commit()
        run(site, "db", "revision", "-m", "attempt")
        run(site, "db", "upgrade")
        assert database.execute("SELECT id, attempt FROM torngas_job_outbox").fetchall() == [("1", 0)]


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
def test_a_worker_refuses_what_makes_no_sense(site: Path, capsys: Capture, words: list[str], told: str) -> None:
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
        due = {
            'torngas_jobs_total{event="succeeded",job="one.jobs:write"} 1.0',
            'torngas_jobs_total{event="dead",job="one.jobs:fail"} 1.0',
            'torngas_job_queue_jobs{jobs="default",queue="files",state="waiting"} 0.0',
        }
        until = time.monotonic() + 20  # a job counts a moment after its lines in the log
        while due and time.monotonic() < until:
            page = asked(port, "/-/metrics")
            due = {line for line in due if line not in page}
        assert not due
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
