"""What Python 2 did with text and bytes, Python 3 does after the conversion."""

# ruff: noqa: E501  the texts of files
import pytest

from torngas_aio.cli.port.python2 import convert_source, version_of


def mended(text: str) -> str:
    """Return what *text* of a Python 2 project becomes, without the imports that it needs for it."""
    made = convert_source(text)
    assert made is not None
    assert convert_source(made) == made, "a second time something else"
    return "".join(line for line in made.splitlines(keepends=True) if not line.startswith("from "))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = b.decode('utf-8')", "a = to_unicode(b)"),
        ("a = b.decode()", "a = to_unicode(b)"),
        ("a = b.decode(encoding='UTF8').strip()", "a = to_unicode(b).strip()"),
        ("a = b.decode('utf-8').decode('utf-8')", "a = to_unicode(to_unicode(b))"),
        ("a = [b.decode('utf-8') for b in c()]", "a = [to_unicode(b) for b in c()]"),
        ("a = unicode(b, 'utf-8')", "a = to_unicode(b)"),
        ("a = b.decode('gbk')", "a = b.decode('gbk')"),
        ("a = b.decode('utf-8', 'ignore')", "a = utf8(b).decode('utf-8', 'ignore')"),
        ("a = b.decode('utf-8', errors='replace')", "a = utf8(b).decode('utf-8', errors='replace')"),
        ("a = jwt.decode(b, key)", "a = jwt.decode(b, key)"),
        ("a = codecs.decode(b, 'hex')", "a = codecs.decode(b, 'hex')"),
    ],
)
def test_what_is_decoded_may_be_text_or_bytes(before: str, after: str) -> None:
    assert mended(f"{before}\n") == f"{after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = find(b.encode('utf-8'))", "a = find(b)"),
        ("a = '%s' % ','.join(b).encode('utf-8')", "a = '%s' % ','.join(b)"),
        ("a = b if c else d.encode('utf-8', 'ignore')", "a = b if c else d"),
        ("a = b.encode('ascii', 'ignore')", "a = to_unicode(b.encode('ascii', 'ignore'))"),
        ("with NamedTemporaryFile() as f:\n    f.write(a.encode('utf-8'))", "with NamedTemporaryFile() as f:\n    f.write(a.encode('utf-8'))"),
        ("with NamedTemporaryFile('w') as f:\n    f.write(a.encode('utf-8'))", "with NamedTemporaryFile('w') as f:\n    f.write(a)"),
        ("self.f = io.BytesIO()\nself.f.write(a.encode('utf-8'))", "self.f = io.BytesIO()\nself.f.write(a.encode('utf-8'))"),
        ("sys.stdout.write(a.encode('utf-8'))", "sys.stdout.write(a)"),
        ("def f(b):\n    a = b.encode('utf-8')\n    g('%s' % a)", "def f(b):\n    a = b\n    g('%s' % a)"),
        ("def f(b):\n    a = b.encode('utf-8')\n    c.sendall(a)", "def f(b):\n    a = b.encode('utf-8')\n    c.sendall(a)"),
        ("a = hmac.new(b.encode('utf-8'))", "a = hmac.new(b.encode('utf-8'))"),
        ("with open('a', 'w') as b:\n    b.write(c.encode('utf-8'))", "with open('a', 'w') as b:\n    b.write(c)"),
        ("with open('a', 'wb') as b:\n    b.write(c.encode('utf-8'))", "with open('a', 'wb') as b:\n    b.write(c.encode('utf-8'))"),
        ("a = find(b.encode('gbk'))", "a = find(b.encode('gbk'))"),
        ("a = find(b.encode())", "a = find(b.encode())"),
    ],
)  # fmt: skip
def test_text_stays_text_where_bytes_are_not_wanted(before: str, after: str) -> None:
    assert mended(f"{before}\n") == f"{after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hashlib.md5(a + 'b').hexdigest()", "hashlib.md5(utf8(a + 'b')).hexdigest()"),
        ("base64.b64encode(a)", "to_unicode(base64.b64encode(utf8(a)))"),
        ("base64.encodestring(a)", "to_unicode(base64.encodebytes(utf8(a)))"),
        ("base64.b64decode(a).split('|')", "to_unicode(base64.b64decode(a)).split('|')"),
        ("base64.b64decode(a)", "base64.b64decode(a)"),
        ("hashlib.sha1(open('a', 'rb').read())", "hashlib.sha1(open('a', 'rb').read())"),
        ("hashlib.sha1(b'a' + c)", "hashlib.sha1(b'a' + c)"),
        ("base64.decodestring(a).split('|')", "to_unicode(base64.decodebytes(utf8(a))).split('|')"),
        ("zlib.compress(json.dumps(a))", "zlib.compress(utf8(json.dumps(a)))"),
        ("own.compress(a)", "own.compress(a)"),
    ],
)
def test_functions_that_want_bytes_are_given_them(before: str, after: str) -> None:
    head = "import base64, hashlib, zlib\n"
    assert mended(f"{head}x = {before}\n") == f"{head}x = {after}\n"


