"""Mappings that a client wrote: no name in them is an option, no value SQL text."""

from collections.abc import Callable
from typing import Any

import pytest

from torngas_aio.db.basedb import Database, SQLLiteral, database, sqlquote
from torngas_aio.db.basedb.sql import SQLParam
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.storage import Storage

OPTIONS = ["what", "order", "group", "limit", "offset", "_test", "vars", "where", "table", "tables", "tablename",
           "self", "seqname", "using", "values", "filters", "kwargs", "tables, users", 'id" = 1 --']  # fmt: skip
EVIL = "id, pw AS title FROM users --"


def assert_refused(said: str, *calls: Callable[[], Any]) -> None:
    for call in calls:
        with pytest.raises(ArgumentError, match=said):
            call()


@pytest.mark.parametrize("name", OPTIONS)
def test_no_name_in_a_mapping_is_an_option(name: str) -> None:
    db = database("sqlite://:memory:")
    quoted = '"' + name.replace('"', '""') + '"'
    data = {name: EVIL}
    select = f'SELECT * FROM "posts" WHERE {quoted} = ?'
    for made, text in (
        (db.where("posts", filters=data, _test=True), select),
        (db.select("posts", filters=data, _test=True), select),
        (db.insert("posts", values=data, _test=True), f'INSERT INTO "posts" ({quoted}) VALUES (?)'),
        (db.multiple_insert("posts", [data], _test=True), f'INSERT INTO "posts" ({quoted}) VALUES (?)'),
        (db.update("posts", 1, values=data, _test=True), f'UPDATE "posts" SET {quoted} = ? WHERE "id" = ?'),
        (db.update("posts", score=1, filters=data, _test=True), f'UPDATE "posts" SET "score" = ? WHERE {quoted} = ?'),
        (db.delete("posts", filters=data, _test=True), f'DELETE FROM "posts" WHERE {quoted} = ?'),
    ):
        assert made.query() == text
        assert EVIL in made.values()


def test_filters_narrow_what_the_program_s_own_condition_means() -> None:
    db = database("sqlite://:memory:")
    made = db.select("posts", {"a": 1}, where="a = $a OR b = 2", filters={"c": [3, 4], "d": None}, _test=True)
    assert made.query() == 'SELECT * FROM "posts" WHERE (a = ? OR b = 2) AND "c" IN (?, ?) AND "d" IS NULL'
    assert db.where("posts", filters={}, _test=True).query() == 'SELECT * FROM "posts"'
    assert db.where("posts", filters={"a": 1}, b=2, _test=True).values() == [2, 1]
    made = db.insert("posts", values={"title": "x"}, made_at=SQLLiteral("NOW()"), _test=True)
    assert made.query() == 'INSERT INTO "posts" ("title", "made_at") VALUES (?, NOW())'


@pytest.mark.parametrize("value", [SQLLiteral("1"), sqlquote(1), SQLParam(1), [1, SQLLiteral("2")]], ids=repr)
def test_no_value_of_a_mapping_is_sql_text(value: Any) -> None:
    db = database("sqlite://:memory:")
    assert_refused(
        "holds SQL text",
        lambda: db.where("posts", filters={"a": value}),
        lambda: db.select("posts", filters={"a": value}),
        lambda: db.insert("posts", values={"a": value}),
        lambda: db.update("posts", 1, values={"a": value}),
        lambda: db.delete("posts", filters={"a": value}),
    )


@pytest.mark.parametrize(
    "value",
    [{}, {"$ne": 1}, [[1]], [1, [2, 3]], [{"a": 1}], [()], ({1, 2}, 3), [[SQLLiteral("1")]], Storage(a=1)],
    ids=repr,
)
def test_a_filter_is_a_value_or_a_list_of_values(value: Any) -> None:
    """Of any database: no driver is asked what it makes of a dict."""
    db = database("sqlite://:memory:")
    assert_refused(
        "filters: 'a' is compared with ",
        lambda: db.where("posts", filters={"b": 1, "a": value}),
        lambda: db.select("posts", filters={"a": value}),
        lambda: db.update("posts", values={"b": 1}, filters={"a": value}),
        lambda: db.delete("posts", filters={"a": value}),
    )


