"""Scripts, cron jobs and shells: the project without its server, closed at the end."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import torngas_aio
from tests.db.models import User
from torngas_aio import close, project
from torngas_aio.cache import cache
from torngas_aio.db.dbalchemy import Connector
from torngas_aio.db.dbalchemy.registry import open_clusters
from torngas_aio.exception import ConfigError, Unawaited
from torngas_aio.settings_manager import settings

SETTINGS = """
CACHES = {"default": {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache"}}
DATABASE_CONNECTION = {"default": {"connections": [{"ROLE": "master", "DRIVER": "sqlite", "DATABASE": "shop.db"}]}}
INSTALLED_APPS = ("shop",)
DEBUG = %s
"""
MODELS = """
from sqlalchemy import Column, Integer, String, event
from torngas_aio.db.dbalchemy import Model

class Buyer(Model):
    __tablename__ = "buyers"
    id = Column(Integer, primary_key=True)
    name = Column(String(20))
"""
HEAD = "import asyncio, sys, torngas_aio\nfrom torngas_aio.cache import cache\nfrom shop.models import Buyer\n"
WORK = """
async def main():
    Buyer.session.add(Buyer(name=sys.argv[1]))
    await Buyer.session.commit()
    await cache.set("k", sys.argv[2])
    print(await Buyer.Q.count(), await cache.get("k"), __name__)
"""


pytestmark = pytest.mark.timeout(120)  # most start processes, on machines that may be busy


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/__init__.py").touch()
    (tmp_path / "settings/setting.py").write_text(SETTINGS % True, encoding="utf-8")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/models.py").write_text(MODELS, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE buyers (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    return tmp_path


def called(shop: Path, *words: str, status: int = 0) -> tuple[str, str]:
    path = f"{Path(torngas_aio.__file__).parent.parent}{os.pathsep}{shop}"
    done = subprocess.run(
        [sys.executable, "-W", "default", *words],
        cwd=shop, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "end",
    [
        "await main()",
        "asyncio.run(main())",
        "if __name__ == '__main__':\n    asyncio.run(main())",
        "async def within():\n    async with torngas_aio.project():\n        await main()\nasyncio.run(within())",
    ],
)
def test_a_script_runs_in_the_project(shop: Path, end: str) -> None:
    (shop / "cron").mkdir()
    (shop / "cron/beside.py").write_text("x = 1", encoding="utf-8")
    (shop / "cron/job.py").write_text(f"import beside\n{HEAD}{WORK}{end}\n", encoding="utf-8")
    out, err = called(shop, "-m", "torngas_aio", "run", "cron/job.py", "ann", "--settings=7")
    assert out == "1 --settings=7 __main__\n"
    assert "Error" not in err
    assert "closed" not in err


def test_a_program_of_its_own_opens_the_project(shop: Path) -> None:
    end = "async def whole():\n    async with torngas_aio.project('settings.setting'):\n        await main()\n"
    (shop / "job.py").write_text(f"{HEAD}{WORK}{end}asyncio.run(whole())\n", encoding="utf-8")
    out, err = called(shop, "job.py", "ann", "5")
    assert out == "1 5 __main__\n"
    assert "Error" not in err
    assert "Warning" not in err


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("await Buyer.Q.count()\ncache.set('k', 1)", ":5: LocMemCache.set()"),
        ("waits = Buyer.Q.get(1)", "Query.get()"),
        ("async def main():\n    Buyer.session.commit()\nasyncio.run(main())", ":5: AsyncSession.commit()"),
        ("async def own():\n    pass\nasync def main():\n    own()\nawait main()", ":7: own()"),
        ("def main():\n    Buyer.Q.count()\nmain()", ":5: Query.count()"),
        ("def main():\n    Buyer.Q.count()\nsys.exit(main())", ":5: Query.count()"),
        ("async def main():\n    waits = Buyer.Q.count()\n    sys.exit(0)\nasyncio.run(main())", ":5: Query.count()"),
        ("waits = {'a': Buyer.Q.get(1)}", "Query.get()"),
    ],
)
def test_a_script_that_forgets_an_await_fails_with_the_line(shop: Path, code: str, place: str) -> None:
    (shop / "job.py").write_text(f"{HEAD}{code}\n", encoding="utf-8")
    _, err = called(shop, "-m", "torngas_aio", "run", "job.py", status=1)
    assert f"{place.rsplit(': ', maxsplit=1)[-1]} was called and never awaited" in err
    assert place in err


@pytest.mark.parametrize("end", ["", "\n        sys.exit()"])
def test_a_program_that_forgets_an_await_fails(shop: Path, end: str) -> None:
    code = (
        f"async def main():\n    async with torngas_aio.project():\n        cache.set('k', 1){end}\nasyncio.run(main())"
    )
    (shop / "job.py").write_text(f"{HEAD}{code}\n", encoding="utf-8")
    _, err = called(shop, "job.py", status=1)
    assert "job.py:6: LocMemCache.set() was called and never awaited" in err


def test_with_debug_off_the_nearest_line_is_told(shop: Path) -> None:
    (shop / "settings/setting.py").write_text(SETTINGS % False, encoding="utf-8")
    (shop / "job.py").write_text(f"{HEAD}await Buyer.Q.count()\ncache.set('k', 1)\n", encoding="utf-8")
    _, err = called(shop, "-m", "torngas_aio", "run", "job.py", status=1)
    assert "near job.py:5: LocMemCache.set() was called and never awaited" in err


def test_what_a_script_raises_and_exits_with_is_its_status(shop: Path) -> None:
    for code, status in (("sys.exit(3)", 3), ("await cache.get('k')\nsys.exit(4)", 4), ("1/0", 1)):
        (shop / "job.py").write_text(f"{HEAD}{code}\n", encoding="utf-8")
        _, err = called(shop, "-m", "torngas_aio", "run", "job.py", status=status)
        assert ("job.py:4: ZeroDivisionError" in err) == (status == 1)
    _, err = called(shop, "-m", "torngas_aio", "run", "no.py", status=1)
    assert "'no.py': no such file" in err


def test_functions_of_a_script_have_its_globals_at_the_interpreters_end(shop: Path) -> None:
    (shop / "job.py").write_text(
        f"{HEAD}import atexit\natexit.register(lambda: print(Buyer.__name__))\n", encoding="utf-8"
    )
    assert called(shop, "-m", "torngas_aio", "run", "job.py") == ("Buyer\n", "")


def test_a_program_that_exits_in_the_project_has_its_status(shop: Path) -> None:
    for code, status in (("sys.exit()", 0), ("sys.exit(0)", 0), ("sys.exit(3)", 3)):
        text = f"async def main():\n    async with torngas_aio.project():\n        {code}\nasyncio.run(main())\n"
        (shop / "job.py").write_text(f"{HEAD}{text}", encoding="utf-8")
        assert called(shop, "job.py", status=status) == ("", "")


def test_syncdb_fails_where_code_forgets_an_await(shop: Path) -> None:
    forgets = (
        "\nasync def own():\n    pass\n"
        "@event.listens_for(Buyer.__table__, 'after_create')\ndef made(*_, **__):\n    own()\n"
    )
    (shop / "shop.db").unlink()
    with (shop / "shop/models.py").open("a", encoding="utf-8") as file:
        file.write(forgets)
    out, err = called(shop, "-m", "torngas_aio", "syncdb", status=1)
    assert "made buyers" in out
    assert "own() was called and never awaited" in err


def test_the_shell_has_sessions_and_tells_what_is_forgotten(shop: Path) -> None:
    (shop / "shop/urls.py").write_text("urls = []\n", encoding="utf-8")
    code = (
        "from shop.models import Buyer\nBuyer.session.add(Buyer(name='a'))\n"
        "await Buyer.session.commit()\nprint(await Buyer.Q.count())"
    )
    assert called(shop, "-m", "torngas_aio", "shell", "-c", code)[0] == "1\n"
    _, err = called(
        shop, "-m", "torngas_aio", "shell", "-c", "from shop.models import Buyer\nBuyer.Q.count()", status=1
    )
    assert "Query.count() was called and never awaited" in err


# ------------------------------------------------------------------ in this process


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> None:
    settings.configure(
        DATABASE_CONNECTION={"default": {"connections": [{"DRIVER": "sqlite", "DATABASE": str(tmp_path / "a.db")}]}}
    )


async def test_a_block_has_a_session_and_closes_everything(on_sqlite: None) -> None:
    async with project():
        await Connector.get_conn().create_db()
        User.session.add(User(name="a"))
        await User.session.commit()
        User.session.add(User(name="not committed"))
        await User.session.flush()
        async with project():  # within another it does nothing, and closes nothing
            assert await User.Q.count() == 2
        assert await User.Q.count() == 2
    assert open_clusters() == []
    async with project():
        assert await User.Q.count() == 1


async def test_a_block_that_forgets_an_await_raises(on_sqlite: None) -> None:
    with pytest.raises(Unawaited, match=r"LocMemCache\.set"):
        async with project():
            cache.set("k", 1)  # type: ignore[unused-coroutine]
    with pytest.raises(ValueError, match="its own"):  # noqa: PT012  # the block is what is tested
        async with project():
            cache.set("k", 1)  # type: ignore[unused-coroutine]
            raise ValueError("its own")


async def test_settings_that_cannot_be_found_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.reset()
    with pytest.raises(ConfigError, match="no_such"):
        async with project("no_such.setting"):
            pass


async def test_close_closes_what_the_loop_holds(on_sqlite: None) -> None:
    await Connector.get_conn().create_db()
    assert len(open_clusters()) == 1
    await close()
    assert open_clusters() == []


async def test_without_a_session_the_message_names_the_import(on_sqlite: None) -> None:
    with pytest.raises(RuntimeError, match=r"from torngas_aio import session_scope.*torngas_aio\.project\(\)"):
        await User.Q.count()