def test_a_name_that_the_file_has_already_is_not_taken() -> None:
    made = mended("def to_unicode(a):\n    pass\nx = b.decode('utf-8').decode('utf-8')\n")
    assert made.endswith("x = escape_to_unicode(escape_to_unicode(b))\n")


def test_a_function_of_ones_own_is_not_that_of_the_library() -> None:
    assert mended("def md5(a):\n    pass\nmd5(b)\n") == "def md5(a):\n    pass\nmd5(b)\n"
    assert "md5(utf8(b))" in mended("from hashlib import md5\nmd5(b)\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("self.get_secure_cookie('a') == 'b'", "to_unicode(self.get_secure_cookie('a')) == 'b'"),
        ("self.get_secure_cookie('a') is None", "self.get_secure_cookie('a') is None"),
        ("self.get_secure_cookie('a').decode('utf-8')", "to_unicode(self.get_secure_cookie('a'))"),
        ("self.request.body.split(',')", "to_unicode(self.request.body).split(',')"),
        ("json.loads(self.request.body)", "json.loads(self.request.body)"),
        ("self.request.arguments['a'][0]", "recursive_unicode(self.request.arguments)['a'][0]"),
        ("'a' in self.request.arguments", "'a' in self.request.arguments"),
        ("subprocess.check_output(a).split('\\n')", "to_unicode(subprocess.check_output(a)).split('\\n')"),
    ],
)
def test_what_gives_bytes_is_made_text(before: str, after: str) -> None:
    assert mended(f"def f(self):\n    return {before}\n") == f"def f(self):\n    return {after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("body = self.request.body\n    pickle.loads(body)", "body = self.request.body\n    pickle.loads(body)"),
        ("body = self.request.body\n    g(body)", "body = to_unicode(self.request.body)\n    g(body)"),
        ("a = yield client.fetch(b)\n    g(a.body, c.body)", "a = yield client.fetch(b)\n    g(to_unicode(a.body), c.body)"),
    ],
)  # fmt: skip
def test_names_are_followed_in_their_function(before: str, after: str) -> None:
    assert mended(f"def f(self):\n    {before}\n") == f"def f(self):\n    {after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("chunk[0] = chunk[0].replace('a', 'b')", "chunk[0] = utf8(to_unicode(chunk[0]).replace('a', 'b'))"),
        ("chunk[0] += '<p>'", "chunk[0] += utf8('<p>')"),
        ("x = '<p>' in ''.join(chunk)", "x = '<p>' in to_unicode(b''.join(chunk))"),
        ("x = str(len(''.join(chunk)))", "x = str(len(b''.join(chunk)))"),
        ("x = isinstance(chunk[0], str)", "x = isinstance(chunk[0], (bytes, str))"),
        ("x = json.loads(''.join(chunk))", "x = json.loads(b''.join(chunk))"),
        ("handler.write(chunk[0] + '<p>')", "handler.write(to_unicode(chunk[0]) + '<p>')"),
        ("handler.set_header('X', str(len(chunk[0])))", "handler.set_header('X', str(len(chunk[0])))"),
        (
            "for i, part in enumerate(chunk):\n            chunk[i + 1] = part + '.'",
            "for i, part in enumerate(chunk):\n            chunk[i + 1] = utf8(to_unicode(part) + '.')",
        ),
    ],
)
def test_the_parts_of_a_response_are_read_as_text_and_written_as_bytes(before: str, after: str) -> None:
    head = "class A(object):\n    def process_response(self, handler, clear, chunk):\n        "
    assert mended(f"{head}{before}\n") == f"{head}{after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string.letters + b", "string.ascii_letters + b"),
        ("string.split(a, ',')", "str.split(a, ',')"),
        ("string.join(a)", '" ".join(a)'),
        ("string.join(a, b)", "b.join(a)"),
        ("file('a')", "open('a')"),
        ("sorted(a, cmp=b)", "sorted(a, key=cmp_to_key(b))"),
        ("sorted(a, b)", "sorted(a, key=cmp_to_key(b))"),
        ("a.sort(b)", "a.sort(key=cmp_to_key(b))"),
        ("sorted(a, key=len), b.sort()", "sorted(a, key=len), b.sort()"),
    ],
)
def test_names_that_python_3_has_removed_are_replaced(before: str, after: str) -> None:
    assert mended(f"import string\nx = {before}\n") == f"import string\nx = {after}\n"


