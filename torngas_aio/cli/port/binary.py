r"""Files, packets and codecs that use bytes in Python 3: edits of a Python 2 project.

open(path).read().decode("gbk")     open(path, "rb").read().decode("gbk")
buf[0] == '\0'                      buf[0:1] == b'\0', if buf is passed to struct.unpack
text.encode("hex")                  to_unicode(codecs.encode(utf8(text), "hex"))
"""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.syntax import binds, called, dotted, last_name, loads_in, nodes_of, text_of
from torngas_aio.cli.port.texts import CODECS, UTF8, accepts_bytes, as_bytes, codec_of, is_bytes, is_odd_codec

__all__ = ["ESCAPES", "mend_binary"]

ESCAPES = {"string_escape", "string-escape"}
"""Codecs without a replacement."""

BINARY = {
    "Image.open", "PIL.Image.open", "gzip.GzipFile", "marshal.dump", "marshal.load", "pickle.Pickler",
    "pickle.Unpickler", "pickle.dump", "pickle.load", "tarfile.open", "zipfile.ZipFile",
}  # fmt: skip
"""Functions that accept a binary file."""

ACCEPTS_BYTES = {"pickle.loads", "marshal.loads", "struct.unpack", "hashlib.md5", "hashlib.sha1", "base64.b64encode"}
"""Functions that accept the content of a binary file."""

CSV = {"csv.reader", "csv.writer", "csv.DictReader", "csv.DictWriter"}
"""Functions that accept a text file."""

NEUTRAL = {"close", "flush", "seek", "tell", "fileno", "flock", "getvalue", "lockf", "name", "closed", "truncate"}
"""Operations on text files and binary files alike."""

TEXT_METHODS = {name for name in dir(str) if name[0] != "_"} - {"encode"}


def mend_binary(edits: Edits) -> None:
    """Add to *edits* the bytes handling of a file already converted to Python 3; repeat until nothing changes."""
    _Mender(edits).run()


