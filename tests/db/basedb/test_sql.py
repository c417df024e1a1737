"""SQL put together without a database: what is text, what is bound, what is refused; `$name` is never evaluated."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torngas_aio.db.basedb import SQLLiteral, SQLParam, SQLQuery, reparam, sqlify, sqllist, sqlors, sqlquote, sqlwhere
from torngas_aio.exception import ArgumentError
from torngas_aio.storage import Storage

EVIL = "x'; DROP TABLE users; --"


def test_values_travel_beside_the_text_in_every_style() -> None:
    made = SQLQuery(["a = ", SQLParam(1), " AND b LIKE '5%' AND c = ", SQLParam(EVIL)])
    assert made.query("qmark") == "a = ? AND b LIKE '5%' AND c = ?"
    assert made.query("format") == "a = %s AND b LIKE '5%%' AND c = %s"
    assert made.query("dollar") == "a = $1 AND b LIKE '5%' AND c = $2"
    assert made.values() == [1, EVIL]
    with pytest.raises(ArgumentError, match="'named' is no parameter style"):
        made.query("named")


def test_statements_add_up_without_changing_their_parts() -> None:
    one = SQLQuery("a = ") + SQLParam(1)
    two = "WHERE " + one + " OR " + SQLLiteral("b = NOW()")
    assert two.query() == "WHERE a = ? OR b = NOW()"
    assert one.query() == "a = ?"
    one += " AND c = "
    one += SQLParam(2)
    assert (one.query(), one.values()) == ("a = ? AND c = ?", [1, 2])
    assert (SQLParam(3) + " = c").query() == "? = c"
    assert ("c = " + SQLParam(3)).values() == [3]
    assert len(one) == len("a = ? AND c = ?")
    assert SQLQuery("x") == SQLQuery(["x"])
    assert SQLQuery("x") != SQLQuery("y")
    assert SQLQuery("x") != "x"
    assert not SQLQuery()


async def test_a_statement_may_be_awaited_and_is_itself() -> None:
    made = SQLQuery("SELECT 1")
    assert await made is made


def test_a_bare_value_is_refused_with_the_mend() -> None:
    with pytest.raises(ArgumentError, match=r"3 is neither SQL text nor a bound value. Write sqlquote\(3\)."):
        SQLQuery(["a = ", 3])


def test_joining_puts_separators_and_brackets() -> None:
    assert SQLQuery.join(["a", SQLParam(1)], ", ", "(", ")").query() == "(a, ?)"
    assert SQLQuery.join([]).query() == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (False, "FALSE"),
        (3, "3"),
        (1.5, "1.5"),
        ("it's", "'it''s'"),
        (b"\x00\xff", "X'00ff'"),
        (dt.date(2026, 11, 22), "'2026-11-22'"),
    ],
)
def test_a_statement_shows_its_values_to_people(value: Any, shown: str) -> None:
    assert sqlify(value) == shown
    assert str("a = " + SQLParam(value)) == f"a = {shown}"


def test_a_shown_value_stays_inside_its_quotes() -> None:
    assert repr("a = " + SQLParam(EVIL)) == "<sql: \"a = 'x''; DROP TABLE users; --'\">"
    assert repr(SQLParam(1)) == "SQLParam(1)"
    assert repr(SQLLiteral("a")) == "SQLLiteral('a')"
    assert str(SQLLiteral("a")) == "a"


def test_quoting_binds_each_value_of_a_list() -> None:
    assert sqlquote(EVIL).query() == "?"
    found = "id IN " + sqlquote([1, 2, 3])
    assert (found.query(), found.values()) == ("id IN (?, ?, ?)", [1, 2, 3])
    assert sqlquote(SQLLiteral("NOW()")).query() == "NOW()"
    assert sqlquote(SQLQuery("a")).query() == "a"
    with pytest.raises(ArgumentError, match=r"no `IN \(\)`"):
        sqlquote([])


def test_lists_ors_and_wheres() -> None:
    assert sqllist(["a", "b"]) == "a, b"
    assert sqllist("a") == "a"
    assert str(sqlors("id = ", [1, 2, 3])) == "(id = 1 OR id = 2 OR id = 3)"
    assert str(sqlors("id = ", [])) == "1=2"
    assert str(sqlors("id = ", [1])) == str(sqlors("id = ", 1)) == "id = 1"
    assert sqlors("name = ", EVIL).values() == [EVIL]
    assert str(sqlwhere({"a": 1, "b": None, "c": [1, 2], "d": ()})) == "a = 1 AND b IS NULL AND c IN (1, 2) AND 1=2"
    assert str(sqlwhere({"a": 1, "b": 2}, " OR ")) == "a = 1 OR b = 2"
    assert str(sqlwhere({})) == "1=1"


VARIABLES: dict[str, Any] = {
    "name": EVIL,
    "user": SimpleNamespace(name="jack", friend=SimpleNamespace(ids=[4, 5]), run=print, _secret="no"),
    "row": Storage(id=7, tags=["a", "b"]),
    "by_key": {"a": 1, "b c": 2, 3: "three", "3": "text", "x": {"y": 9}},
    "ids": [1, 2],
    "nothing": None,
    "raw": SQLLiteral("NOW()"),
    "part": SQLQuery("a = b"),
}


@pytest.mark.parametrize(
    ("text", "query", "values"),
    [
        ("SELECT 1", "SELECT 1", []),
        ("name = $name", "name = ?", [EVIL]),
        ("$name", "?", [EVIL]),
        ("$name$name", "??", [EVIL, EVIL]),
        ("a=$user.name,b", "a=?,b", ["jack"]),
        ("a = ${user.name}x", "a = ?x", ["jack"]),
        ("a = ${name}", "a = ?", [EVIL]),
        ("$user.friend.ids[1]", "?", [5]),
        ("$user.friend.ids[-1]", "?", [5]),
        ("id IN $ids", "id IN (?, ?)", [1, 2]),
        ("$row.id $row[id] $row['id'] $row[\"id\"]", "? ? ? ?", [7, 7, 7, 7]),
        ("$row.tags[0]", "?", ["a"]),
        ("$by_key[a] $by_key['b c'] $by_key[3] $by_key['3']", "? ? ? ?", [1, 2, "three", "text"]),
        ("$by_key[x][y]", "?", [9]),
        ("a = $nothing", "a = ?", [None]),
        ("a = $raw AND $part", "a = NOW() AND a = b", []),
        ("$$", "$", []),
        ("$$name costs 5$$", "$name costs 5$", []),
        ("$1, $ name, $", "$1, $ name, $", []),
        ("$ids. x", "(?, ?). x", [1, 2]),
        ("'it''s' = $name", "'it''s' = ?", [EVIL]),
    ],
)
def test_a_name_is_bound_to_its_value(text: str, query: str, values: list[Any]) -> None:
    found = reparam(text, VARIABLES)
    assert found.query() == query
    assert found.values() == values


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("$other", r"no 'other' was given; there is \['by_key'"),
        ("$user.missing", r"has no '\.missing'"),
        ("$by_key[zz]", r"dict has no '\[zz\]'"),
        ("$ids[9]", r"list has no '\[9\]'"),
        ("$ids['a']", r"list has no"),
        ("$user[name]", "SimpleNamespace has no"),
        ("$user._secret", "private and out of reach"),
        ("$user.__class__", "private and out of reach"),
        ("$user.run", "is a function or method"),
        ("$row.items", "is a function or method"),
        ("${__import__('os')}", "only names stand in"),
        ("${1 + 1}", "only names stand in"),
        ("a = '$name'", "stands inside quotes"),
        ("a LIKE '%$name%'", "stands inside quotes"),
        ("a = 'it''s $name'", "stands inside quotes"),
    ],
)
def test_what_cannot_be_bound_is_refused(text: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        reparam(text, VARIABLES)
    with pytest.raises(ArgumentError):
        reparam("$x", None)


def test_nothing_is_evaluated_or_called() -> None:
    class Trap:
        def __call__(self) -> str:
            raise AssertionError("called")

        def __getitem__(self, key: Any) -> str:
            return f"[{key}]"

    found = reparam("$t['__import__(1)'] $t[a] (1 + 1)", {"t": Trap()})
    assert found.values() == ["[__import__(1)]", "[a]"]
    assert found.query() == "? ? (1 + 1)"


def test_a_finished_statement_passes_unchanged() -> None:
    made = SQLQuery("$name")
    assert reparam(made, VARIABLES) is made
    assert reparam(SQLLiteral("$name"), VARIABLES).query() == "$name"


@given(st.text(), st.text())
def test_no_value_ever_becomes_text(before: str, value: str) -> None:
    before = before.replace("$", "").replace("'", "")
    found = reparam(f"{before}$v", {"v": value})
    assert found.query() == f"{before}?"
    assert found.values() == [value]