def test_names_of_ones_own_stay() -> None:
    text = "def file(a, string):\n    return string.split(',')\n\n\nfile(1)\n"
    assert mended(text) == text
    text = "def cmp(a, b):\n    return 0\n\n\ncmp(1, 2)\n"
    assert mended(text) == text


def test_comparisons_and_messages_of_exceptions_keep_their_meaning() -> None:
    names: dict[str, object] = {}
    made = mended("try:\n    raise KeyError('a')\nexcept KeyError, e:\n    x = e.message, [cmp(2, 1), cmp(1, 1)]\n")
    exec(made, names)
    assert names["x"] == ("'a'", [1, 0])


@pytest.mark.parametrize("text", ["a.encode('hex')", "sorted(a, cmp=b)", "cmp(a, b)", "a.decode('rot13')"])
def test_what_only_python_2_has_tells_its_files(text: str) -> None:
    assert version_of(f"x = {text}\n") == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "class A(object):\n    def __unicode__(self):\n        return u'a'\n    def __str__(self):\n        return unicode(self).encode('utf-8')\n",
            "class A(object):\n    def __str__(self):\n        return 'a'\n",
        ),
        (
            "class A(object):\n    def __str__(self):\n        return unicode(self).encode('utf-8')\n    def b(self):\n        return self.__unicode__()\n",
            "class A(object):\n    def b(self):\n        return self.__str__()\n",
        ),
        ("class A(object):\n    def __str__(self):\n        return unicode(self)\n", "class A(object):\n    pass\n"),
        ("class A(object):\n    def __str__(self):\n        return self.a\n", "class A(object):\n    def __str__(self):\n        return self.a\n"),
    ],
)  # fmt: skip
def test_an_object_has_one_text(before: str, after: str) -> None:
    assert mended(before) == after


def test_helpers_between_text_and_bytes_go_on_to_help() -> None:
    names: dict[str, object] = {}
    made = convert_source(
        "def text(v):\n    if isinstance(v, unicode):\n        return v\n    if isinstance(v, str):\n"
        "        return v.decode('utf-8')\n    return unicode(v)\n\n\nx = [text('a'), text(b'b'), text(1)]\n"
        "\n\ndef to_unicode(v):\n    if isinstance(v, str):\n        return v.decode('utf-8')\n    return v\n\n\ny = to_unicode('a')\n"
    )
    assert made is not None
    exec(made, names)
    assert (names["x"], names["y"]) == (["a", "b", "1"], "a")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("w.writerow([a.b.encode('utf-8'), 1])", "w.writerow([a.b, 1])"),
        ("x = '%s %s' % (a.encode('utf-8'), b().encode('utf-8'))", "x = '%s %s' % (a, b())"),
        ("x = ', '.join(a.encode('utf-8') for a in b)", "x = ', '.join(a for a in b)"),
        ("x = a.render_string('b')\na.finish(x.replace('c', 'd'))", "x = to_unicode(a.render_string('b'))\na.finish(x.replace('c', 'd'))"),
        ("def f(a):\n    return a.render_string('b')", "def f(a):\n    return a.render_string('b')"),
        ("x = a.render_string('b')\na.finish(x)", "x = a.render_string('b')\na.finish(x)"),
    ],
)  # fmt: skip
def test_text_of_any_shape_stays_text(before: str, after: str) -> None:
    assert mended(f"{before}\n") == f"{after}\n"


def test_a_sum_of_the_parts_of_a_response_is_of_bytes() -> None:
    head = "import hashlib\nclass A(object):\n    def process_response(self, handler, clear, chunk):\n        x = "
    assert mended(f"{head}hashlib.md5(''.join(chunk))\n") == f"{head}hashlib.md5(utf8(b''.join(chunk)))\n"
