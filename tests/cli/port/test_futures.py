"""Names that hold futures, and the functions that take them, are told from others."""

# ruff: noqa: E501  the texts of files
import ast

import pytest

from torngas_aio.cli.port.futures import held_names, holder_of, is_held, taker_of
from torngas_aio.cli.port.syntax import parents_of


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await a", {"a"}), ("x = yield a", {"a"}), ("await a.b", {"a.b"}), ("await (a or b)", {"a", "b"}),
        ("await (a if c else b)", {"a", "b", "c"}), ("await multi([a, *b])", {"a", "b"}), ("await multi({1: a})", {"a"}),
        ("gather(a, b=c)", {"a", "c"}), ("with_timeout(9, future=a)", {"a"}), ("await multi(a.values())", {"a"}),
        ("await a[0]", {"a"}), ("for a in b: await a", {"a", "b"}), ("[await a for a in b]", {"a", "b"}),
        ("a.add_done_callback(b)", {"a"}), ("loop.add_future(a, b)", {"a", "b"}), ("await f(a)", set()), ("a.result()", set()),
        ("subprocess.run(a)", set()), ("asyncio.run(a)", {"a"}), ("event.wait(a)", set()),
    ],
)  # fmt: skip
def test_a_name_is_held_whose_value_is_awaited(code: str, expected: set[str]) -> None:
    assert held_names(ast.walk(ast.parse(code))) == expected


@pytest.mark.parametrize(
    ("code", "is_kept"),
    [
        ("a = f()", True), ("a = [f(), 1]", True), ("a = [f() for x in y]", True), ("a = dict(b=f())", True),
        ("a = {'b': f()}", True), ("a['b'] = f()", True), ("a.append(f())", True), ("a.insert(0, f())", True),
        ("a = f() if c else None", True), ("a = b or f()", True), ("a = g() + [f()]", True), ("b = f()", False),
        ("a = g(f())", False), ("a = f().b", False), ("a = b if f() else c", False), ("a.send(f())", False),
    ],
)  # fmt: skip
def test_a_call_is_kept_whose_result_a_held_name_has(code: str, is_kept: bool) -> None:
    parents = parents_of(ast.parse(code))
    (call,) = [node for node in parents if isinstance(node, ast.Call) and ast.unparse(node) == "f()"]
    assert is_held(parents[holder_of(call, parents)], {"a"}) is is_kept


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("gen.multi()", "multi"),
        ("asyncio.wait()", "wait"),
        ("run()", "run"),
        ("self.run()", ""),
        ("p.wait()", ""),
        ("a", ""),
    ],
)
def test_a_function_with_a_common_name_is_asyncio_s_where_it_says_so(code: str, name: str) -> None:
    assert taker_of(ast.parse(code, mode="eval").body) == name
