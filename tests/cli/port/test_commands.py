"""Commands of a Redis client get the arguments that their functions take now."""

import ast
import inspect

import pytest
import redis.asyncio

from torngas_aio.cli.port.commands import CHANGED, write_arguments
from torngas_aio.cli.port.edits import Edits


def written(text: str, *, is_python2: bool = True) -> str:
    """Return what the call *text* becomes, "?" where that is not known."""
    tree = ast.parse(text)
    edits = Edits(text, tree)
    call = tree.body[0].value  # type: ignore[attr-defined]
    is_known = write_arguments(call, text.partition("(")[0].removeprefix("r."), edits, is_python2=is_python2)
    return edits.applied().removeprefix("r.") if is_known else "?"


@pytest.mark.parametrize(
    ("before", "after", "of_python3"),
    [
        ("zadd(k, 5, 'name')", "zadd(k, {'name': 5})", "zadd(k, {'name': 5})"),
        ("zadd(k, -1.5, 'a', 2, m, c=3)", "zadd(k, {'a': -1.5, m: 2, 'c': 3})", "zadd(k, {'a': -1.5, m: 2, 'c': 3})"),
        ("zadd(k, s, m)", "zadd(k, {m: s})", "?"),
        ("zadd(k, **{m: s})", "zadd(k, {m: s})", "zadd(k, {m: s})"),
        ("zadd(k, s, m, **d)", "zadd(k, {m: s, **d})", "zadd(k, {m: s, **d})"),
        ("zadd(k, a=1)", "zadd(k, {'a': 1})", "zadd(k, {'a': 1})"),
        ("zadd(k, *pairs)", "?", "?"),
        ("zadd(k, d)", "zadd(k, d)", "zadd(k, d)"),
        ("zadd(k, {m: s}, True)", "zadd(k, {m: s}, True)", "zadd(k, {m: s}, True)"),
        ("zadd(k, d, nx=True)", "zadd(k, d, nx=True)", "zadd(k, d, nx=True)"),
        ("zadd(k, s, m, t)", "?", "?"),
        ("zincrby(k, m)", "zincrby(k, value=m, amount=1)", "zincrby(k, value=m, amount=1)"),
        ("zincrby(k, m, amount=-n)", "zincrby(k, value=m, amount=-n)", "zincrby(k, value=m, amount=-n)"),
        ("zincrby(k, m, -1)", "zincrby(k, value=m, amount=-1)", "zincrby(k, value=m, amount=-1)"),
        ("zincrby(k, m, n)", "zincrby(k, value=m, amount=n)", "?"),
        ("zincrby(k, 5, m)", "zincrby(k, 5, m)", "zincrby(k, 5, m)"),
        ("zincrby(k, *a)", "?", "?"),
        ("zincrby(k, value=m, amount=n)", "zincrby(k, value=m, amount=n)", "zincrby(k, value=m, amount=n)"),
        ("geoadd(k, x, y, m)", "geoadd(k, [x, y, m])", "?"),
        ("geoadd(k, *places)", "geoadd(k, [*places])", "geoadd(k, [*places])"),
        ("geoadd(k, [x, y, m])", "geoadd(k, [x, y, m])", "geoadd(k, [x, y, m])"),
        ("mset(a=1, b=2)", "mset({'a': 1, 'b': 2})", "mset({'a': 1, 'b': 2})"),
        ("msetnx(**d)", "msetnx(d)", "msetnx(d)"),
        ("mset(d)", "mset(d)", "mset(d)"),
    ],
)  # fmt: skip
def test_arguments_of_strict_redis_become_those_of_today(before: str, after: str, of_python3: str) -> None:
    assert written(f"r.{before}") == after
    assert written(f"r.{before}", is_python2=False) == of_python3
    for made in {after, of_python3} - {"?"}:
        assert written(f"r.{made}") == made
        assert written(f"r.{made}", is_python2=False) == made
        call = ast.parse(made, mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        keywords = {each.arg: each.value for each in call.keywords if each.arg}
        inspect.signature(getattr(redis.asyncio.Redis, call.func.id)).bind(None, *call.args, **keywords)


@pytest.mark.parametrize("call", ["lrem(k, 0, v)", "setex(k, 60, v)", "psetex(k, 60, v)"])
def test_commands_that_strict_redis_took_in_this_order_are_not_touched(call: str) -> None:
    assert call.partition("(")[0] not in CHANGED
