"""What Python 3 has removed from the standard library, or made of bytes, is written for Python 3."""

# ruff: noqa: E501  the texts of files

import pytest

from tests.cli.port.porting import mended
from torngas_aio.cli.port.python2 import convert_source


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("raw_input, xrange, unichr", "input, range, chr"),
        ("a.iteritems, a.has_key", "a.items, a.__contains__"),
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
        ("map(None, *a)", "list(zip_longest(*a))"),
        ("hmac.new(a, msg=b, digestmod=c)", "hmac.new(utf8(a), msg=utf8(b), digestmod=c)"),
        ("a.translate(None, 'b')", 'a.translate(str.maketrans("", "", \'b\'))'),
        ("a.translate(b)", "a.translate(b)"),
        ("a.encode('hex')", "to_unicode(codecs.encode(utf8(a), 'hex'))"),
        ("a.decode('hex'), b.decode('zlib')", "codecs.decode(utf8(a), 'hex'), codecs.decode(utf8(b), 'zlib')"),
        ("a.decode('base64').split('|')", "to_unicode(codecs.decode(utf8(a), 'base64')).split('|')"),
        ("tuple(map(ord, a.decode('hex')))", "tuple(codecs.decode(utf8(a), 'hex'))"),
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
    assert convert_source(before) == after


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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("print ('%s' % a)", "print('%s' % a)"),
        ("print('%s' % a)", "print('%s' % a)"),
        ("print('a', b)", "print(('a', b))"),
    ],
)
def test_what_is_printed_has_no_parentheses_of_its_own(before: str, after: str) -> None:
    assert mended(f"{before}\nprint\n") == f"{after}\nprint()\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import itertools\nx = f(itertools.izip)\n", "x = f(zip)\n"),
        (
            "try:\n    from itertools import izip\nexcept ImportError:\n    izip = zip\nf(izip)\n",
            "try:\n    izip = zip\nexcept ImportError:\n    izip = zip\nf(izip)\n",
        ),
        (
            "try:\n    from itertools import imap as map, ifilter as f\nexcept ImportError:\n    pass\n",
            "try:\n    f = filter\nexcept ImportError:\n    pass\n",
        ),
    ],
)
def test_iterators_of_itertools_are_builtins(before: str, after: str) -> None:
    assert mended(before) == after
