"""What a handler does with a database, on each kind of it."""

import asyncio
import dataclasses
from contextlib import aclosing
from typing import Any

import pytest

from torngas_aio._cleanup import close_all
from torngas_aio.db.basedb import Database, Rows, SQLLiteral, SQLQuery, Statement, database
from torngas_aio.exception import ArgumentError
from torngas_aio.storage import Storage

EVIL = "x'); DROP TABLE posts; -- \" \\ % $1 ? :a"


async def fill(db: Database, count: int) -> list[Any]:
    return list(await db.multiple_insert("posts", [{"title": f"t{n}", "score": n} for n in range(count)]))


async def test_an_inserted_row_is_read_back_by_attribute(db: Database) -> None:
    made = await db.insert("posts", title="hello", score=3)
    row = await db.where("posts", id=made).first()
    assert isinstance(row, Storage)
    assert (row.id, row.title, row.score, row.body) == (made, "hello", 3, None)


async def test_values_of_any_shape_come_back_as_they_were(db: Database) -> None:
    for title in (EVIL, "漢字 🐉", "'; --", "%s %(x)s %", "\\", '"', "`", "a\nb"):
        made = await db.insert("posts", title=title, body=title)
        assert (await db.select("posts", where="title = $t", vars={"t": title}).first()).id == made
        assert (await db.where("posts", title=title, body=title).first()).title == title
    assert (await db.query("SELECT count(*) AS n FROM posts WHERE title LIKE '%漢%'").first()).n == 1


async def test_select_filters_orders_limits_and_groups(db: Database) -> None:
    await fill(db, 10)
    rows = await db.select(
        "posts", {"low": 3}, what="title", where="score > $low", order="score DESC", limit=2, offset=1
    )
    assert [row.title for row in rows] == ["t8", "t7"]
    assert [row.title for row in await db.select("posts", order="score", offset=8)] == ["t8", "t9"]
    assert len(await db.select("posts", where="score IN $some", vars={"some": [1, 2, 99]})) == 2
    assert len(await db.select("posts", where={"score": [1, 2], "body": None})) == 2
    assert await db.select("posts p", what="max(p.score) AS most").first() == {"most": 9}
    grouped = await db.select("posts", what="body, count(*) AS n", group="body")
    assert [row.n for row in grouped] == [10]


async def test_rows_are_a_list_with_two_more_manners(db: Database) -> None:
    await fill(db, 3)
    statement = db.select("posts", order="id")
    assert isinstance(statement, Statement)
    assert "await it" in repr(statement)
    rows = await statement
    assert isinstance(rows, Rows)
    assert rows.list() is rows
    assert (await statement.list())[2].title == "t2"
    assert rows.first().title == (await statement.first()).title == "t0"
    assert await db.where("posts", title="none").first("nobody") == "nobody"
    assert len(await db.where("posts")) == 3


async def test_many_rows_come_some_at_a_time(db: Database) -> None:
    await fill(db, 350)
    seen = [row.score async for row in db.select("posts", order="score")]
    assert seen == list(range(350))
    async with aclosing(db.select("posts").__aiter__()) as rows:
        async for row in rows:
            assert row.title
            assert db.pool.in_use == 1
            break
    assert db.pool.in_use == 0
    assert len(await db.where("posts")) == 350


async def test_updates_and_deletes_count_the_rows_they_met(db: Database) -> None:
    await fill(db, 5)
    assert await db.update("posts", where="score > $s", vars={"s": 2}, body="x", score=SQLLiteral("score + 10")) == 2
    assert await db.update("posts", where={"body": "x"}, body="x") == 2
    assert await db.update("posts", where=-1, body="x") == 0
    assert [row.score for row in await db.where("posts", body="x", order="score")] == [13, 14]
    assert await db.delete("posts", where="body = $b", vars={"b": "x"}) == 2
    assert await db.delete("posts", where="1=1") == 3
    assert await db.where("posts").list() == []


