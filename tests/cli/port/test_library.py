"""What Python 3 has removed from the standard library, or made of bytes, is written for Python 3."""

# ruff: noqa: E501  the texts of files
import sys

import pytest

from torngas_aio.cli.port.python2 import converted


def mended(text: str) -> str:
    """Return what *text* of a Python 2 project becomes, without the imports at its head."""
    made = converted(text)
    assert made is not None
    assert converted(made) == made, "a second time something else"
    return "".join(line for line in made.splitlines(keepends=True) if not line.startswith(("import ", "from ")))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("json.dumps(a, encoding='utf-8', indent=1)", "json.dumps(a, indent=1)"),
        ("json.dumps(a, encoding='gbk')", "json.dumps(a)"),
        ("json.loads(a, encoding='UTF-8')", "json.loads(a)"),
        ("json.loads(a, 'utf8')", "json.loads(a)"),
        ("json.loads(a, encoding='gbk')", "json.loads(a.decode('gbk'))"),
        ("hmac.new(a, b).hexdigest()", 'hmac.new(utf8(a), utf8(b), digestmod="md5").hexdigest()'),
        ("hmac.new(a, b, hashlib.sha1)", "hmac.new(utf8(a), utf8(b), hashlib.sha1)"),
        ("hmac.new(b'a', digestmod=hashlib.sha1)", "hmac.new(b'a', digestmod=hashlib.sha1)"),
        ("cgi.escape(a), cgi.escape(a, True)", "html.escape(a, quote=False), html.escape(a, True)"),
        ("cgi.parse_qs(a)", "urllib.parse.parse_qs(a)"),
        ("inspect.getargspec(a).args", "inspect.getfullargspec(a).args"),
        ("inspect.getargspec(a)", "inspect.getfullargspec(a)[:4]"),
        ("isinstance(a, collections.Mapping)", "isinstance(a, collections.abc.Mapping)"),
        ("collections.OrderedDict(a)", "collections.OrderedDict(a)"),
        ("md5.new(a).hexdigest(), sha.new(a)", "hashlib.md5(utf8(a)).hexdigest(), hashlib.sha1(utf8(a))"),
        ("string.atoi(a), string.zfill(a, 3), string.join(a, '')", "int(a), str.zfill(a, 3), ''.join(a)"),
        ("isinstance(a, types.StringType), types.ListType", "isinstance(a, str), list"),
        ("isinstance(a, types.StringTypes), types.FunctionType", "isinstance(a, str), types.FunctionType"),
        ("map(None, a, b)", "list(zip_longest(a, b))"),
        ("map(None, a)", "list(a)"),
        ("a.translate(None, 'b')", 'a.translate(str.maketrans("", "", \'b\'))'),
        ("a.translate(b)", "a.translate(b)"),
        ("a.encode('hex')", "to_unicode(codecs.encode(utf8(a), 'hex'))"),
        ("a.decode('hex'), b.decode('zlib')", "codecs.decode(utf8(a), 'hex'), codecs.decode(utf8(b), 'zlib')"),
        ("a.decode('base64').split('|')", "to_unicode(codecs.decode(utf8(a), 'base64')).split('|')"),
        ("a.encode('rot13')", "codecs.encode(a, 'rot13')"),
        ("a.encode('string_escape')", "a.encode('string_escape')"),
    ],
)
def test_functions_that_have_changed(before: str, after: str) -> None:
    head = "import cgi, collections, hashlib, hmac, inspect, json, md5, sha, string, types\n"
    assert mended(f"{head}x = {before}\n") == f"x = {after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from collections import Mapping, OrderedDict\n", "from collections import OrderedDict\nfrom collections.abc import Mapping\n"),
        ("from md5 import md5 as m, new\n", "from hashlib import md5 as m, md5 as new\n"),
        ("from types import ListType\nx = ListType\n", "x = list\n"),
        ("from sets import Set, ImmutableSet as I\nx = Set([I()])\n", "x = set([frozenset()])\n"),
        ("import xml.etree.cElementTree as ET\n", "import xml.etree.ElementTree as ET\n"),
        ("from xml.etree import cElementTree as ET\n", "from xml.etree import ElementTree as ET\n"),
        ("import cgi\ncgi.FieldStorage()\n", "import cgi\ncgi.FieldStorage()\n"),
        ("import md5, os\n", "import os\n"),
        ("try:\n    import md5\nexcept ImportError:\n    x = 1\n", "try:\n    pass\nexcept ImportError:\n    x = 1\n"),
        ("def file(a):\n    return a\n\n\nfile(1)\n", "def file(a):\n    return a\n\n\nfile(1)\n"),
        ("class json:\n    pass\n\n\njson.loads(a, encoding=b)\n", "class json:\n    pass\n\n\njson.loads(a, encoding=b)\n"),
    ],
)  # fmt: skip
def test_imports_that_have_moved(before: str, after: str) -> None:
    assert converted(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pickle.load(open(p))", 'pickle.load(open(p, "rb"), encoding="utf-8")'),
        ("pickle.dump(a, open(p, 'w'))", "pickle.dump(a, open(p, 'wb'))"),
        ("pickle.loads(open(p).read())", 'pickle.loads(open(p, "rb").read(), encoding="utf-8")'),
        (
            "f = open(p, mode='a')\n    pickle.dump(1, f)\n    f.close()",
            "f = open(p, mode='ab')\n    pickle.dump(1, f)\n    f.close()",
        ),
        (
            "with open(p) as f:\n        return pickle.load(f)",
            'with open(p, "rb") as f:\n        return pickle.load(f, encoding="utf-8")',
        ),
        ("open(p).read().decode('gbk')", "open(p, \"rb\").read().decode('gbk')"),
        (
            "for a in open(p):\n        a = a.decode('gbk').strip()\n        g(a)",
            "for a in open(p, \"rb\"):\n        a = a.decode('gbk').strip()\n        g(a)",
        ),
        (
            "for a in open(p):\n        g(a.split(), a.decode('gbk'))",
            "for a in open(p):\n        g(a.split(), a.decode('gbk'))",
        ),
        ("open(p, 'w').write(a.encode('gbk'))", "open(p, 'wb').write(a.encode('gbk'))"),
        ("open(p).read().decode('utf-8')", "to_unicode(open(p).read())"),
        ("open(p, 'w').write(a.encode('utf-8'))", "open(p, 'w').write(a)"),
        ("open(p, m).write(a.encode('gbk'))", "open(p, m).write(a.encode('gbk'))"),
        (
            "with open(p, 'w') as f:\n        f.write('a')\n        pickle.dump(1, f)",
            "with open(p, 'w') as f:\n        f.write('a')\n        pickle.dump(1, f)",
        ),
        (
            "f = self.request.files['f'][0]\n    open(p, 'w').write(f['body'])",
            "f = self.request.files['f'][0]\n    open(p, 'wb').write(f['body'])",
        ),
        (
            "for f in self.request.files['f']:\n        f['body'].split('a')",
            "for f in self.request.files['f']:\n        to_unicode(f['body']).split('a')",
        ),
        ("a['body'].split('b')", "a['body'].split('b')"),
        (
            "f = open(p, 'w')\n    f.write(self.encode('utf-8'))\n    g(open(p, 'rb'))",
            "f = open(p, 'w')\n    f.write(self)\n    g(open(p, 'rb'))",
        ),
        (
            "f = open(p, 'wb')\n    f.write(self.encode('utf-8'))",
            "f = open(p, 'wb')\n    f.write(self.encode('utf-8'))",
        ),
        ("csv.reader(open(p, 'rb'))", "csv.reader(open(p, 'r', newline=\"\"))"),
        (
            "with open(p, mode='wb') as f:\n        csv.writer(f)",
            "with open(p, mode='w', newline=\"\") as f:\n        csv.writer(f)",
        ),
    ],
)
def test_files_of_bytes_are_opened_for_bytes(before: str, after: str) -> None:
    assert mended(f"import csv, pickle\ndef x(self, p):\n    {before}\n").endswith(f"def x(self, p):\n    {after}\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("struct.pack('>I', len(a)) + a", "struct.pack('>I', len(utf8(a))) + utf8(a)"),
        ("struct.pack('>I', len(a) + 2) + b'ab' + a", "struct.pack('>I', len(utf8(a)) + 2) + b'ab' + utf8(a)"),
        ("struct.pack('>I', 1) + json.dumps(a)", "struct.pack('>I', 1) + utf8(json.dumps(a))"),
        ("struct.pack('>I', n) + a", "struct.pack('>I', n) + a"),
        ("struct.unpack('>I', a[:4]), a[0] == '\\x00'", "struct.unpack('>I', a[:4]), a[0:1] == b'\\x00'"),
        ("struct.unpack('>I', a), ord(a[i])", "struct.unpack('>I', a), a[i]"),
        ("struct.unpack('>I', a), a[4:].split('|')", "struct.unpack('>I', a), to_unicode(a[4:]).split('|')"),
        ("struct.unpack('>I', a), a != 'q'", "struct.unpack('>I', a), a != b'q'"),
        ("b[0] == 'x', ord(b[0])", "b[0] == 'x', ord(b[0])"),
        ("b.read_until('\\n'), b.stream.write(a + '\\n')", "b.read_until(b'\\n'), b.stream.write(utf8(a + '\\n'))"),
    ],
)
def test_packed_protocols_are_of_bytes(before: str, after: str) -> None:
    assert mended(f"import struct\ndef x(a, b, i, n):\n    return {before}\n").endswith(f"\n    return {after}\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pages = A.Q.paginate(1)\n    return pages.next()", "pages = A.Q.paginate(1)\n    return pages.next()"),
        ("return A.Q.filter(x).paginate(page).next()", "return A.Q.filter(x).paginate(page).next()"),
        ("return x.next()", "return next(x)"),
    ],
)
def test_the_next_page_is_not_that_of_an_iterator(before: str, after: str) -> None:
    assert mended(f"def f(x):\n    {before}\n") == f"def f(x):\n    {after}\n"


