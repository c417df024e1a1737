"""What a file says: its imports, classes, functions, and the places that may have to await."""

import ast
import pickle

import pytest

from torngas_aio.cli.port.summary import Function, Module, summarize


def summary(text: str, path: str = "app.py", name: str = "app") -> Module:
    return summarize(ast.parse(text), path, name)


def forms(function: Function) -> list[tuple[str, str]]:
    """Return form and chain of each use, in the order of the text."""
    return [("".join(use.chain), use.form) for use in sorted(function.uses, key=lambda use: use.position)]


def test_functions_are_named_by_where_they_stand() -> None:
    module = summary(
        "def load():\n    def inner():\n        pass\n\n\nclass A(Base, x.Mixin):\n    b = c.d\n"
        "    async def get(self, name, *args, key=None, **more):\n        self.e = f\n"
        "    class B:\n        def g(self): pass\n"
    )
    assert set(module.functions) == {"", "load", "load.inner", "A.get", "B.g"}
    get = module.functions["A.get"]
    assert (get.owner, get.line, get.is_async) == ("A", 8, True)
    assert get.hidden == {"self", "name", "args", "key", "more"}
    kind = module.classes["A"]
    assert (kind.bases, kind.methods) == ([("Base",), ("x", ".Mixin")], {"get"})
    assert kind.attributes == {"b": ("", ("c", ".d")), "e": ("A.get", ("f",))}


def test_places_that_may_wait_are_told_with_their_form() -> None:
    module = summary(
        "def f(x):\n    a.b()\n    if 'k' in c: pass\n    with d.e(): pass\n"
        "    for g in h.i: pass\n    return x['j'].l(m())\n"
    )
    assert forms(module.functions["f"]) == [
        ("a.b()", "call"), ("c", "in"), ("d.e()", "with"), ("d.e()", "call"), ("h.i", "for"), ("x[].l()", "call"),
        ("m()", "call"),
    ]  # fmt: skip
    assert module.functions["f"].returned == ("x", "[]", ".l", "()")
    assert not module.functions[""].uses


@pytest.mark.parametrize(
    ("text", "blocker"),
    [
        ("lambda: f()", "a lambda cannot await"),
        ("(a for a in b if f())", "a generator expression that awaits"),
        ("[lambda: f() for a in b]", "a lambda cannot await"),
        ("[f() for a in b]", ""),
        ("(a for a in f())", ""),
        ("f()", ""),
    ],
)
def test_a_call_where_await_cannot_stand_says_why(text: str, blocker: str) -> None:
    (use,) = [use for use in summary(f"x = {text}\n").functions[""].uses if use.chain[0] == "f" and use.form == "call"]
    assert use.blocker.startswith(blocker)
    assert bool(use.blocker) == bool(blocker)


@pytest.mark.parametrize(
    ("text", "name", "blocker"),
    [
        ("class A:\n    def __init__(self): pass\n", "A.__init__", "`__init__` cannot be a coroutine function"),
        ("class A:\n    @property\n    def b(self): pass\n", "A.b", "a property cannot await"),
        ("class A:\n    @b.setter\n    def b(self): pass\n", "A.b", "a property cannot await"),
        ("class A:\n    @functools.cached_property\n    def b(self): pass\n", "A.b", "a property cannot await"),
        ("def f():\n    if a:\n        yield\n", "f", "a generator cannot await"),
        ("def f():\n    yield from g()\n", "f", "a generator cannot await"),
        ("def f():\n    def g():\n        yield\n", "f", ""),
        ("def f():\n    return lambda: (yield)\n", "f", ""),
        ("def __getattr__(name): pass\n", "__getattr__", ""),
    ],
)
def test_a_function_that_cannot_be_a_coroutine_function_says_why(text: str, name: str, blocker: str) -> None:
    assert summary(text).functions[name].blocker == blocker


@pytest.mark.parametrize(
    "text", ["await f()", "await gather(f(), g())", "run([f(), g()])", "wait({'a': f()})", "gather(*[f() for a in b])"]
)
def test_what_is_awaited_already_is_no_further_place(text: str) -> None:
    function = summary(f"async def h():\n    {text}\n").functions["h"]
    assert not [use for use in function.uses if use.chain == ("f", "()") and not use.is_awaited]


def test_an_argument_of_an_awaited_call_is_not_awaited_by_it() -> None:
    function = summary("async def h():\n    await f(g())\n").functions["h"]
    assert {use.chain[0]: use.is_awaited for use in function.uses} == {"f": True, "g": False}


@pytest.mark.parametrize(
    ("path", "name", "text", "imports", "stars"),
    [
        ("a/b.py", "a.b", "import os.path, x.y as z\n", {"os": "os", "z": "x.y"}, []),
        ("a/b.py", "a.b", "from c import d as e\n", {"e": "c.d"}, []),
        ("a/b.py", "a.b", "from . import c\nfrom .d import e\n", {"c": "a.c", "e": "a.d.e"}, []),
        ("a/b.py", "a.b", "from ..c import d\n", {"d": "c.d"}, []),
        ("a/__init__.py", "a", "from .c import *\nfrom d import *\n", {}, ["a.c", "d"]),
        ("b.py", "b", "from . import c\n", {"c": "c"}, []),
        ("b.py", "b", "from ..... import c\n", {"c": "c"}, []),
    ],
)
def test_imports_are_resolved_from_where_the_file_stands(
    path: str, name: str, text: str, imports: dict[str, str], stars: list[str]
) -> None:
    module = summary(text, path, name)
    assert (module.imports, module.stars) == (imports, stars)


def test_variables_keep_the_chains_that_they_were_given() -> None:
    function = summary("def f():\n    a = b.c()\n    a = d\n    e = e\n    g = 1\n").functions["f"]
    assert function.variables == {"a": [("b", ".c", "()"), ("d",)], "g": [()]}
    assert function.hidden == {"a", "e", "g"}


def test_names_that_are_given_away_are_told_with_whom_to() -> None:
    function = summary("sorted(a, key=load)\nx.add_callback(self.tick)\nf(1, 'b')\n").functions[""]
    assert set(function.passed) == {("sorted", ("a",)), ("sorted", ("load",)), ("add_callback", ("self", ".tick"))}


def test_a_summary_goes_to_another_process() -> None:
    module = summary("class A:\n    def b(self): return c['d'].e()\n")
    assert pickle.loads(pickle.dumps(module)) == module
