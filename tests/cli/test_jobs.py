"""`worker` runs what waits, `jobs` shows and retries it."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import run_worker
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
