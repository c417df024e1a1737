"""What names stand for: through variables, arguments, attributes, lists, files and functions."""

# ruff: noqa: E501  the texts of files
import ast
from pathlib import Path

import pytest

from tests.cli.port.porting import listed, port, ported
from tests.webserver.project import Project
from torngas_aio.cli.kinds import chain_of
from torngas_aio.cli.port.names import Names, key_of
from torngas_aio.cli.port.summary import summarize

HEAD = "from torngas_aio.cache import cache, caches\n\n\n"


def names_in(**files: str) -> Names:
    return Names(summarize(ast.parse(text), f"{name}.py", name) for name, text in files.items())


def kind(names: Names, code: str, path: str = "app.py") -> str:
    expression = ast.parse(code, mode="eval").body
    return names.resolve(chain_of(expression), path, None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("cache", "cache"), ("caches['a']", "cache"), ("cache.get('a')", "awaited"), ("store()", "result:app.py|store"),
        ("A", "class:app.py|A"), ("A()", "instance:app.py|A"), ("A().get", "func:app.py|A.get|app.py|A"), ("A().kept", "cache"),
        ("B().get", "func:app.py|A.get|app.py|B"), ("both['x']", "cache"), ("both.get('x')", "cache"),
        ("other.a", "cache"), ("unknown.a", ""), ("first.get('a')", "awaited"), ("bound('a')", "awaited"),
    ],
)  # fmt: skip
def test_an_expression_stands_for_an_object(code: str, expected: str) -> None:
    app = (
        f"{HEAD}import other\nfrom functools import partial\n\n\ndef store():\n    return cache\n\n\nclass A(object):\n    kept = cache\n    def get(self):\n        pass\n\n\n"
        "class B(A):\n    pass\n\n\nboth = {'a': cache, 'b': caches['b']}\nfirst, second = cache, 1\nbound = partial(cache.get, 'a')\n"
    )
    names = names_in(app=app, other=f"{HEAD}a = caches['a']\n")
    assert kind(names, code) == expected


def test_classes_know_those_above_and_below() -> None:
    names = names_in(
        app="class A(RequestHandler):\n    def f(self): pass\n\n\nclass B(A):\n    def f(self): pass\n\n\nclass C(object):\n    pass\n"
    )
    a, b, c = (("app.py", name) for name in "ABC")
    assert names.family(b) == [b, a]
    assert names.family(a) == [a, b]
    assert [names.is_handler(each) for each in (a, b, c)] == [True, True, False]
    assert names.overrides(("app.py", "A.f")) == [("app.py", "B.f")]
    assert names.methods["f"] == [("app.py", "A.f"), ("app.py", "B.f")]
    assert key_of("func:app.py|A.f|app.py|B") == ("app.py", "A.f")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("class A(object):\n    a = {'a': caches['a']}\n    def f(self, k):\n        return self.a[k].get(k)\n", "    async def f(self, k):\n        return await self.a[k].get(k)\n"),
        ("def f(k):\n    for c in (cache, caches['a']):\n        c.set(k, 1)\n", "async def f(k):\n    for c in (cache, caches['a']):\n        await c.set(k, 1)\n"),
        ("def f(k):\n    for c in {'a': cache}.values():\n        c.set(k, 1)\n", None),
        ("ALL = {'a': cache}\n\n\ndef f(k):\n    for c in ALL.values():\n        c.set(k, 1)\n", "async def f(k):\n    for c in ALL.values():\n        await c.set(k, 1)\n"),
        ("c = None\n\n\ndef start():\n    global c\n    c = caches['a']\n\n\ndef f(k):\n    c.set(k, 1)\n", "async def f(k):\n    await c.set(k, 1)\n"),
        ("def g(c, k):\n    c.set(k, 1)\n\n\ndef f(k):\n    g(cache, k)\n", "async def g(c, k):\n    await c.set(k, 1)\n\n\nasync def f(k):\n    await g(cache, k)\n"),
        ("def h(c):\n    c.clear()\n\n\ndef g(x, c):\n    h(c)\n\n\ndef f(k):\n    g(k, c=cache)\n", "async def h(c):\n    await c.clear()\n\n\nasync def g(x, c):\n    await h(c)\n\n\nasync def f(k):\n    await g(k, c=cache)\n"),
        ("class A(object):\n    def __init__(self, c):\n        self.c = c\n\n    def f(self):\n        self.c.clear()\n\n\na = A(cache)\n", "    async def f(self):\n        await self.c.clear()\n\n\na = A(cache)\n"),
        ("class A(object):\n    def __init__(self, cache=cache):\n        self.cache = cache\n\n    def f(self):\n        self.cache.clear()\n", "    async def f(self):\n        await self.cache.clear()\n"),
        ("def f(c=None):\n    c = c or cache\n    c.clear()\n", "async def f(c=None):\n    c = c or cache\n    await c.clear()\n"),
        ("def g(c):\n    c.clear()\n\n\ng([])\n", None),
        ("def g(c):\n    c.clear()\n\n\ng(cache)\ng([])\n", None),
        ("from torngas_aio.db.dbalchemy import Connector\n\n\ndef f():\n    s = Connector.get_session('a')['master']()\n    s.commit()\n", "async def f():\n    s = Connector.get_session('a')['master']()\n    await s.commit()\n"),
        ("from torngas_aio.db.dbalchemy import Connector\n\n\ndef f():\n    Connector.conn_pool['a'].create_db()\n", "async def f():\n    await Connector.conn_pool['a'].create_db()\n"),
        ("def f(x):\n    return (lambda cache: cache.get('a'))(x)\n", None),
        ("def g():\n    c: object = cache\n    c.clear()\n", "async def g():\n    c: object = cache\n    await c.clear()\n"),
    ],
)  # fmt: skip
def test_objects_are_followed(
    before: str, after: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, HEAD + before)
    assert made.endswith(after) if after else made == HEAD + before
    assert ported(tmp_path, capsys, made) == made


def test_defaults_of_parameters_are_the_modules_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("app.py", f"{HEAD}def f(a, *, b=cache.get('a')):\n    return b\n")
    (line,) = listed(port(project, capsys))
    assert line.startswith("app.py:4: TGM203")


@pytest.mark.parametrize(
    ("code", "is_foreign"),
    [
        ("redis.Redis().send()", True), ("client.send()", True), ("self.client.send()", True), ("self.own.send()", False),
        ("x.send()", False), ("self.send()", False), ("cache.send()", False),
    ],
)  # fmt: skip
def test_objects_of_other_packages_are_told(code: str, is_foreign: bool) -> None:
    names = names_in(
        app=f"{HEAD}import redis\n\n\nclass Base(object):\n    def __init__(self, x):\n        self.client = redis.Redis()\n        self.own = x\n\n\n"
        "class A(Base):\n    def f(self, x):\n        client = redis.Redis()\n"
    )
    chain = chain_of(ast.parse(code, mode="eval").body)
    assert names.is_foreign(chain, ("app.py", "A.f")) is is_foreign


def test_handlers_of_tornado_render_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import tornado.web\n\n\ndef f(handler):\n    return handler.render_string('a.html')\n"
    assert ported(tmp_path / "a", capsys, text) == text
    assert "await" in ported(tmp_path / "b", capsys, text.replace("tornado.web", "torngas"))