async def test_many_rows_are_inserted_and_their_ids_told_in_order(db: Database) -> None:
    ids = await fill(db, 20)
    assert [(await db.where("posts", id=each).first()).title for each in ids] == [f"t{n}" for n in range(20)]
    assert await db.multiple_insert("posts", []) == []
    own = [{"id": 1000 - n, "title": f"own{n}"} for n in range(3)]
    assert await db.multiple_insert("posts", own) == [1000, 999, 998]
    assert await db.multiple_insert("posts", [{"title": "last"}], seqname=False) == []
    assert await db.insert("posts", title="no id wanted", seqname=False) is None


async def test_more_values_than_one_statement_holds_go_in_all_or_none(db: Database) -> None:
    db._dialect = dataclasses.replace(db._dialect, max_params=8)
    ids = await fill(db, 11)
    assert len(set(ids)) == 11
    with pytest.raises(db.IntegrityError):
        await db.multiple_insert("posts", [{"title": f"n{n % 10}", "score": n} for n in range(11)])
    assert len(await db.where("posts")) == 11


async def test_an_insert_without_values_takes_the_defaults(db: Database) -> None:
    made = await db.insert("posts")
    assert (await db.where("posts", id=made).first()).score == 0


async def test_query_gives_rows_or_a_count(db: Database) -> None:
    assert await db.query("INSERT INTO posts (title) VALUES ($t)", vars={"t": EVIL}) == 1
    assert (await db.query("SELECT title FROM posts")).first().title == EVIL
    assert (await db.query("/* why */ -- what\n SELECT 1 AS one").first()).one == 1
    assert await db.query("UPDATE posts SET score = 1 WHERE title = '$'", processed=True) == 0
    assert await db.query("UPDATE posts SET score = 5").list() == []


async def test_a_broken_constraint_is_the_databases_integrity_error(db: Database) -> None:
    await db.insert("posts", title="same")
    with pytest.raises(db.IntegrityError):
        await db.insert("posts", title="same")
    assert len(await db.where("posts")) == 1
    assert db.pool.idle >= 1


async def test_wrong_sql_leaves_the_connection_whole(db: Database) -> None:
    before = db.pool.idle
    for _ in range(3):
        with pytest.raises(Exception, match=r"(?i)syntax|no such|exist"):
            await db.query("SELEC nothing FROM nowhere")
    assert db.pool.idle == before
    assert (await db.query("SELECT 1 AS one").first()).one == 1


async def test_asking_for_the_sql_runs_nothing(db: Database) -> None:
    assert isinstance(db.select("posts", _test=True), SQLQuery)
    statement = await db.insert("posts", title="it's", _test=True)
    assert "VALUES ('it''s')" in str(statement)
    for made in (
        db.query("SELECT $x", vars={"x": 1}, _test=True),
        db.where("posts", id=1, _test=True),
        db.update("posts", 1, title="x", _test=True),
        db.delete("posts", 1, _test=True),
        db.multiple_insert("posts", [{"title": "x"}], _test=True),
        db.multiple_insert("posts", [], _test=True),
    ):
        assert isinstance(made, SQLQuery)
    assert await db.where("posts").list() == []


async def test_many_callers_share_a_small_pool(params: dict[str, Any], db: Database) -> None:
    await fill(db, 5)
    small = database(**params, pool_size=2, pool_timeout=10)
    if params["db"] == ":memory:":
        small = db

    async def read(number: int) -> int:
        return int((await small.where("posts", score=number % 5).first()).score)

    assert await asyncio.gather(*(read(n) for n in range(60))) == [n % 5 for n in range(60)]
    assert small.pool.in_use == 0
    assert 1 <= small.pool.idle <= 2 or small is db
    await small.aclose()
    if small is db:
        await db.query("CREATE TABLE posts (id INTEGER)")


async def test_the_pool_closes_with_its_loop_and_opens_again(db: Database, kind: str) -> None:
    await db.query("SELECT 1")
    first = db.pool
    await close_all()
    assert first.idle == 0
    await db.query("SELECT 1")
    assert db.pool is not first


async def test_a_wrong_argument_is_refused_before_anything_is_sent(db: Database) -> None:
    with pytest.raises(ArgumentError, match=r"no 'missing' was given"):
        await db.select("posts", where="id = $missing")
    with pytest.raises(ArgumentError, match="every row"):
        await db.delete("posts", where="")
