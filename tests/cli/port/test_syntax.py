"""Nodes of syntax trees: their names, their texts, what is assigned."""

import ast
from typing import Any

import pytest

from torngas_aio.cli.port.syntax import assigned_in, binds, called, dotted, last_name, nodes_of, text_of


@pytest.mark.parametrize(
    ("text", "name"), [("a", "a"), ("a.b.c", "a.b.c"), ("a().b", ""), ("a[0].b", ""), ("'a'.b", ""), ("a + b", "")]
)
def test_a_dotted_name_is_names_alone(text: str, name: str) -> None:
    assert dotted(ast.parse(text, mode="eval").body) == name


@pytest.mark.parametrize(
    "text",
    [
        "it = 1", "def it(): pass", "class it: pass", "import it", "import a as it", "from a import it", "del it",
        "for it in a: pass", "with a as it: pass", "f = lambda it: 1", "def f(*it): pass", "(it := 1)",
        "async def it(): pass", "[a for it in b]",
    ],
)  # fmt: skip
def test_each_way_to_give_a_name_a_value_is_known(text: str) -> None:
    assert binds(ast.parse(text), "it")
    assert not binds(ast.parse(text), "other")


@pytest.mark.parametrize("text", ["it()", "a.it = 1", "f(it=1)", "import it as a", "'it'", "import it.a"])
def test_a_name_that_is_used_only_has_no_value_there(text: str) -> Any:
    assert not binds(ast.parse(text), "it")


def test_calls_and_texts_are_told_from_other_nodes() -> None:
    nodes = [
        node.value for node in ast.parse("a.b()\nf(1)\na.b\nc().d()\n'e'\nb'f'\n").body if isinstance(node, ast.Expr)
    ]
    assert [called(each) for each in nodes] == ["a.b", "f", "", "", "", ""]
    assert [last_name(each) for each in nodes] == ["b", "f", "", "d", "", ""]
    assert [text_of(each) for each in nodes] == ["", "", "", "", "e", ""]
    assert (called(None), last_name(None), text_of(None), dotted(None)) == ("", "", "", "")


def test_what_is_assigned_is_listed_for_each_target() -> None:
    tree = ast.parse("a = b.c = 1\nd, e = 2\nf += 3\n")
    assert [(name, ast.unparse(value)) for name, value in assigned_in(ast.walk(tree))] == [("a", "1"), ("b.c", "1")]
    assert [node.value for node in nodes_of(tree, ast.Constant)] == [1, 2, 3]
