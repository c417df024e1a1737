"""What is kept, what is undone, and whose connection it is."""

import asyncio
from typing import Any

import pytest
from pymysql.err import OperationalError
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from torngas_aio.context import current_scope, enter_request, leave_request
from torngas_aio.db.basedb import Database
from torngas_aio.exception import ArgumentError, DatabaseUnavailable


async def titles(db: Database) -> list[str]:
    return [row.title for row in await db.select("posts", order="title")]


async def test_a_block_is_kept_at_its_end_and_undone_after_an_error(db: Database) -> None:
    async with db.transaction():
        await db.insert("posts", title="kept")
        assert await titles(db) == ["kept"]
    with pytest.raises(KeyError):  # noqa: PT012  # the block is what is tested
        async with db.transaction():
            await db.insert("posts", title="undone")
            raise KeyError
    assert await titles(db) == ["kept"]


async def test_an_inner_block_is_undone_by_itself(db: Database) -> None:
    async with db.transaction():
        await db.insert("posts", title="a")
        with pytest.raises(KeyError):  # noqa: PT012  # the block is what is tested
            async with db.transaction():
                await db.insert("posts", title="b")
                async with db.transaction():
                    await db.insert("posts", title="c")
                raise KeyError
        async with db.transaction():
            await db.insert("posts", title="d")
    assert await titles(db) == ["a", "d"]


async def test_an_error_of_a_statement_inside_a_savepoint_spoils_only_that(db: Database) -> None:
    await db.insert("posts", title="same")
    async with db.transaction():
        await db.insert("posts", title="before")
        with pytest.raises(db.IntegrityError):
            async with db.transaction():
                await db.insert("posts", title="same")
        await db.insert("posts", title="after")
    assert await titles(db) == ["after", "before", "same"]


async def test_the_way_web_py_wrote_it(db: Database) -> None:
    t = await db.transaction()
    await db.insert("posts", title="kept")
    await t.commit()
    t = await db.transaction()
    await db.insert("posts", title="undone")
    await t.rollback()
    await t.rollback()
    with pytest.raises(ArgumentError, match="has ended already"):
        await t.commit()
    assert await titles(db) == ["kept"]


async def test_a_transaction_may_be_ended_inside_its_block(db: Database) -> None:
    async with db.transaction() as t:
        await db.insert("posts", title="undone")
        await t.rollback()
        await db.insert("posts", title="by itself")
    async with db.transaction() as t:
        await db.insert("posts", title="kept")
        await t.commit()
    assert await titles(db) == ["by itself", "kept"]


async def test_a_transaction_object_is_used_once(db: Database) -> None:
    t = db.transaction()
    async with t:
        pass
    with pytest.raises(ArgumentError, match="used once"):
        await t


async def test_what_a_handler_forgot_is_undone_at_the_end_of_its_request(db: Database) -> None:
    class Connection:
        context = None

    token = enter_request(
        HTTPServerRequest(
            connection=Connection(),  # type: ignore[arg-type]
            start_line=RequestStartLine("GET", "/", "HTTP/1.1"),
            headers=HTTPHeaders({"Host": "localhost"}),
        )
    )
    await db.transaction()
    await db.insert("posts", title="forgotten")
    scope = current_scope()
    leave_request(token)
    assert scope is not None
    assert db.pool.in_use == 1
    await scope.aclose()
    assert db.pool.in_use == 0


async def test_another_task_does_not_see_what_is_not_kept_yet(db: Database, kind: str) -> None:
    if kind == "memory":
        pytest.skip("one connection: the other task waits")
    inside, seen = asyncio.Event(), asyncio.Event()
    found: list[str] = []

    async def other() -> None:
        await inside.wait()
        found.extend(await titles(db))
        seen.set()

    task = asyncio.create_task(other())
    async with db.transaction():
        await db.insert("posts", title="hidden")
        inside.set()
        await seen.wait()
    await task
    assert found == []


async def test_tasks_of_a_block_use_its_connection_one_after_the_other(db: Database) -> None:
    async with db.transaction():
        ids = await asyncio.gather(*(db.insert("posts", title=f"t{n}") for n in range(10)))
        assert len(set(ids)) == 10
        assert db.pool.in_use == 1

        async def inner() -> None:
            async with db.transaction():
                pass

        with pytest.raises(ArgumentError, match="transaction of another task is open"):
            await asyncio.create_task(inner())
    assert len(await titles(db)) == 10


async def test_a_task_that_outlives_its_transaction_is_told_so(db: Database) -> None:
    go = asyncio.Event()

    async def later() -> Any:
        await go.wait()
        with pytest.raises(ArgumentError, match="This transaction has ended"):
            await db.insert("posts", title="late")
        async with db.transaction():
            return await db.insert("posts", title="its own")

    async with db.transaction():
        task = asyncio.create_task(later())
    go.set()
    assert await task is not None
    assert await titles(db) == ["its own"]


async def test_rows_of_a_transaction_are_fetched_before_the_block_goes_on(db: Database) -> None:
    async with db.transaction():
        await db.multiple_insert("posts", [{"title": f"t{n}"} for n in range(3)])
        async for row in db.select("posts", order="id"):
            await db.update("posts", row.id, body=row.title)
    assert [row.body for row in await db.select("posts", order="id")] == ["t0", "t1", "t2"]


async def test_a_cancelled_block_is_undone_and_its_connection_given_back(db: Database) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with db.transaction():
            await db.insert("posts", title="undone")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert db.pool.in_use == 0
    assert await titles(db) == []


@pytest.mark.parametrize("turns", range(14))
async def test_cancelled_at_any_await_a_transaction_is_whole_or_undone(db: Database, turns: int) -> None:
    async def work() -> None:
        async with db.transaction():
            await db.insert("posts", title="a")
            async with db.transaction():
                await db.insert("posts", title="b")

    task = asyncio.create_task(work())
    for _ in range(turns * 2):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert db.pool.in_use == 0
    assert await titles(db) in ([], ["a", "b"])
    await db.insert("posts", title="works on")


@pytest.mark.mariadb
@pytest.mark.parametrize("kind", ["mysql"], indirect=True)
async def test_a_deadlock_ends_the_transaction_for_good(db: Database) -> None:
    one, two = await db.insert("posts", title="1"), await db.insert("posts", title="2")
    both = asyncio.Barrier(2)

    async def cross(first: int, second: int) -> str:
        try:
            async with db.transaction():
                await db.update("posts", first, body="x")
                await both.wait()
                try:
                    await db.update("posts", second, body="y")
                except OperationalError:
                    with pytest.raises(DatabaseUnavailable, match="lost by an earlier error"):
                        await db.insert("posts", title="would be kept by itself")
                    raise
        except OperationalError as exc:
            return str(exc.args[1])
        return "kept"

    answers = sorted(await asyncio.gather(cross(one, two), cross(two, one)))
    assert "Deadlock found" in answers[0]
    assert answers[1] == "kept"
    assert await titles(db) == ["1", "2"]
    assert db.pool.in_use == 0


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_a_failed_commit_keeps_nothing_and_says_so(db: Database) -> None:
    await db.query("CREATE TABLE IF NOT EXISTS notes (post INT REFERENCES posts(id) DEFERRABLE INITIALLY DEFERRED)")
    try:
        with pytest.raises(db.IntegrityError):  # noqa: PT012  # the block is what is tested
            async with db.transaction():
                await db.insert("posts", title="undone")
                await db.insert("notes", seqname=False, post=99999)
        assert await titles(db) == []
        assert db.pool.in_use == 0
    finally:
        await db.query("DROP TABLE notes")
