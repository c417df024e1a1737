"""What Python 2 means is what the Python 3 text does."""

# ruff: noqa: E501  the texts of files
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.port.porting import contents, listed, port, ported
from tests.webserver.project import Project
from torngas_aio.cli.port.python2 import convert_source, version_of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("len(a) / 2", "len(a) // 2"),
        ("(len(a) + 1) / len(b)", "(len(a) + 1) // len(b)"),
        ("int(a) / -(3)", "int(a) // -(3)"),
        ("100 / len(a) / 2", "100 // len(a) // 2"),
        ("(a + b - 1) / b", "(a + b - 1) // b"),
        ("(a - 1) / b + 1", "(a - 1) // b + 1"),
        ("'%d.%02d' % (a / 100, b)", "'%d.%02d' % (a / 100, b)"),
        ("a / b + (1 if a % b else 0)", "a // b + (1 if a % b else 0)"),
        ("a.seconds / 60", "a.seconds // 60"),
        ("a.count('b') / 2", "a.count('b') // 2"),
        ("[c / 2 for c in range(9)]", "[c // 2 for c in range(9)]"),
        ("c[a / 2]", "c[a // 2]"),
        ("c[:a / 2]", "c[:a // 2]"),
        ("[c for c in range(a / 2)]", "[c for c in range(a // 2)]"),
        ("int(a / b)", "int(a / b)"),
        ("'%d' % (a / b)", "'%d' % (a / b)"),
        ("len(a) / 2.0", "len(a) / 2.0"),
        ("a / 2.0", "a / 2.0"),
        ("(time.time() - a) / b", "(time.time() - a) / b"),
        ("timeit.timeit(a) / b", "timeit.timeit(a) / b"),
    ],
)
def test_python_2_divides_integers_into_integers(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ported(tmp_path / "a", capsys, f"print 'é', {before}\n") == f"print('é', {after})\n"
    future = f"from __future__ import division\nprint 'é', {before}\n"
    assert ported(tmp_path / "b", capsys, future).lstrip() == f"print('é', {before})\n"
    assert ported(tmp_path / "c", capsys, f"x = {before}\n") == f"x = {before}\n"


def test_one_line_of_python_2_makes_a_file_python_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where Python 3 would read it, with another meaning."""
    before = "import sys\nprint >>sys.stderr, 'a'\n"
    assert ported(tmp_path, capsys, before) == "import sys\nprint('a', file=sys.stderr)\n"


@pytest.mark.parametrize(
    "statement", ["b = a / 2", "a /= 2", "if a / b:\n    c = 1", "def f(a):\n    return sum(a) / len(a)", "x = [y / 2\n     for y in z]"]
)  # fmt: skip
def test_a_division_of_what_is_not_known_is_marked_once(
    statement: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the files of a Python 2 project, also those that Python 3 reads."""
    project = Project(tmp_path)
    project.write("old.py", "print 1\n")
    project.write("app.py", f"{statement}\n")
    first = port(project, capsys)
    assert listed(first)[0].startswith(f"app.py:{1 + statement.startswith('def')}: TGM311")
    once = contents(tmp_path)
    assert once["app.py"].count("# TGM311: ") == 1
    assert listed(port(project, capsys)) == listed(first)
    assert contents(tmp_path) == once


def test_rounding_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Amounts of .5 are rounded otherwise now; digits after the point are for display."""
    project = Project(tmp_path)
    path = project.write(
        "app.py", "def f(x):\n    print x\n    return int(round(x)), round(x, 2)\n\n\ny = round(z, 1)\n"
    )
    assert [line.partition(" round(")[0] for line in listed(port(project, capsys))] == ["app.py:3: TGM311"]
    assert path.read_text().count("# TGM311: Python 2 rounded") == 1


def test_divisions_of_a_python_3_project_are_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("app.py", "b = a / 2\n")
    project.write("broken.py", "def (:\n")
    port(project, capsys)
    assert contents(tmp_path)["app.py"] == "b = a / 2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import sys\nreload(sys)\nsys.setdefaultencoding('utf-8')\nx = 1\n", "import sys\nx = 1\n"),
        ("import sys\nreload(sys); sys.setdefaultencoding('utf8')  # text\n", "import sys\n"),
        (
            "import sys\nif sys.getdefaultencoding() != 'utf-8':\n    reload(sys)\n    sys.setdefaultencoding('utf-8')\n",
            "import sys\nif sys.getdefaultencoding() != 'utf-8':\n    pass\n    pass\n",
        ),
        (
            "for a, b in c.d.items():\n    if b:\n        del c.d[a]\nprint 1\n",
            "for a, b in list(c.d.items()):\n    if b:\n        del c.d[a]\nprint(1)\n",
        ),
        ("for a in b.keys():\n    b.pop(a)\nprint 1\n", "for a in list(b.keys()):\n    b.pop(a)\nprint(1)\n"),
    ],
)  # fmt: skip
def test_what_python_3_refuses_when_it_runs_is_mended(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ported(tmp_path, capsys, before) == after


def test_names_that_are_keywords_now_get_another_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = "def send(op, async=False):\n    print 'async', op  # async\n    return send(1, async=op.await or async)\n"
    after = (
        "def send(op, async_=False):\n    print('async', op)  # async\n    return send(1, async_=op.await_ or async_)\n"
    )
    assert ported(tmp_path, capsys, before) == after


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nprint x y\n", "2: TGM101 Neither Python 3 nor 2 at `y`"),
        ("x = 1\n\ndef (:\n", "3: TGM101 Neither Python 3 nor 2 at `(`"),
        ("async def f(x):\n    return x y\n", "2: TGM101 Neither Python 3 nor 2 at `y`"),
        ("print 1\nTrue = 2\n", "2: TGM101 Neither Python 3 nor 2 at `True = 2`"),
    ],
)
def test_a_file_that_is_left_alone_is_told_with_the_place(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("app.py", text)
    (line,) = listed(port(project, capsys))
    assert line.startswith(f"app.py:{told}")


@pytest.mark.parametrize(
    ("text", "is_old"),
    [
        ("class A:\n    def __iter__(self):\n        return self\n\n    def next(self):\n        return 1\n", True),
        ("class A:\n    def __iter__(self):\n        yield 1\n\n    def next(self):\n        return 1\n", False),
        ("class A:\n    def __iter__(self):\n        return self\n\n    def __next__(self):\n        return 1\n\n    next = __next__\n", False),
        ("class A:\n    __metaclass__ = B\n", True),
        ("class A:\n    def __nonzero__(self):\n        return 1\n", True),
        ("class A:\n    def __bool__(self):\n        return 1\n\n    __nonzero__ = __bool__\n", False),
    ],
)  # fmt: skip
def test_a_class_for_python_2_tells_a_project_that_python_3_reads(text: str, is_old: bool) -> None:
    assert (version_of(text) == 2) is is_old


@pytest.mark.parametrize(
    ("code", "is_known"),
    [
        ("n = int(x)\n    n += 1\n    return n / 2", True),
        ("for n in range(9):\n        print n / 2", True),
        ("for n, y in enumerate(x):\n        print (n + 1) / 2", True),
        ("n = 1\n    m = n\n    return m / n", True),
        ("n = 1\n    n = x\n    return n / 2", False),
        ("for n, y in enumerate(x):\n        print y / 2", False),
        ("for n in x:\n        print n / 2", False),
        ("with x as n:\n        print n / 2", False),
        ("return x / 2", False),
    ],
)
def test_variables_that_are_given_integers_only_are_known(
    code: str, is_known: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"print 1\n\n\ndef f(x):\n    {code}\n")
    assert (re.search(r"// [2n]", made) is not None, "TGM311" in made) == (is_known, not is_known)


def test_a_file_that_only_python_3_reads_stays_in_a_project_of_python_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("old.py", "print 1\n")
    path = project.write("app.py", "print('a', file=b)\n")
    assert listed(port(project, capsys)) == []
    assert path.read_text() == "print('a', file=b)\n"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (
            "    def f(self):\n        return 1\n    __metaclass__ = M\n\n    def next(self):\n        return 1\n",
            "__next__",
        ),
        ('    """Text."""\n    a = 1\n    __metaclass__ = M\n', "Text"),
        ("    __metaclass__ = M\n    a = 1\n", "a"),
        ("    class B(object):\n        a = 1\n        __metaclass__ = M\n    a = 1\n    __metaclass__ = M\n", "B"),
    ],
)
def test_a_metaclass_may_stand_anywhere_in_its_class(body: str, kept: str) -> None:
    names: dict[str, Any] = {"M": type("M", (type,), {})}
    exec(convert_source(f"class A(object):\n{body}\nprint 1\n") or "", names)
    assert type(names["A"]) is names["M"]
    assert hasattr(names["A"], kept) or names["A"].__doc__ == "Text."
    assert kept != "B" or type(names["A"].B) is names["M"]


@pytest.mark.parametrize(
    ("head", "more", "is_hashable"),
    [
        ("class A(object):", "", True),
        ("class A:", "", True),
        ("class A(object):", "    def __eq__(self, other):\n        return self.x == other.x\n", False),
        ("class A(object):", "    def __hash__(self):\n        return self.x\n", True),
    ],
)
def test_objects_compare_as_they_did(head: str, more: str, is_hashable: bool) -> None:
    text = f"{head}\n    def __init__(self, x):\n        self.x = x\n    def __cmp__(self, other):\n        return cmp(self.x, other.x)\n{more}"
    made = convert_source(text)
    assert version_of(text) == 2
    assert made is not None
    assert version_of(made) != 2
    assert convert_source(made) == made
    names: dict[str, Any] = {}
    exec(made, names)
    a, b, c = map(names["A"], (1, 2, 1))
    assert a < b <= b
    assert b > a
    assert a == c != b
    assert max(a, b) is b
    assert [each.x for each in sorted([b, a])] == [1, 2]
    assert (names["A"].__hash__ is not None) == is_hashable


def test_tabs_count_to_the_next_multiple_of_eight() -> None:
    before = "def f(a):\n\tprint a\n        for b in a:\n  \t  print '''\n\tb'''\n"
    after = "def f(a):\n        print(a)\n        for b in a:\n          print('''\n\tb''')\n"
    assert convert_source(before) == after


def test_functions_of_urllib_are_found_under_another_name() -> None:
    made = convert_source("import urllib as u\nprint u.urlencode(a), u.urlopen(b)\n")
    assert str(made).endswith("print(urllib.parse.urlencode(a), urllib.request.urlopen(b))\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("print node.next", "print(node.next)"),
        ("print node.next.next.name", "print(node.next.next.name)"),
        ("print rows.next()", "print(next(rows))"),
        ("class A(object):\n    @property\n    def next(self):\n        print 1", "class A(object):\n    @property\n    def next(self):\n        print(1)"),
        ("class A(object):\n    def __iter__(self):\n        return self\n    def next(self):\n        print 1", "class A(object):\n    def __iter__(self):\n        return self\n    def __next__(self):\n        print(1)"),
    ],
)  # fmt: skip
def test_an_attribute_called_next_is_no_iterator(before: str, after: str) -> None:
    assert convert_source(f"{before}\n") == f"{after}\n"


OLD = "print 'old'\n"
BOTH = "import sys\n\nif sys.version_info[0] < 3:\n    text = unicode\nelse:\n    text = str\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (OLD, 2),
        ("x = {}.iteritems()\n", 2),
        ("x = 1\n", 0),
        ("try:\n    import cPickle as pickle\nexcept ImportError:\n    import pickle\n", 0),
        ("import sys\n\nassert sys.version_info >= (2, 6)\nx = unichr(1)\n", 2),
        (BOTH, 3),
        ("from six import u\n\nx = unicode\n", 3),
        ("try:\n    import urllib.parse as urlparse\nexcept ImportError:\n    import urlparse\n", 3),
        ("try:\n    from urllib import urlencode\nexcept ImportError:\n    from urllib.parse import urlencode\n", 3),
        ("try:\n    import Queue as queue\nexcept ImportError:\n    import queue\n", 3),
        ("class A(B):\n    def f(self):\n        super().f()\n", 3),
        ("def f(x: int):\n    pass\n", 3),
        ("def f(*, x):\n    pass\n", 3),
        ("def f():\n    yield from g()\n", 3),
    ],
)
def test_a_file_tells_for_which_python_it_is(text: str, version: int) -> None:
    assert version_of(text) == version
    assert version != 3 or convert_source(text) == text


def test_a_project_for_both_pythons_is_not_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    files = {
        "kit/__init__.py": "", "kit/compat.py": BOTH, "kit/fields.py": "import six\n\nx = six.u('a')\n",
        "kit/web.py": "from fields import x\n\nfor a in {}.items():\n    print(a, self.request.body)\n",
        "kit/old.py": OLD,
    }  # fmt: skip
    for path, text in files.items():
        project.write(path, text)
    port(project, capsys)
    assert contents(project.path) == files | {"kit/old.py": "print('old')\n"}


def test_imports_are_relative_in_projects_for_python_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    files = {
        "kit/__init__.py": "",
        "kit/fields.py": "x = 1\n",
        "kit/web.py": "from fields import x\nfrom fields.a import y\n",
    }
    for path, text in files.items():
        project.write(path, text)
    port(project, capsys)
    assert contents(project.path)["kit/web.py"] == "from .fields import x\nfrom fields.a import y\n"
    project.write(
        "kit/web.py", "from __future__ import (\n    print_function, absolute_import)\n\nfrom fields import x\n"
    )
    project.write("kit/old.py", OLD)
    port(project, capsys)
    assert contents(project.path)["kit/web.py"] == "from fields import x\n"


def test_a_project_that_imports_torngas_ran_in_python_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("app.py", "from torngas.handler import WebHandler\n")
    path = project.write("pages.py", "def f(pages):\n    return pages.keys()[len(pages) / 2]")
    port(project, capsys)
    assert path.read_text() == "def f(pages):\n    return list(pages.keys())[len(pages) // 2]"
    port(project, capsys)
    assert path.read_text() == "def f(pages):\n    return list(pages.keys())[len(pages) // 2]"
