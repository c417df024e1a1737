"""Generators that Tornado 4 ran as coroutines are coroutine functions that do the same."""

# ruff: noqa: E501  the texts of files
import ast
from pathlib import Path

import pytest

from tests.cli.port.porting import port, ported
from tests.webserver.project import Project


@pytest.mark.parametrize(
    ("imports", "decorator", "result", "left"),
    [
        ("from tornado import gen", "gen.coroutine", "gen.Return(\n        # one\n        a +\n        b\n    )", "from tornado import gen\n"),
        ("import tornado.gen", "tornado.gen.coroutine", "tornado.gen.Return(a +\n        b)", "import tornado.gen\n"),
        ("import tornado.gen as g", "g.coroutine", "g.Return(a + b)", "import tornado.gen as g\n"),
        ("from tornado.gen import coroutine as co, Return as R", "co", "R(a + b)", ""),
        ("from compat import gen", "gen.coroutine", "gen.Return(a + b)", "from compat import gen\n"),
        ("from tornado.gen import coroutine, Return\nE = Return", "coroutine", "Return(a + b)", "from tornado.gen import Return\nE = Return\n"),
    ],
)  # fmt: skip
def test_coroutines_are_known_by_any_name(
    imports: str, decorator: str, result: str, left: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"{imports}\n\n\n@{decorator}\ndef f(a, b):\n    yield a\n    raise {result}\n")
    assert made.startswith(f"{left}\n\nasync def f(a, b):\n    await a\n    return")
    assert ast.unparse(ast.parse(made).body[-1]).endswith("return a + b")
    assert ("# one" in result) == ("# one" in made)


@pytest.mark.parametrize(
    "text",
    ["from asyncio import coroutine\n\n\n@coroutine\ndef f():\n    yield from g()\n", "@co\ndef f():\n    yield g()\n"],
)
def test_other_coroutines_stay(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ported(tmp_path, capsys, text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = yield pool.submit(f, 1)", "x = await wrap_future(pool.submit(f, 1))"),
        ("y = self.pool.submit(f)\n    x = yield y", "y = wrap_future(self.pool.submit(f))\n    x = await y"),
        (
            "ys = [pool.submit(f, i) for i in z]\n    for y in ys:\n        x = yield y",
            "ys = [wrap_future(pool.submit(f, i)) for i in z]\n    for y in ys:\n        x = await y",
        ),
        (
            "y = pool.submit(f)\n    x = y.result()\n    yield g()",
            "y = pool.submit(f)\n    x = y.result()\n    await g()",
        ),
        ("x = yield self.room.submit(f)", "x = await self.room.submit(f)"),
        ("x = yield g() + h()", "x = await multi(g() + h())"),
        ("x = yield self.futures", "x = await convert_yielded(self.futures)"),
        ("raise gen.Return((yield pool.submit(f)))", "return await wrap_future(pool.submit(f))"),
        ("x = yield [pool.submit(f), g()]", "x = await multi([wrap_future(pool.submit(f)), g()])"),
        ("x = yield dict(a=g(), b=h())", "x = await multi(dict(a=g(), b=h()))"),
        ("y = [g(), h()]\n    x = yield y", "y = [g(), h()]\n    x = await multi(y)"),
        ("y = g()\n    x = yield y", "y = g()\n    x = await y"),
        ("x = yield g()", "x = await g()"),
    ],
)
def test_futures_of_thread_pools_are_awaited_through_asyncio(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"from tornado import gen\n\n\n@gen.coroutine\ndef load(self):\n    {before}\n")
    assert made.endswith(f"async def load(self):\n    {after}\n")
    assert made.count("import wrap_future") == after.count("wrap_future(")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = yield gen.Task(client.fetch, 'a')", "x = await client.fetch('a', raise_error=False)"),
        (
            "x = yield gen.Task(AsyncHTTPClient().fetch,\n        'a', method='PUT')",
            "x = await AsyncHTTPClient().fetch('a', method='PUT', raise_error=False)",
        ),
        (
            "x, y = yield [gen.Task(http.fetch, 'a'), gen.Task(http.fetch, 'b')]",
            "x, y = await multi([http.fetch('a', raise_error=False), http.fetch('b', raise_error=False)])",
        ),
        ("yield gen.Task(IOLoop.instance().add_timeout, time.time() + 5)", "await asyncio.sleep(5)"),
        ("yield gen.Task(self.loop.add_timeout, timedelta(days=1))", "await asyncio.sleep(timedelta(days=1).total_seconds())"),
        ("yield gen.Task(self.loop.add_timeout, self.at)", "await gen.Task(self.loop.add_timeout, self.at)"),
        ("yield gen.Task(loop.add_timeout, time.time() + (1 + 2))", "await gen.Task(loop.add_timeout, time.time() + (1 + 2))"),
        ("yield gen.Task(client.fetch, ('a'))", "await gen.Task(client.fetch, ('a'))"),
        ("yield gen.Task(self.rows.fetch, 'a')", "await gen.Task(self.rows.fetch, 'a')"),
    ],
)  # fmt: skip
def test_tasks_of_what_is_a_coroutine_today_are_awaited_without_one(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"from tornado import gen\n\n\n@gen.engine\ndef load(self):\n    {before}\n")
    assert made.endswith(f"async def load(self):\n    {after}\n")


@pytest.mark.parametrize(
    "body",
    [
        "self.render('a.html')",
        "if self.a:\n            self.redirect('/')\n        else:\n            self.finish('a')",
        "if self.a:\n            raise HTTPError(404)\n        else:\n            return self.send_error(403)",
    ],
)
def test_a_method_that_answers_itself_has_no_callback(
    body: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write(
        "app.py", f"class A(RequestHandler):\n    @tornado.web.asynchronous\n    def get(self):\n        {body}\n"
    )
    assert "0 places" in port(project, capsys)


@pytest.mark.parametrize("value", ["", " gen.moment"])
def test_a_bare_yield_gives_way_to_the_loop(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ported(tmp_path, capsys, f"from tornado import gen\n\n\n@gen.coroutine\ndef f():\n    yield{value}\n")
    assert made.endswith("import asyncio\n\n\nasync def f():\n    await asyncio.sleep(0)\n")
