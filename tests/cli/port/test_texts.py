"""`.decode()` on text is found, and on what may be bytes it is not."""

import ast

import pytest

from torngas_aio.cli.port.texts import text_calls


def found(text: str) -> list[int]:
    """Return the lines of the calls that are found in *text*."""
    return [node.lineno for node, code, _ in text_calls(ast.parse(text)) if code == "TGM310"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "a = 'a'.decode('utf-8')",
        "a = ('%s' % 1).decode()",
        "a = ''.join(b).strip().decode('utf-8')",
        "a = f'{b}'.decode()",
        "a = ('b' if c else str(d)).decode()",
        "a = sys.argv[1].decode('utf-8')",
        "a = os.environ.get('A').decode('utf-8')",
        "a = os.path.join(b, 'c').decode('utf-8')",
        "a = open('b').read().decode('utf-8')",
        "a = hashlib.md5(b'b').hexdigest().decode('ascii')",
        "a = json.dumps(b).decode('utf-8')",
        "a = self.request.headers['A'].decode('latin-1')",
        "a = self.request.headers.get('A', '').decode('latin-1')",
        "a = self.get_body_argument('a', '').decode('utf-8')",
        "a = b.encode('utf-8').decode('utf-8').decode('utf-8')",
        "f = lambda self: self.get_argument('a').decode()",
        "a = b.encode('base64')",
        "a = b.decode('hex')",
        "a = b.decode(encoding='rot13')",
    ],
)
def test_text_that_is_decoded_is_found(text: str) -> None:
    assert found(text) == [1]


def test_names_are_followed_in_their_function() -> None:
    text = (
        "def f(self):\n    a = self.get_argument('a')\n    a = a.strip()\n    return a.decode('utf-8')\n\n\n"
        "def g(a):\n    with open(a) as b:\n        return [c.decode('utf-8') for c in b.read().split()]\n"
    )
    assert found(text) == [4, 9]


def test_arguments_of_a_path_are_text() -> None:
    text = (
        "class A(WebHandler):\n    def get(self, a):\n        a.decode()\n    def load(self, a):\n        a.decode()\n"
    )
    assert found(text) == [3]


@pytest.mark.parametrize(
    "text",
    [
        "a = self.get_secure_cookie('a').decode()",
        "a = self.request.body.decode()",
        "def f(self, a):\n    return a.decode('utf-8')",
        "def f(self):\n    a = self.get_argument('a').encode('utf-8')\n    return a.decode('utf-8')",
        "def f(self, b):\n    a = 'x'\n    a = b.read()\n    return a.decode('utf-8')",
        "a = open('a', 'rb').read().decode('utf-8')",
        "a = open('a', mode=b).read().decode('utf-8')",
        "a = b'a'.decode('utf-8')",
        "a = subprocess.check_output(['a']).strip().decode()",
        "a = 'a'.encode('utf-8')",
        "a = 'a'\n\n\ndef f(a):\n    return a.decode()",
        "a = jwt.decode(b, key)['c'].decode('utf-8')",
        "a = codecs.decode(b, 'hex')",
    ],
)
def test_bytes_may_be_decoded(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("a = hashlib.md5(self.get_argument('a')).hexdigest()", True),
        ("def f(a):\n    return hashlib.sha256('salt' + a)", True),
        ("a = base64.b64encode('%s' % b)", True),
        ("a = zlib.crc32(b)", True),
        ("a = hashlib.md5(b'a' + c).digest()", False),
        ("a = hashlib.md5(open('a', 'rb').read())", False),
        ("b = c.encode()\nd = b64encode(b)", False),
        ("a = sha1(utf8(b))", False),
    ],
)
def test_text_that_is_given_where_bytes_are_wanted_is_found(text: str, is_found: bool) -> None:
    assert bool(found(text)) is is_found


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("a = find(self.get_argument('a').encode('utf-8'))", True),
        ("def f(self):\n    a = self.get_argument('a').strip().encode('gbk')\n    self.write('hello %s' % a)", True),
        ("a = '%s' % ','.join(b).encode('utf-8')", True),
        ("a = hashlib.md5(self.get_argument('a').encode('utf-8'))", False),
        ("self.write('a'.encode('utf-8'))", False),
        ("a = find(self.get_argument('a').encode())", False),
        ("a = find(b.encode('utf-8'))", False),
    ],
)
def test_bytes_that_were_text_are_found(text: str, is_found: bool) -> None:
    codes = [code for _, code, _ in text_calls(ast.parse(text))]
    assert codes == (["TGM301"] if is_found else [])
