"""Replacements by the positions of `ast`: in any text, at once, inner ones inside outer ones."""

import ast

import pytest

from torngas_aio.cli.port.edits import Edits


def calls_of(text: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


@pytest.mark.parametrize(
    "text",
    [
        "x = f(1)\n",
        "é = '日本'; x = f(1)",
        "# a comment\n\nif a:\n\tx = '🐢', f(1)\n",
        "a = '''\n'''\nx = f(1)",
        "a = 1\n\x0cx = f(1)\n",
        "a = 'x\\\n\x0by', f(1)\n",
    ],
)
def test_a_node_is_found_where_it_stands(text: str) -> None:
    (call,) = calls_of(text)
    edits = Edits(text)
    assert edits.source(call) == "f(1)"
    start, end = edits.span(call)
    assert text[start:end] == "f(1)"
    assert edits.text[edits.line_start(start) : start] == text[:start].rpartition("\n")[2]
    edits.replace(start, end, "g()")
    assert edits.apply() == text.replace("f(1)", "g()")


def test_what_is_not_replaced_stays_to_the_letter() -> None:
    text = "x  =  ( 1 ,\t2 )  # why\n\n\n\n"
    assert Edits(text).apply() == text


def test_nodes_that_begin_or_end_together_are_wrapped_inside_out() -> None:
    text = "f()()()"
    edits = Edits(text)
    for number, call in enumerate(calls_of(text)[::-1]):
        edits.wrap(call, f"{number}<", f">{number}")
    assert edits.apply() == "2<1<0<f()>0()>1()>2"


def test_of_two_that_overlap_the_earlier_counts() -> None:
    edits = Edits("abcdef")
    edits.replace(1, 4, "X")
    edits.replace(2, 5, "Y")
    edits.replace(4, 5, "Z")
    assert edits.apply() == "aXZf"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1\n", "import new\nx = 1\n"),
        ("", "import new\n"),
        ("import a\nfrom b import c\nx = 1\nimport d\n", "import a\nfrom b import c\nimport new\nx = 1\nimport d\n"),
        ('"""About."""\nimport a\n', '"""About."""\nimport a\nimport new\n'),
        ('"""About."""\nx = 1\n', '"""About."""\nimport new\nx = 1\n'),
        ("#!/usr/bin/python\n# coding: utf-8\nx = 1\n", "#!/usr/bin/python\n# coding: utf-8\nimport new\nx = 1\n"),
        ("import (a)".replace("(a)", "a"), "import a\nimport new\n"),
        ("from b import (\n    c,\n)\nx = 1\n", "from b import (\n    c,\n)\nimport new\nx = 1\n"),
    ],
)
def test_an_import_comes_after_those_that_the_file_begins_with(before: str, after: str) -> None:
    edits = Edits(before, ast.parse(before))
    assert edits.import_name("new") == "new"
    assert edits.apply() == after
