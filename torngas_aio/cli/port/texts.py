"""Text and bytes in Python 3: edits of a Python 2 project.

x.decode("utf-8")           to_unicode(x)           works for text and bytes
x.encode("utf-8")           x                       unchanged if bytes are required
md5(x), b64encode(x)        md5(utf8(x)), native_str(b64encode(utf8(x)))
self.request.body           to_unicode(self.request.body), unless passed to a function of bytes
cmp=                        key=cmp_to_key(...)
"""

import ast
import re

from torngas_aio.cli.kinds import HOOKS
from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.syntax import FunctionNode, assigned_in, binds, dotted, last_name, loads_in, methods_of

__all__ = [
    "CODECS",
    "UTF8",
    "accepts_bytes",
    "as_bytes",
    "as_text",
    "codec_of",
    "is_bytes",
    "is_odd_codec",
    "mend_texts",
]

BYTES_ONLY = frozenset({
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "b64encode", "urlsafe_b64encode", "encodebytes",
    "decodebytes", "hexlify", "compress", "crc32", "adler32",
})  # fmt: skip
"""Functions that accept bytes only."""

BYTES_MODULES = {"hashlib", "base64", "binascii", "zlib", "bz2"}

ACCEPTS_BYTES = BYTES_ONLY | frozenset({
    "loads", "json_decode", "to_unicode", "native_str", "to_basestring", "utf8", "recursive_unicode", "len", "bool",
    "write", "finish", "BytesIO", "fromstring", "b64decode", "parse_body_arguments", "parse_qs_bytes", "new", "update",
    "send", "sendall", "quote", "quote_plus", "compare_digest", "bytes", "bytearray", "fetch", "HTTPRequest",
    "decompress", "isinstance", "encrypt", "decrypt", "sign", "pack", "unpack", "set_secure_cookie", "set_cookie",
})  # fmt: skip
"""Functions that accept bytes, or both bytes and text."""

ASCII = frozenset({"b64encode", "urlsafe_b64encode", "encodebytes", "hexlify"})
"""Functions that return ASCII text as bytes."""

UTF8 = frozenset({"", "utf-8", "utf8", "ascii"})
CODECS = frozenset({"hex", "base64", "bz2", "zip", "zlib", "rot13", "uu", "quopri", "string_escape", "string-escape"})
"""Codecs that `encode` and `decode` of Python 3 refuse."""

MAKES_BYTES = frozenset({"encode", "read", "digest", "utf8", "urandom", "dumps", "bytes", "pack", "b64decode"})
RETURNS_BYTES = frozenset({"get_secure_cookie", "check_output", "render_string"})
BYTES = re.compile(r"\.request\.(?:body|(?:body_|query_)?arguments)$|^response\.body$")
BINARY_FILE = re.compile(
    r"""\b(?:\w*TemporaryFile\((?!.*['"][rwa]\+?t?['"])|BytesIO\b|GzipFile|gzip\.|sock|makefile|Popen|stdin\b|wfile\b)"""
)
"""Source or name of a binary file, including temporary files not opened in text mode."""

CMP = "\n\ndef cmp(a, b):\n    return (a > b) - (a < b)\n"


def mend_texts(edits: Edits) -> None:
    """Add to *edits* the text handling of a file already converted to Python 3; repeat until nothing changes."""
    fetched = {name for name, value in assigned_in(edits.nodes) if "fetch(" in ast.unparse(value)}
    errors = {node.name for node in edits.nodes if isinstance(node, ast.ExceptHandler)} | {"value"}
    for node in reversed(edits.nodes):
        if isinstance(node, ast.Call):
            _mend_call(node, edits)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            _mend_name(node, edits, fetched, errors)
        elif isinstance(node, FunctionNode) and node.name in HOOKS:
            _mend_chunks(node, edits)
        elif isinstance(node, ast.ClassDef):
            _mend_str(node, edits)


def as_text(node: ast.AST, edits: Edits) -> None:
    """Convert *node* to text, unless its context accepts bytes."""
    if not accepts_bytes(node, edits):
        edits.call("tornado.escape.to_unicode", node)


def as_bytes(node: ast.AST, edits: Edits) -> None:
    """Convert *node* to bytes, unless it certainly is bytes."""
    if not is_bytes(node):
        edits.call("tornado.escape.utf8", node)