class _Mender:
    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._unpacked: set[tuple[ast.AST, str]] = set()

    def run(self) -> None:
        for node in reversed(self._edits.nodes):
            if isinstance(node, ast.Call):
                self._mend_call(node, self._edits.full_name(node.func))
            elif isinstance(node, ast.Subscript) and self._is_upload(node) and self._is_read_as_text(node):
                self._edits.call("tornado.escape.to_unicode", node)

    def _mend_call(self, call: ast.Call, name: str) -> None:
        edits = self._edits
        if name in ("open", "file") and self._edits.is_free(name):
            self._mend_open(call)
        elif name == "io.StringIO":
            self._mend_buffer(call)
        elif name == "struct.pack" and call.args:
            self._mend_packed(call)
        elif name == "struct.unpack" and call.args:
            self._mend_unpacked(call)
        elif is_odd_codec(call) and codec_of(call) not in ESCAPES and isinstance(call.func, ast.Attribute):
            self._mend_codec(call, call.func.value)
        elif last_name(call) in ("read_until", "read_until_regex") and call.args and _is_ascii(call.args[0]):
            edits.wrap(call.args[0], "b", "")
        elif dotted(call.func).lower().endswith("stream.write") and call.args:
            as_bytes(call.args[0], edits)

    def _mend_codec(self, call: ast.Call, value: ast.expr) -> None:
        """Call `codecs` for a codec that is not a text encoding; it accepts and returns bytes."""
        edits, codec, is_encoding = self._edits, codec_of(call), last_name(call) == "encode"
        is_text = codec == "rot13"
        head = "" if is_text or is_bytes(value) else f"{edits.import_name('tornado.escape', 'utf8')}("
        is_read = (is_encoding and codec in ("hex", "base64")) or self._is_read_as_text(call)
        maker = f"{edits.import_name('tornado.escape', 'to_unicode')}(" if is_read and not is_text else ""
        edits.wrap(value, f"{maker}{edits.import_name('codecs')}.{last_name(call)}({head}", "")
        end = f"{')' if head else ''}, {codec!r}){')' if maker else ''}"
        edits.replace(edits.span(value)[1], edits.span(call)[1], end)
        parent = edits.parents[call]
        is_mapped = isinstance(parent, ast.Call) and ast.unparse(parent).startswith("map(ord, ")
        if is_mapped and not maker:
            edits.replace(edits.span(parent)[0], edits.span(call)[0], "")  # iterating bytes yields integers
            edits.replace(edits.span(call)[1], edits.span(parent)[1], "")

    def _mend_open(self, call: ast.Call) -> None:
        """Open a file in binary mode if it is used for bytes only, in text mode if `csv` reads or writes it."""
        keywords = {each.arg: each.value for each in call.keywords}
        mode = keywords.pop("mode", [*call.args, None, None][1])
        value = mode.value if isinstance(mode, ast.Constant) else "" if mode is None else None
        if keywords or not call.args or not isinstance(value, str):
            return
        loads = self._loads_of(call)
        if mode is not None and "b" in value:
            parents = [self._edits.parents[each] for each in loads]
            if any(isinstance(each, ast.Call) and self._edits.full_name(each.func) in CSV for each in parents):
                self._edits.replace(*self._edits.span(mode), repr(value.replace("b", "")))
                self._edits.insert_argument(call, 'newline=""')
            return
        uses = {self._is_use_of_bytes(each) for each in loads}
        if True not in uses or False in uses:
            for each in loads:
                self._write_text(each)
        elif mode is not None:
            end = self._edits.span(mode)[1] - 1
            self._edits.replace(end, end, "b")
        else:
            self._edits.wrap(call.args[0], "", ', "rb"')

    def _mend_buffer(self, call: ast.Call) -> None:
        """Use `BytesIO` for a buffer that receives an upload, or is passed to code that reads or writes bytes."""
        uses = {self._is_use_of_bytes(each) for each in self._loads_of(call)}
        is_upload = any(isinstance(each, ast.Subscript) and self._is_upload(each) for each in call.args)
        if False not in uses and (True in uses or is_upload):
            self._edits.replace(*self._edits.span(call.func), self._edits.import_name("io", "BytesIO"))
            for each in call.args:
                as_bytes(each, self._edits)

    def _write_text(self, file: ast.AST) -> None:
        """Remove the UTF-8 encoding from writes to *file*, which is open in text mode."""
        method = self._edits.parents[file]
        call = self._edits.parents[method]
        if not isinstance(method, ast.Attribute) or method.attr != "write" or not isinstance(call, ast.Call):
            return
        for each in call.args:
            encode = each.func if isinstance(each, ast.Call) and codec_of(each) in UTF8 else None
            if isinstance(encode, ast.Attribute) and encode.attr == "encode":
                self._edits.replace(self._edits.span(encode.value)[1], self._edits.span(each)[1], "")

    def _loads_of(self, call: ast.Call) -> Sequence[ast.AST]:
        """Return the uses of the result of *call*: the call itself, or the loads of the name that it is assigned to."""
        parent = self._edits.parents[call]
        target = parent.optional_vars if isinstance(parent, ast.withitem) else None
        target = parent.targets[0] if isinstance(parent, ast.Assign) else target
        return loads_in(self._edits.scope_of(call), target.id) if isinstance(target, ast.Name) else [call]

    def _is_use_of_bytes(self, node: ast.AST) -> bool | None:
        """Whether the file *node* is used for bytes; None if both text and bytes work."""
        parent = self._edits.parents[node]
        parent = self._edits.parents[parent] if isinstance(parent, ast.keyword) else parent
        if isinstance(parent, ast.Call):
            is_binary = self._edits.full_name(parent.func) in BINARY or last_name(parent) == "save"
            return is_binary or (None if last_name(parent) in NEUTRAL else False)
        if isinstance(parent, ast.For) and isinstance(parent.target, ast.Name):
            loads, begin = loads_in(parent, parent.target.id), parent.body[0]
            is_all = len(loads) == 1 or binds(begin, parent.target.id)
            return bool(loads) and is_all and loads[0] in ast.walk(begin) and self._is_decoded(loads[0])
        call = self._edits.parents.get(parent)
        if isinstance(parent, ast.Attribute) and isinstance(call, ast.Call) and parent.attr == "write":
            return bool(call.args) and self._is_written_as_bytes(call.args[0])
        if isinstance(parent, ast.Attribute) and isinstance(call, ast.Call) and parent.attr in ("read", "readline"):
            outer = self._edits.parents[call]
            is_given = isinstance(outer, ast.Call) and self._edits.full_name(outer.func) in ACCEPTS_BYTES
            return (
                is_given
                or self._is_response(outer)
                or self._is_decoded(call)
                or (None if accepts_bytes(call, self._edits) else False)
            )
        return None if isinstance(parent, ast.Attribute) and parent.attr in NEUTRAL else False

    def _is_response(self, call: ast.AST) -> bool:
        """Whether *call* writes its argument to a response, which may be of any content type."""
        node = call
        while node in self._edits.parents and not isinstance(node, ast.ClassDef):
            node = self._edits.parents[node]
        bases = map(dotted, node.bases) if isinstance(node, ast.ClassDef) else ()
        return called(call) in ("self.write", "self.finish") and any(each.endswith("Handler") for each in bases)

    def _is_decoded(self, node: ast.AST) -> bool:
        """Whether *node* is decoded from an encoding other than UTF-8."""
        parent = self._edits.parents[node]
        call = self._edits.parents[parent] if isinstance(parent, ast.Attribute) and parent.attr == "decode" else None
        return isinstance(call, ast.Call) and codec_of(call) not in UTF8 | CODECS

    def _is_written_as_bytes(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return last_name(node) == "encode" and codec_of(node) not in UTF8 | CODECS
        return isinstance(node, ast.Subscript) and self._is_upload(node)

    def _is_upload(self, node: ast.Subscript) -> bool:
        is_body = isinstance(node.slice, ast.Constant) and node.slice.value == "body"
        return is_body and "request.files" in self._edits.value_of(node.value)

    def _is_read_as_text(self, node: ast.AST) -> bool:
        parent = self._edits.parents[node]
        return isinstance(parent, ast.Attribute) and parent.attr in TEXT_METHODS

    def _mend_packed(self, call: ast.Call) -> None:
        """Concatenate bytes to the result of *call*, and pack lengths in bytes, not in characters."""
        for each in _packed_texts(call):
            as_bytes(each, self._edits)
        node: ast.AST = call
        while isinstance(self._edits.parents[node], ast.BinOp):
            node = self._edits.parents[node]
        texts = {self._edits.source(each): each for each in _summands(node) if not (is_bytes(each) or each is call)}
        lengths = [each for argument in call.args[1:] for each in nodes_of(argument, ast.Call)]
        counted = [each.args[0] for each in lengths if called(each) == "len" and each.args]
        known = [each for each in counted if self._edits.source(each) in texts]
        if known or all(isinstance(each, ast.Constant) for each in call.args):
            for each in [*texts.values(), *known]:
                as_bytes(each, self._edits)

    def _mend_unpacked(self, call: ast.Call) -> None:
        """Treat the name that *call* unpacks as bytes throughout its function."""
        edits, scope, given = self._edits, self._edits.scope_of(call), call.args[-1]
        name = dotted(given.value if isinstance(given, ast.Subscript) else given)
        loads = [] if (scope, name) in self._unpacked else loads_in(scope, name)
        self._unpacked.add((scope, name))
        for node in loads:
            parent = self._edits.parents[node]
            part, index = (parent, parent.slice) if isinstance(parent, ast.Subscript) else (node, None)
            outer = self._edits.parents[part]
            is_one = index is not None and not isinstance(index, ast.Slice)
            if isinstance(outer, ast.Compare) and (not is_one or isinstance(index, ast.Constant)):
                for each in [each for each in [outer.left, *outer.comparators] if _is_ascii(each)]:
                    edits.wrap(each, "b", "")
                    if isinstance(index, ast.Constant) and isinstance(index.value, int):
                        edits.replace(*edits.span(index), f"{index.value}:{index.value + 1}")
            elif is_one and called(outer) == "ord":
                edits.replace(*edits.span(outer), edits.source(part))
            elif not is_one and self._is_read_as_text(part):
                edits.call("tornado.escape.to_unicode", part)


def _packed_texts(call: ast.Call) -> Iterator[ast.expr]:
    """Yield the arguments of *call* whose format is `s` or `p`: these must be bytes."""
    values = iter(call.args[1:])
    for count, code in re.findall(r"(\d*)([a-zA-Z?])", text_of(call.args[0])):
        taken = list(islice(values, 1 if code in "sp" else 0 if code == "x" else int(count or 1)))
        if any(isinstance(each, ast.Starred) for each in taken):
            return
        yield from taken if code in "sp" else ()


def _summands(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the operands of the sum *node*."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _summands(node.left)
        yield from _summands(node.right)
    elif isinstance(node, ast.expr):
        yield node


def _is_ascii(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isascii()
