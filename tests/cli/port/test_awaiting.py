"""The await of each call stands where the call's value is used."""

# ruff: noqa: E501  the texts of files
import ast
import inspect
from pathlib import Path

import pytest
import redis.asyncio

from tests.cli.port.porting import CACHE, port, ported
from tests.webserver.project import Project
from torngas_aio.cli.kinds import REDIS_CHANGED
from torngas_aio.cli.port.awaiting import write_arguments
from torngas_aio.cli.port.edits import Edits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f():\n    return cache.get('a').b\n", "async def f():\n    return (await cache.get('a')).b\n"),
        ("def f():\n    return 'é', cache.get('a')[0]\n", "async def f():\n    return 'é', (await cache.get('a'))[0]\n"),
        ("def f():\n    return 'a' not in cache\n", "async def f():\n    return not await cache.has_key('a')\n"),
        (
            "def g():\n    return f()\n\n\ndef f():\n    cache.set('a', 1)\n",
            "async def g():\n    return await f()\n\n\nasync def f():\n    await cache.set('a', 1)\n",
        ),
        (
            "class A:\n    def f(self):\n        cache.set('a', 1)\n\n    def g(self):\n        self.f()\n",
            "class A:\n    async def f(self):\n        await cache.set('a', 1)\n\n    async def g(self):\n        await self.f()\n",
        ),
        (
            "def f(names):\n    return [cache.get(name) for name in names]\n",
            "async def f(names):\n    return [await cache.get(name) for name in names]\n",
        ),
        ("def f():\n    cache.set('a', cache.get('b'))\n", "async def f():\n    await cache.set('a', await cache.get('b'))\n"),
    ],
)  # fmt: skip
def test_calls_that_wait_are_awaited(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ported(tmp_path, capsys, CACHE + before) == CACHE + after


SCRIPT = CACHE + "def f():\n    return cache.get('a')\n\n\n"


@pytest.mark.parametrize(
    ("tail", "moved"),
    [
        ("print(f())\n", "async def main():\n    async with torngas_aio.project():\n        print(await f())\n"),
        (
            "if __name__ == '__main__':\n    x = f()\n    print(x)\n",
            "async def main():\n    async with torngas_aio.project():\n        x = await f()\n        print(x)\n",
        ),
        (
            "def main():\n    pass\n\n\nf()\n",
            "async def run_script():\n    async with torngas_aio.project():\n        await f()\n",
        ),
    ],
)
def test_a_scripts_own_code_moves_into_a_coroutine_function(
    tail: str, moved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, SCRIPT + tail)
    name = "run_script" if "run_script" in moved else "main"
    assert made.startswith("from torngas_aio.cache import cache\nimport asyncio\nimport torngas_aio\n")
    assert made.endswith(f'\n\n\n{moved}\n\nif __name__ == "__main__":\n    asyncio.run({name}())\n')


@pytest.mark.parametrize(
    "tail",
    [
        "x = f()\n\n\nclass A:\n    y = x\n",
        "x = f()\nfrom b import c\n",
        "x = f(), '''\n'''\n",
        "if __name__ == '__main__':\n    f()\nprint('after')\n",
    ],
)
def test_a_scripts_own_code_that_cannot_move_is_left_and_told(
    tail: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    path = project.write("app.py", SCRIPT + tail)
    report = port(project, capsys)
    assert "app.py:8: TGM203" in report or "app.py:9: TGM203" in report
    assert path.read_text().endswith(tail)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2 ** cache.get('a')", "2 ** (await cache.get('a'))"),
        ("cache.get('a')()", "(await cache.get('a'))()"),
        ("'a' in cache or b", "await cache.has_key('a') or b"),
        ("'a' in cache in b", "'a' in cache in b"),
        ("await cache.get('a')", "await cache.get('a')"),
        ("-cache.get('a')", "-await cache.get('a')"),
    ],
)
def test_an_await_stands_in_brackets_where_it_must(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"{CACHE}async def f(b):\n    return {before}\n")
    assert made == f"{CACHE}async def f(b):\n    return {after}\n"


def test_a_script_is_moved_from_its_first_use_of_the_database_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(
        tmp_path, capsys,
        "from a import Post\n\n\ndef go():\n    for name in []:\n        print(name)\n\n\nn = 1\n"
        "session = Post.session.using_master()\nfor name in [n]:\n    go()\nsession.commit()\n",
    )  # fmt: skip
    assert "\nn = 1\n\n\nasync def main():\n    async with torngas_aio.project():\n        session = Post" in made


def written(text: str, *, is_python2: bool = True) -> str:
    """Return what the call *text* becomes, "?" where that is not known."""
    tree = ast.parse(text)
    edits = Edits(text, tree)
    call = tree.body[0].value  # type: ignore[attr-defined]
    is_known = write_arguments(call, text.partition("(")[0].removeprefix("r."), edits, is_python2=is_python2)
    return edits.apply().removeprefix("r.") if is_known else "?"


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
    assert call.partition("(")[0] not in REDIS_CHANGED
