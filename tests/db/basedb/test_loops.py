"""On asyncio and on uvloop, whose dead transports raise other errors: what the server ended is replaced."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.db.basedb.conftest import create_posts, params_of
from tests.polling import until
from tests.services import mariadb, postgres
from torngas_aio.db.basedb import Database, database
from torngas_aio.exception import DatabaseUnavailable

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
SERVERS = [pytest.param("mysql", marks=pytest.mark.mariadb), pytest.param("postgres", marks=pytest.mark.postgres)]


def end_connections(kind: str, own: int) -> None:
    """Have the server end the connection with this number."""
    if kind == "mysql":
        mariadb.shared_cluster().master.execute(f"KILL {own}")
    else:
        postgres.shared_postgres().execute(f"SELECT pg_terminate_backend({own})")


async def number_of(db: Database, kind: str) -> int:
    text = "SELECT CONNECTION_ID() AS own" if kind == "mysql" else "SELECT pg_backend_pid() AS own"
    return int((await db.query(text).first()).own)


@pytest.mark.parametrize("kind", SERVERS, indirect=True)
@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_connection_that_the_server_ended_is_replaced(
    kind: str, params: dict[str, Any], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scenario() -> None:
        db = database(**params, timeout=5)
        await create_posts(db, kind)
        for is_idle_long in (False, True):
            own = await number_of(db, kind)
            await asyncio.to_thread(end_connections, kind, own)
            if is_idle_long:
                db.pool._idle = [(each, made_at, used_at - 60) for each, made_at, used_at in db.pool._idle]
                await db.insert("posts", title="asked whether it lives")
            assert (await db.query("SELECT 7 AS n").first()).n == 7
            assert await number_of(db, kind) != own
        with pytest.raises(DatabaseUnavailable):  # noqa: PT012  # the block is what is tested
            async with db.transaction():
                await db.insert("posts", title="undone")
                await asyncio.to_thread(end_connections, kind, await number_of(db, kind))
                await db.insert("posts", title="undone too")
        assert [row.title for row in await db.where("posts")] == ["asked whether it lives"]
        task = asyncio.ensure_future(db.query("SELECT SLEEP(9)" if kind == "mysql" else "SELECT pg_sleep(9)").list())
        await until(lambda: db.pool.in_use)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert db.pool.in_use == 0
        await db.aclose()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())


@pytest.mark.parametrize("kind", ["memory", "file"], indirect=True)
@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_one_database_serves_one_loop_after_another(
    kind: str, params: dict[str, Any], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    db = database(**params)

    async def scenario() -> None:
        await create_posts(db, kind)
        async with db.transaction():
            await db.insert("posts", title="kept")
        assert len(await db.where("posts")) == 1
        await db.aclose()
        await db.aclose()

    for _ in range(2):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(scenario())


SCRIPT = """
import asyncio, json, sys
from torngas_aio.db.basedb import database

db = database(**json.loads(sys.argv[1]))

async def main():
    if sys.argv[2] == "transaction":
        await db.transaction().__aenter__()
    if sys.argv[2] == "stream":
        global rows
        rows = aiter(db.select("posts"))
        await anext(rows, None)
    print(len(await db.query("SELECT 1 AS a")))
    if sys.argv[2] == "exit":
        sys.exit(3)
    if sys.argv[2] == "error":
        raise LookupError("of the script")

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["plain", "exit", "error", "transaction", "stream"])
async def test_a_script_that_closes_nothing_ends(kind: str, tmp_path: Path, how: str) -> None:
    params = params_of(kind, tmp_path)
    if how == "stream":
        db = database(**params)
        await create_posts(db, kind)
        await db.aclose()
        if kind == "memory":
            pytest.skip("the table is gone with the connection")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", SCRIPT, json.dumps(params), how], capture_output=True, text=True,
        timeout=60, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("1\n", {"exit": 3, "error": 1}.get(how, 0))
    told = done.stderr.splitlines()
    assert told[-1:] == (["LookupError: of the script"] if how == "error" else [])