def _mend_name(node: ast.Name | ast.Attribute, edits: Edits, fetched: set[str], errors: set[str | None]) -> None:
    name = dotted(node)
    owner, _, last = name.rpartition(".")
    if last.endswith("arguments") and BYTES.search(name):  # request arguments: the keys are text
        if not accepts_bytes(node, edits) and not _is_membership_test(node, edits.parents[node]):
            edits.call("tornado.escape.recursive_unicode", node)
    elif BYTES.search(name) or (last == "body" and owner in fetched):
        as_text(node, edits)
    elif name == "cmp" and not binds(edits.tree, name):
        edits.add(CMP)
    elif last == "__unicode__":
        edits.replace(edits.span(node)[1] - len(last), edits.span(node)[1], "__str__")
    elif last == "message" and owner in errors:
        edits.replace(*edits.span(node), f'getattr({owner}, "message", str({owner}))')


def accepts_bytes(node: ast.AST, edits: Edits) -> bool:
    """Whether the context of *node* accepts bytes, with or without text."""
    parent = edits.parents[node]
    if isinstance(parent, ast.Call):
        return node is not parent.func and last_name(parent).removeprefix("escape_") in ACCEPTS_BYTES
    if isinstance(parent, ast.keyword):
        return accepts_bytes(parent, edits)
    if isinstance(parent, ast.Attribute):
        return parent.attr in ("decode", "encode", "keys", "has_key")
    if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
        loads = loads_in(edits.scope_of(parent), parent.targets[0].id)
        return bool(loads) and all(accepts_bytes(each, edits) for each in loads)
    if isinstance(parent, ast.Compare):
        return isinstance(parent.ops[0], ast.Is | ast.IsNot)
    is_test = isinstance(parent, ast.IfExp) and parent.test is node
    return is_test or isinstance(parent, ast.If | ast.While | ast.Expr | ast.UnaryOp)


def _is_membership_test(node: ast.AST, parent: ast.AST) -> bool:
    return isinstance(parent, ast.Compare) and isinstance(parent.ops[0], ast.In | ast.NotIn) and node is not parent.left


def is_odd_codec(call: ast.Call) -> bool:
    """Whether *call* is `encode` or `decode` with a codec that is not a text encoding in Python 3."""
    return last_name(call) in ("encode", "decode") and codec_of(call) in CODECS


def _mend_call(call: ast.Call, edits: Edits) -> None:
    name, func = last_name(call), call.func
    is_of_bytes = (edits.full_name(func) or dotted(func)).rpartition(".")[0] in BYTES_MODULES
    if name in ("decode", "encode") and isinstance(func, ast.Attribute) and codec_of(call) in UTF8:
        _mend_codec(call, func.value, edits)
    elif dotted(func) == "str" and len(call.args) == 2:
        edits.replace(*edits.span(func), edits.import_name("tornado.escape", "to_unicode"))
        edits.replace(edits.span(call.args[0])[1], edits.span(call.args[1])[1], "")
    elif name in BYTES_ONLY and call.args and is_of_bytes:
        as_bytes(call.args[0], edits)
    elif name in ("sort", "sorted"):
        _mend_sort(call, edits, is_method=name == "sort")
    elif dotted(func) == "string.join":
        separator = edits.source(call.args[1]) if len(call.args) > 1 else '" "'
        edits.replace(*edits.span(call), f"{separator}.join({edits.source(call.args[0])})")
    is_split = name in ("b64decode", "decodebytes") and isinstance(edits.parents[call], ast.Attribute)
    is_page = name == "render_string" and isinstance(edits.parents[call], ast.Return)
    if (name in ASCII and is_of_bytes) or (name in RETURNS_BYTES and not is_page) or is_split:
        as_text(call, edits)


def _mend_codec(call: ast.Call, value: ast.expr, edits: Edits) -> None:
    has_errors = len(call.args) > 1 or "errors" in {each.arg for each in call.keywords}
    if last_name(call) == "encode":
        if has_errors and codec_of(call) == "ascii":  # `errors` drops or replaces characters, so the call stays
            as_text(call, edits)
        elif (call.args or call.keywords) and not _wants_bytes(call, edits):
            edits.replace(edits.span(value)[1], edits.span(call)[1], "")
    elif dotted(value) != "codecs" and has_errors:
        as_bytes(value, edits)
    elif dotted(value) != "codecs":
        edits.wrap(call, f"{edits.import_name('tornado.escape', 'to_unicode')}(", "")
        edits.replace(edits.span(value)[1], edits.span(call)[1], ")")