def test_divisions_of_objects_are_those_of_python_3() -> None:
    text = "class A(object):\n    def __div__(self, o):\n        return 1\n\n    def __idiv__(self, o):\n        return 2\n"
    names: dict[str, type] = {}
    exec(mended(text), names)
    assert names["A"]() / 2 == 1
    both = "class A(object):\n    def __div__(self, o):\n        return 1\n\n    __truediv__ = __div__\n"
    assert mended(both) == both


GETSLICE = "    def __getslice__(self, a, b):\n        return [a, b]\n"
GETITEM = "    def __getitem__(self, n):\n        return n\n"
LEN = "    def __len__(self):\n        return 9\n"


@pytest.mark.parametrize(
    ("methods", "slices"),
    [
        (GETSLICE, [[2, 5], [2, sys.maxsize]]),
        (LEN + GETSLICE, [[2, 5], [2, 9]]),
        (GETSLICE + GETITEM + LEN, [[2, 5], [2, 9], 7]),
    ],
)
def test_slices_are_those_of_getslice(methods: str, slices: list[object]) -> None:
    names: dict[str, type] = {}
    exec("import sys\n" + mended("class A(object):\n" + methods), names)
    made = names["A"]()
    assert [made[2:5], made[2:], *([made[7]] if GETITEM in methods else [])] == slices
