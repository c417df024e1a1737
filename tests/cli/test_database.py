"""`torngas-aio syncdb` and `db`: a project's tables made, and walked from version to version."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import torngas_aio

pytestmark = pytest.mark.timeout(150)  # each test starts several processes, on machines that may be busy

SETTINGS = """
INSTALLED_APPS = ("shop",)
DATABASE_CONNECTION = {
    "default": {"connections": [{"ROLE": "master", "DRIVER": "sqlite", "DATABASE": "shop.db"}]},
    "stock": {"connections": [{"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": "stock.db"}]},
}
"""
MODELS = """
from sqlalchemy import Column, Integer, String
from torngas_aio.db.dbalchemy import Model

class Buyer(Model):
    __tablename__ = "buyers"
    id = Column(Integer, primary_key=True)
    name = Column(String(20), nullable=False)

class Item(Model):
    __tablename__ = "items"
    __connection_name__ = "stock"
    id = Column(Integer, primary_key=True)
"""
CHANGED = """
from sqlalchemy import Column, Integer, String
from torngas_aio.db.dbalchemy import Model

class Buyer(Model):
    __tablename__ = "buyers"
    id = Column(Integer, primary_key=True)
    name = Column(String(20), nullable=False)
    visits = Column(Integer, nullable=False, server_default="0")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project of two connections."""
    (tmp_path / "conf.py").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS, encoding="utf-8")
    return tmp_path


def run(shop: Path, *words: str, fails: bool = False) -> str:
    """What the command says, in a process of its own: models are imported once in a process's life."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "torngas_aio", *words, "--settings=conf"],
        cwd=shop,
        env={**os.environ, "PYTHONPATH": str(Path(torngas_aio.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == int(fails), done.stderr
    return done.stderr if fails else done.stdout


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM buyers").fetchone()[0])


def insert(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO buyers (id, name) VALUES (1, 'ann')")
        connection.commit()


def test_missing_tables_are_made(shop: Path) -> None:
    assert run(shop, "syncdb") == "default: made buyers\nstock: made items\n"
    assert columns(shop / "shop.db", "buyers") == ["id", "name"]
    assert columns(shop / "stock.db", "items") == ["id"]
    insert(shop / "shop.db")
    assert run(shop, "syncdb", "--connection=default") == "default: already there buyers\n"
    assert rows(shop / "shop.db") == 1
    assert "--yes" in run(shop, "syncdb", "--drop", fails=True)
    (shop / "stock.db").unlink()
    told = "default: dropped buyers; made buyers\nstock: made items\n"
    assert run(shop, "syncdb", "--drop", "--yes") == told
    assert rows(shop / "shop.db") == 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("    op.execute('NO SUCH STATEMENT')", ":12: OperationalError: "),
        ("    raise RuntimeError('not now')", ":12: RuntimeError: not now"),
        ("    return missing_name", ":12: NameError: name 'missing_name'"),
        ("    op.execute(", ":12: SyntaxError: "),
    ],
)
def test_a_migration_that_fails_shows_its_own_line_first(shop: Path, body: str, told: str) -> None:
    """In the first line of what is written; nothing of ours below it."""
    folder = shop / "migrations" / "default"
    folder.mkdir(parents=True)
    head = (
        '"""fails"""\nfrom alembic import op\n\nrevision = "a1"\ndown_revision = None\n\n\n\ndef downgrade(): pass\n\n'
    )
    (folder / "a1_fails.py").write_text(f"{head}def upgrade():\n{body}\n", encoding="utf-8")
    err = run(shop, "db", "upgrade", "--connection=default", fails=True)
    assert err.startswith(f"migrations/default/a1_fails.py{told}"), err
    assert "torngas_aio/" not in err


def test_versions_are_written_and_applied(shop: Path) -> None:
    run(shop, "db", "revision", "-m", "first tables")
    assert run(shop, "db", "upgrade").count(": at ") == 2
    assert columns(shop / "shop.db", "buyers") == ["id", "name"]
    assert columns(shop / "stock.db", "items") == ["id"]
    assert columns(shop / "shop.db", "items") == []
    assert "(head) (current), first tables" in run(shop, "db", "history", "--connection=default")


def test_check_tells_of_versions_that_are_not_applied(shop: Path) -> None:
    (shop / "shop" / "urls.py").write_text("urls = []\n")
    (shop / "conf.py").write_text(SETTINGS + "DEBUG = True\nMIDDLEWARE_CLASSES = ()\n", encoding="utf-8")
    assert "migration" not in run(shop, "check")
    run(shop, "db", "revision", "-m", "first tables")
    told = run(shop, "check")
    assert "caution: migrations/default: 1 migration not applied: " in told
    assert " (first tables). Run `torngas-aio db upgrade --connection=default`." in told
    assert "caution: migrations/stock: 1 migration not applied: " in told
    run(shop, "db", "upgrade", "--connection=stock")
    assert "migrations/stock" not in run(shop, "check")


@pytest.mark.slow
def test_versions_follow_the_models_forth_and_back(shop: Path) -> None:
    assert "no versions of the connection 'default'" in run(shop, "db", "upgrade", fails=True)
    run(shop, "db", "revision", "-m", "first tables")
    run(shop, "db", "upgrade")
    assert run(shop, "db", "revision", "-m", "nothing").count("nothing has changed") == 2
    (shop / "shop" / "models.py").write_text(CHANGED, encoding="utf-8")
    assert "_count_visits.py" in run(shop, "db", "revision", "-m", "count visits", "--connection=default")
    assert len(list((shop / "migrations" / "default").glob("*.py"))) == 2
    insert(shop / "shop.db")
    run(shop, "db", "upgrade", "--connection=default")
    assert columns(shop / "shop.db", "buyers") == ["id", "name", "visits"]
    run(shop, "db", "downgrade", "-1", "--connection=default")
    assert columns(shop / "shop.db", "buyers") == ["id", "name"]
    assert rows(shop / "shop.db") == 1
    assert run(shop, "db", "downgrade", "base", "--connection=default").endswith("default: at base\n")
    assert columns(shop / "shop.db", "buyers") == []
    assert "abcdef" in run(shop, "db", "upgrade", "abcdef", fails=True)


def test_an_empty_version_is_written_when_asked_for(shop: Path) -> None:
    run(shop, "db", "revision", "-m", "by hand", "--empty", "--connection=default")
    (made,) = (shop / "migrations" / "default").glob("*.py")
    text = made.read_text(encoding="utf-8")
    assert text.startswith('"""by hand\n')
    assert text.count("    pass") == 2


def test_what_is_not_configured_is_named(shop: Path) -> None:
    assert "No database 'nowhere'" in run(shop, "syncdb", "--connection=nowhere", fails=True)
    (shop / "conf.py").write_text("DATABASE_CONNECTION = {}", encoding="utf-8")
    assert "DATABASE_CONNECTION is empty" in run(shop, "syncdb", fails=True)