def _mend_sort(call: ast.Call, edits: Edits, *, is_method: bool) -> None:
    given = [each for each in call.keywords if each.arg == "cmp"]
    compare = given[0].value if given else next(iter(call.args[0 if is_method else 1 :]), None)
    if compare is not None:
        start = edits.span(given[0])[0] if given else edits.span(compare)[0]
        edits.replace(start, edits.span(compare)[0], f"key={edits.import_name('functools', 'cmp_to_key')}(")
        edits.wrap(compare, "", ")")


def _wants_bytes(call: ast.Call, edits: Edits) -> bool:
    """Whether the context of *call*, an `encode`, requires bytes; a file opened in text mode does not."""
    parent = edits.parents[call]
    if isinstance(parent, ast.Call) and last_name(parent) == "write":
        owner = edits.value_of(parent.func.value) if isinstance(parent.func, ast.Attribute) else ""
        return BINARY_FILE.search(owner) is not None or re.search(r"""open\([^)\n]*['"]\w*b""", edits.text) is not None
    return accepts_bytes(call, edits)


def is_bytes(node: ast.AST) -> bool:
    """Whether *node* is certainly bytes."""
    if isinstance(node, ast.BinOp):
        return is_bytes(node.left) or is_bytes(node.right)
    if isinstance(node, ast.Call):
        return last_name(node).removeprefix("escape_") in MAKES_BYTES and not dotted(node.func).endswith("json.dumps")
    return isinstance(node, ast.Constant) and isinstance(node.value, bytes)


def _mend_chunks(hook: FunctionNode, edits: Edits) -> None:
    """Decode the parts of a response hook's `chunk`, which are bytes, when read; encode them when assigned."""
    nodes = list(ast.walk(hook))
    parts = {dotted(node.target.elts[-1] if isinstance(node.target, ast.Tuple) else node.target) for node in nodes
             if isinstance(node, ast.For | ast.comprehension) and "chunk" in ast.unparse(node.iter)} - {""}  # fmt: skip
    for node in reversed(nodes):
        if isinstance(node, ast.Call) and re.fullmatch(r"''\.join\(chunk\)", ast.unparse(node)):
            edits.replace(edits.span(node)[0], edits.span(node.args[0])[0], "b''.join(")
            as_text(node, edits)
            continue
        is_part = isinstance(node, ast.Subscript) and dotted(node.value) == "chunk"
        if not is_part and dotted(node) not in parts:
            continue
        parent = edits.parents[node]
        if isinstance(getattr(node, "ctx", None), ast.Load):
            if isinstance(parent, ast.Attribute | ast.BinOp | ast.Compare):
                as_text(node, edits)
            elif isinstance(parent, ast.Call) and ast.unparse(parent).endswith(", str)"):  # isinstance
                edits.replace(*edits.span(parent.args[1]), "(bytes, str)")
        elif isinstance(parent, ast.Assign | ast.AugAssign) and is_part:
            as_bytes(parent.value, edits)


def _mend_str(kind: ast.ClassDef, edits: Edits) -> None:
    """Rename `__unicode__` to `__str__`, and remove a `__str__` that only encoded it."""
    methods = methods_of(kind)
    text, old = methods.get("__unicode__"), methods.get("__str__")
    if text is not None:
        start = edits.text.index("__unicode__", edits.span(text)[0])
        edits.replace(start, start + len("__unicode__"), "__str__")
    if old is not None and (text is not None or re.search(r"return (str|unicode)\(self\)", edits.source(old))):
        is_alone = len(kind.body) == 1
        start = edits.span(old)[0] if is_alone else edits.line_start(edits.span(old)[0])
        end = edits.span(old)[1] + (not is_alone and edits.text[edits.span(old)[1] :].startswith("\n"))
        edits.replace(start, end, "pass" if is_alone else "")


def codec_of(call: ast.Call) -> str:
    """Return the encoding that *call* names, in lower case; "none" if it is computed, empty if it is not given."""
    given = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "encoding")]
    value = given[0].value if given and isinstance(given[0], ast.Constant) else None
    return str(value).lower() if given else ""