@pytest.mark.parametrize("given", ["a = 1", 5, [("a", 1)], ["a"], True])
def test_what_is_not_a_mapping_is_refused(given: Any) -> None:
    db = database("sqlite://:memory:")
    assert_refused(
        "write a dict of columns",
        lambda: db.where("posts", filters=given),
        lambda: db.insert("posts", values=given),
        lambda: db.update("posts", 1, values=given),
        lambda: db.delete("posts", filters=given),
        lambda: db.multiple_insert("posts", [given]),
    )


def test_a_condition_that_means_every_row_is_still_refused() -> None:
    db = database("sqlite://:memory:")
    assert_refused(
        "every row",
        lambda: db.delete("posts"),
        lambda: db.delete("posts", filters={}),
        lambda: db.update("posts", values={"a": 1}),
        lambda: db.update("posts", values={"a": 1}, filters={}),
    )
    with pytest.raises(ArgumentError, match="nothing to set"):
        db.update("posts", 1, values={})
    with pytest.raises(ArgumentError, match="'a' stands in values= and as a keyword"):
        db.insert("posts", values={"a": 1}, a=2)
    with pytest.raises(ArgumentError, match="no name of a table or column"):
        db.insert("posts", values={"": 1})


async def test_rows_go_and_come_by_mappings(db: Database) -> None:
    made = await db.insert("posts", values={"title": EVIL, "score": 2})
    assert (await db.where("posts", filters={"id": made, "title": EVIL}).first()).score == 2
    assert await db.update("posts", values={"body": "$x %s"}, filters={"title": [EVIL, "other"]}) == 1
    assert (await db.select("posts", where="score > $s", vars={"s": 1}, filters={"body": "$x %s"}).first()).id == made
    assert await db.delete("posts", filters={"score": 3}) == 0
    assert await db.delete("posts", filters={"score": 2}) == 1


# ------------------------------------------------------------------ web.py's keywords of database()


@pytest.mark.parametrize(
    ("params", "served"),
    [
        ({"dbn": "mysql", "db": "d", "driver": "MySQLdb"}, "aiomysql"),
        ({"dbn": "mysql", "db": "d", "driver": "pymysql"}, "aiomysql"),
        ({"dbn": "mysql", "db": "d", "driver": "mysql.connector"}, "aiomysql"),
        ({"dbn": "postgres", "db": "d", "driver": "psycopg2"}, "asyncpg"),
        ({"dbn": "postgresql", "db": "d", "driver": "pgdb"}, "asyncpg"),
        ({"dbn": "sqlite", "db": "d", "driver": "sqlite3"}, "aiosqlite"),
    ],
    ids=str,
)
def test_web_py_s_driver_is_taken(params: dict[str, Any], served: str, caplog: pytest.LogCaptureFixture) -> None:
    database(**params)
    assert served in caplog.text
    caplog.clear()
    database(**{**params, "driver": served})
    assert not caplog.text


@pytest.mark.parametrize(
    ("url", "params", "said"),
    [
        ("mysql://u@h/d", {"driver": "asyncmy"}, "'aiomysql'"),
        ("postgres://u@h/d", {"driver": "MySQLdb"}, "'asyncpg'"),
        ("mysql://u@h/d", {"poling": True}, "'poling'"),
        ("mysql://u@h/d?conect_timeout=3", {}, "did you mean 'connect_timeout'"),
        ("postgres://u@h/d", {"sslmode": "require"}, "'sslmode'"),
        ("mysql://u@h/d", {"connect_timeout": "soon"}, "soon"),
        ("mysql://u@h/d", {"port": "x"}, "x"),
        ("mysql://u@h/d", {"pool_size": "many"}, "pool_size='many'"),
        ("mysql://u@h/d", {"timeout": None}, "timeout=None"),
    ],
)
def test_what_cannot_work_is_told_at_database(url: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database(url, **params)
    assert said in str(caught.value)


async def test_without_pooling_connections_are_closed_after_use(
    params: dict[str, Any], kind: str, db: Database
) -> None:
    for pooling in (False, "false"):
        made = database(**params, pooling=pooling)
        await made.query("SELECT 1 AS one")
        assert made.pool.idle == (1 if kind == "memory" else 0)
        await made.aclose()
    assert db.pool.idle


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret/x@host/d",
        "mysql://u:12/s3cret@host/d",
        "mysql://u:s3cret#x@host/d",
        "mysql://u:s3cret[x@host/d",
        "mysql://u:s3cret",
        "mysql:u:s3cret@host/d",
        "postgres://u:s3cret?x@host/d",
    ],
)
def test_a_url_that_cannot_be_read_shows_no_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cret" not in str(caught.value.__cause__)
