"""The statements of each dialect, as pure text."""

from typing import Any

import pytest

from torngas_aio.db.basedb import SQLLiteral, SQLQuery
from torngas_aio.db.basedb.statements import MYSQL, POSTGRES, SQLITE, Dialect
from torngas_aio.exception import ArgumentError


@pytest.mark.parametrize(
    ("options", "sql"),
    [
        ({}, 'SELECT * FROM "t"'),
        ({"what": "count(*) AS n"}, 'SELECT count(*) AS n FROM "t"'),
        ({"what": ["id", "t.name"]}, 'SELECT "id", "t"."name" FROM "t"'),
        ({"where": "a > 1"}, 'SELECT * FROM "t" WHERE a > 1'),
        ({"where": 7}, 'SELECT * FROM "t" WHERE "id" = ?'),
        ({"where": {"a": 1, "b": None}}, 'SELECT * FROM "t" WHERE "a" = ? AND "b" IS NULL'),
        ({"where": SQLQuery("a = b")}, 'SELECT * FROM "t" WHERE a = b'),
        ({"where": "a = $a AND b IN $b"}, 'SELECT * FROM "t" WHERE a = ? AND b IN (?, ?)'),
        ({"order": "id"}, 'SELECT * FROM "t" ORDER BY "id"'),
        ({"order": "t.id desc, name"}, 'SELECT * FROM "t" ORDER BY "t"."id" DESC, "name"'),
        ({"order": ["id desc nulls last"]}, 'SELECT * FROM "t" ORDER BY "id" DESC NULLS LAST'),
        ({"order": SQLLiteral("RANDOM()")}, 'SELECT * FROM "t" ORDER BY RANDOM()'),
        ({"group": "a, b"}, 'SELECT * FROM "t" GROUP BY "a", "b"'),
        ({"limit": 5, "offset": 10}, 'SELECT * FROM "t" LIMIT 5 OFFSET 10'),
        ({"offset": 10}, 'SELECT * FROM "t" LIMIT -1 OFFSET 10'),
        (
            {"where": "a=1", "group": "a", "order": "a", "limit": 0},
            'SELECT * FROM "t" WHERE a=1 GROUP BY "a" ORDER BY "a" LIMIT 0',
        ),
    ],
)
def test_a_select_is_put_together_in_the_order_of_sql(options: dict[str, Any], sql: str) -> None:
    assert SQLITE.select("t", {"a": 1, "b": [2, 3]}, **options).query() == sql


@pytest.mark.parametrize(
    ("tables", "sql"),
    [
        ("posts", '"posts"'),
        ("posts p", '"posts" "p"'),
        ("public.posts AS p, users", '"public"."posts" "p", "users"'),
        (["posts", "users u"], '"posts", "users" "u"'),
        (SQLLiteral("a JOIN b ON a.id = b.id"), "a JOIN b ON a.id = b.id"),
        ("文章", '"文章"'),
    ],
)
def test_tables_are_names_with_aliases_or_a_literal(tables: Any, sql: str) -> None:
    assert SQLITE.select(tables).query() == f"SELECT * FROM {sql}"


def test_each_database_has_its_quotes_marks_and_endless_limit() -> None:
    assert MYSQL.select("t", where=1, offset=2).query("format") == (
        "SELECT * FROM `t` WHERE `id` = %s LIMIT 18446744073709551615 OFFSET 2"
    )
    assert POSTGRES.select("t", where=1, offset=2).query("dollar") == 'SELECT * FROM "t" WHERE "id" = $1 OFFSET 2'


@pytest.mark.parametrize("dialect", [SQLITE, MYSQL, POSTGRES])
def test_a_quote_in_a_name_stays_in_the_name(dialect: Dialect) -> None:
    quote = dialect.quote
    assert dialect.identifier(f"a{quote}b") == f"{quote}a{quote * 2}b{quote}"
    assert dialect.identifier("a.b") == f"{quote}a{quote}.{quote}b{quote}"
    assert dialect.identifier(SQLLiteral("x")) == "x"


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a\0b", None, 3, b"a"])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ArgumentError, match="is no name of a table or column"):
        SQLITE.identifier(name)


@pytest.mark.parametrize(
    "options",
    [
        {"order": "id; DROP TABLE t"}, {"order": "id DESC, (SELECT 1)"}, {"order": "1=1"}, {"order": ""},
        {"order": [3]},
        {"order": 'id"'}, {"order": "id DESC ASC"}, {"order": "RANDOM()"}, {"group": "a HAVING 1"},
        {"group": "count(*)"},
        {"limit": "5"}, {"limit": -1}, {"limit": True}, {"limit": 1.5}, {"offset": "0; DROP TABLE t"}, {"where": ""},
        {"where": {}}, {"where": True}, {"what": ["a", ""]},
    ],
    ids=repr,
)  # fmt: skip
def test_text_from_outside_cannot_become_sql(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        SQLITE.select("t", **options)


@pytest.mark.parametrize("tables", ["t; DROP TABLE t", "a JOIN b", "(SELECT 1)", "", [], 3, 'a"b', ["a", 3]])
def test_what_is_no_table_is_refused(tables: Any) -> None:
    with pytest.raises(ArgumentError):
        SQLITE.select(tables)


def test_inserts_of_one_many_and_default_rows() -> None:
    made = SQLITE.insert("t", [{"a": 1, "b": "x"}, {"b": "y", "a": 2}])
    assert made.query() == 'INSERT INTO "t" ("a", "b") VALUES (?, ?), (?, ?)'
    assert made.values() == [1, "x", 2, "y"]
    assert SQLITE.insert("t", [{"at": SQLLiteral("NOW()"), "tags": [1, 2]}]).values() == [[1, 2]]
    assert SQLITE.insert("t", [{}]).query() == 'INSERT INTO "t" DEFAULT VALUES'
    assert MYSQL.insert("t", [{}]).query("format") == "INSERT INTO `t` () VALUES ()"
    with pytest.raises(ArgumentError, match=r"Row 1 has the columns \['b'\], row 0 has \['a'\]"):
        SQLITE.insert("t", [{"a": 1}, {"b": 1}])
    with pytest.raises(ArgumentError, match="without a column"):
        SQLITE.insert("t", [{}, {}])


def test_updates_and_deletes_want_a_condition() -> None:
    made = SQLITE.update("t", "id = $i", {"i": 3}, {"a": 1, "n": SQLLiteral("n + 1")})
    assert made.query() == 'UPDATE "t" SET "a" = ?, "n" = n + 1 WHERE id = ?'
    assert made.values() == [1, 3]
    assert POSTGRES.delete("t", {"a": [1]}, using="u").query("dollar") == 'DELETE FROM "t" USING "u" WHERE "a" IN ($1)'
    everything: list[Any] = [None, "", {}, True, False]
    for where in everything:
        with pytest.raises(ArgumentError, match="would mean every row"):
            SQLITE.delete("t", where)
    with pytest.raises(ArgumentError, match="nothing to set"):
        SQLITE.update("t", 1, None, {})
