"""`$name` in SQL: bound, never evaluated, never text."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torngas_aio.db.basedb import SQLLiteral, SQLQuery, reparam
from torngas_aio.exception import ArgumentError
from torngas_aio.storage import Storage

EVIL = "x'; DROP TABLE users; --"

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
