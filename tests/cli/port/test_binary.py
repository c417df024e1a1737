"""Files, packets and codecs of bytes are read and written as bytes."""

import pytest

from tests.cli.port.porting import mended


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pickle.load(open(p))", 'pickle.load(open(p, "rb"), encoding="utf-8")'),
        ("pickle.dump(a, open(p, 'w'))", "pickle.dump(a, open(p, 'wb'))"),
        ("Image.open(open(p))", 'Image.open(open(p, "rb"))'),
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
    assert mended(f"import csv, pickle\nfrom PIL import Image\ndef x(self, p):\n    {before}\n").endswith(
        f"def x(self, p):\n    {after}\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("struct.pack('>I', len(a)) + a", "struct.pack('>I', len(utf8(a))) + utf8(a)"),
        ("struct.pack('>I', len(a) + 2) + b'ab' + a", "struct.pack('>I', len(utf8(a)) + 2) + b'ab' + utf8(a)"),
        ("struct.pack('>I', 1) + json.dumps(a)", "struct.pack('>I', 1) + utf8(json.dumps(a))"),
        ("struct.pack('>I', n) + a", "struct.pack('>I', n) + a"),
        ("struct.pack('<2H10sI', n, n, a, i)", "struct.pack('<2H10sI', n, n, utf8(a), i)"),
        ("struct.pack('4s', 'abcd'), struct.pack('xB', n)", "struct.pack('4s', utf8('abcd')), struct.pack('xB', n)"),
        ("struct.pack('H4s', *a)", "struct.pack('H4s', *a)"),
        ("struct.unpack('>I', a[:4]), a[0] == '\\x00'", "struct.unpack('>I', a[:4]), a[0:1] == b'\\x00'"),
        ("struct.unpack('>I', a), ord(a[i])", "struct.unpack('>I', a), a[i]"),
        ("struct.unpack('>I', a), a[4:].split('|')", "struct.unpack('>I', a), to_unicode(a[4:]).split('|')"),
        ("struct.unpack('>I', a), a != 'q'", "struct.unpack('>I', a), a != b'q'"),
        ("b[0] == 'x', ord(b[0])", "b[0] == 'x', ord(b[0])"),
        ("struct.unpack('>I', a), a == 'x' 'y'", "struct.unpack('>I', a), a == 'x' 'y'"),
        ("b.read_until('\\n'), b.stream.write(a + '\\n')", "b.read_until(b'\\n'), b.stream.write(utf8(a + '\\n'))"),
    ],
)
def test_packed_protocols_are_of_bytes(before: str, after: str) -> None:
    assert mended(f"import struct\ndef x(a, b, i, n):\n    return {before}\n").endswith(f"\n    return {after}\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Image.open(StringIO(a))", "Image.open(BytesIO(utf8(a)))"),
        (
            "b = StringIO()\n    image.save(b, 'PNG')\n    return b.getvalue()",
            "b = BytesIO()\n    image.save(b, 'PNG')\n    return b.getvalue()",
        ),
        ("gzip.GzipFile(fileobj=StringIO(a)).read()", "gzip.GzipFile(fileobj=BytesIO(utf8(a))).read()"),
        (
            "b = StringIO()\n    pickle.dump(a, b)\n    handler.write(b.read())",
            "b = BytesIO()\n    pickle.dump(a, b)\n    handler.write(b.read())",
        ),
        (
            "b = StringIO(handler.request.files['a'][0]['body'])\n    b.seek(0)",
            "b = BytesIO(utf8(handler.request.files['a'][0]['body']))\n    b.seek(0)",
        ),
        (
            "b = StringIO()\n    b.write(a)\n    return b.getvalue()",
            "b = StringIO()\n    b.write(a)\n    return b.getvalue()",
        ),
        ("b = StringIO()\n    csv.writer(b)", "b = StringIO()\n    csv.writer(b)"),
    ],
)
def test_a_buffer_of_bytes_takes_bytes(before: str, after: str) -> None:
    head = "def f(handler, image, a):\n    "
    assert (
        mended(
            f"import csv, gzip, pickle\nfrom PIL import Image\nfrom StringIO import StringIO\n\n\n{head}{before}\n"
        ).lstrip()
        == f"{head}{after}\n"
    )


@pytest.mark.parametrize(("base", "mode"), [("web.RequestHandler", ', "rb"'), ("object", "")])
def test_a_file_that_a_handler_sends_is_read_as_bytes(base: str, mode: str) -> None:
    head = "class A({}):\n    def get(self):\n        print(1)\n"
    text = head + "        with open(p{}) as f:\n            self.write(f.read())\n"
    made = mended(text.replace("print(1)", "print 1").format(base, ""))
    assert made == text.format(base, mode)
