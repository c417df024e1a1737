"""`worker` runs what waits, `jobs` shows and retries it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.fixtures import redis_server
from tests.services.redis import RedisServer
from torngas_aio.cli import main

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis

Capture = pytest.CaptureFixture[str]

JOBS = """
from pathlib import Path

from torngas_aio.jobs import job
from torngas_aio.logger import current_request_id

@job(queue="files", timeout=30)
async def write(name: str) -> None:
    Path(name).write_text("done")
    print("WROTE", flush=True)

@job
async def fail() -> None:
    raise ValueError("no such luck")
"""

ENQUEUE = """
from one.jobs import fail, write
await write.enqueue("written")
await fail.enqueue()
"""


@pytest.fixture
def site(directory: Path, redis_server: RedisServer) -> Path:
    (directory / "settings").mkdir()
    prefix = f"cli-{directory.parent.name}-{directory.name}"
    (directory / "settings" / "setting.py").write_text(
        "INSTALLED_APPS = ('one',)\nDEBUG = True\n"
        "JOBS = {'default': {'BACKEND': 'torngas_aio.jobs.redis.RedisJobs', 'LOCATION': "
        f"{redis_server.url!r}, 'OPTIONS': {{'KEY_PREFIX': {prefix!r}}}}}}}\n"
    )
    (directory / "one").mkdir()
    (directory / "one" / "urls.py").write_text("urls = []\n")
    (directory / "one" / "jobs.py").write_text(JOBS)
    (directory / "enqueue.py").write_text(ENQUEUE)
    return directory


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


def run_worker(site: Path, *awaited: str, queues: str = "") -> None:
    """Run a worker until its output has every word of *awaited*, then stop it."""
    words = [sys.executable, "-m", "torngas_aio", "worker", *([f"--queues={queues}"] if queues else [])]
    worker = subprocess.Popen(words, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert worker.stdout is not None
    missing, seen = set(awaited), ""
    for line in worker.stdout:
        seen += line
        missing = {word for word in missing if word not in line}
        if not missing:
            break
    worker.send_signal(signal.SIGTERM)
    seen += worker.communicate(timeout=40)[0]
    assert not missing, seen
    assert worker.returncode == 0, seen
    assert "The worker has ended." in seen


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["jobs", "retry"], "name dead letters"),
        (["jobs", "retry", "1-1", "--all"], "name dead letters"),
        (["jobs", "list", "1-1"], "takes no"),
        (["worker", "--concurrency=0"], "above 0"),
        (["worker", "--graceful_timeout=nan"], "0 or more"),
        (["worker", "--graceful_timeout=-1"], "0 or more"),
        (["jobs", "retry", "one.jobs:fail"], "a job's name; it has no dead letter"),
        (["jobs", "retry", "one.jobs:fial"], "mean 'one.jobs:fail'"),
        (["jobs", "retry", "1-1"], "`torngas-aio jobs` shows their ids"),
        (["jobs", "--alias=defualt"], "mean 'default'"),
        (["worker", "--alias=mail"], "'mail'"),
        (["worker", "--queues=fils"], "no job is declared for the queue 'fils'. Did you mean 'files'?"),
        (["worker", "--queues=files, mail"], "for the queue 'mail'. There are: default, files."),
    ],
)
def test_what_makes_no_sense_is_refused(site: Path, capsys: Capture, words: list[str], told: str) -> None:
    assert main(words) == 1
    assert told in capsys.readouterr().err


def test_jobs_in_memory_need_no_worker(site: Path, capsys: Capture) -> None:
    (site / "settings" / "setting.py").write_text("INSTALLED_APPS = ('one',)\nDEBUG = True\n")
    assert main(["worker"]) == 1
    assert "RedisJobs" in capsys.readouterr().err
    assert main(["jobs"]) == 0
    assert "They run in the process" in capsys.readouterr().out


def test_syncdb_makes_the_tables_of_a_project_with_jobs(site: Path, capsys: Capture) -> None:
    text = (site / "settings" / "setting.py").read_text()
    database = "{'connections': [{'ROLE': 'master', 'DRIVER': 'sqlite+aiosqlite', 'DATABASE': 'site.db'}]}"
    (site / "settings" / "setting.py").write_text(f"{text}DATABASE_CONNECTION = {{'default': {database}}}\n")
    for wanted in ("made torngas_job_keys, torngas_job_outbox", "already there torngas_job_keys, torngas_job_outbox"):
        done = subprocess.run(
            [sys.executable, "-m", "torngas_aio", "syncdb"], cwd=site, capture_output=True, text=True, check=True
        )
        assert wanted in done.stdout, done.stderr
