"""Expressions that are `str` in Python 3, where Python 2 may have had bytes. Begin with `text_calls`."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from torngas_aio.cli.port.edits import dotted
from torngas_aio.cli.port.kinds import VERBS

__all__ = ["TAKES_BYTES", "Told", "text_calls"]

BUILT = frozenset({
    "str", "unicode", "repr", "chr", "unichr", "input", "raw_input", "to_unicode", "native_str", "json.dumps",
    "os.getcwd", "os.getenv", "url_escape", "url_unescape", "xhtml_escape", "json_encode", "urlencode", "quote",
    "quote_plus", "unquote", "unquote_plus",
})  # fmt: skip
"""Functions that return text, by their full name or by the last part of it."""

METHODS = frozenset({
    "get_argument", "get_query_argument", "get_body_argument", "get_cookie", "reverse_url", "static_url", "hexdigest",
    "isoformat", "strftime", "format", "get_arguments", "get_query_arguments", "get_body_arguments",
})  # fmt: skip
"""Methods that return text or lists of it, whatever their object is."""

SAME = frozenset({
    "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "replace", "join", "split", "rsplit",
    "splitlines", "zfill", "read", "readline", "readlines", "get",
})  # fmt: skip
"""Methods that return text, or lists of it, where their object is text or a file opened as text."""

ATTRIBUTES = re.compile(
    r"(?:\brequest\.(?:uri|path|query|method|host|remote_ip|protocol|headers)|^sys\.argv|^os\.environ)$"
)
CODECS = frozenset({"hex", "base64", "bz2", "zip", "zlib", "rot13", "uu", "quopri", "string_escape", "string-escape"})
"""Codecs that `encode` and `decode` of Python 3 refuse."""

BYTES_ONLY = frozenset({
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "b64encode", "urlsafe_b64encode", "encodestring", "hexlify",
    "compress", "crc32", "adler32",
})  # fmt: skip
"""Functions that take no text."""

TAKES_BYTES = BYTES_ONLY | frozenset({
    "loads", "json_decode", "to_unicode", "native_str", "to_basestring", "utf8", "len", "bool", "write", "finish",
    "BytesIO", "fromstring", "b64decode", "parse_body_arguments", "parse_qs_bytes", "new", "update", "send", "sendall",
    "quote", "quote_plus", "compare_digest", "bytes", "bytearray", "fetch", "HTTPRequest", "decompress",
})  # fmt: skip
"""Functions that take bytes, or as well as text."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Names = dict[str, list[ast.AST]]
"""Name: all that it is given."""

Told = tuple[ast.AST, str, str]


def text_calls(tree: ast.Module) -> Iterator[Told]:
    """Yield the calls that take text for bytes or bytes for text, each with its code and what to do."""
    yield from _Scope(tree, {}).calls()


class _Scope:
    """One function, or the module's own code, and what its names are given."""

    def __init__(self, node: ast.Module | FunctionNode, outer: Names, *, is_verb: bool = False) -> None:
        self._own: list[ast.AST] = []
        self._inner: list[tuple[FunctionNode, bool]] = []
        self._known = set[str]()
        names: Names = defaultdict(list)
        if not isinstance(node, ast.Module):
            for each in [each for each in ast.walk(node.args) if isinstance(each, ast.arg)]:
                names[each.arg].append(ast.Constant("" if is_verb and each.arg != "self" else None))
        self._collect(node.body if isinstance(node.body, list) else [node.body], names)
        self._names = {**outer, **names}

    def calls(self) -> Iterator[Told]:
        """Yield the calls of the function and of those inside it."""
        calls = [node for node in self._own if isinstance(node, ast.Call)]
        taken = {id(each) for call in calls if dotted(call.func).rpartition(".")[2] in TAKES_BYTES
                 for each in [*call.args, *(key.value for key in call.keywords)]}  # fmt: skip
        for node in calls:
            name = dotted(node.func).rpartition(".")[2]
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("decode", "encode"):
                yield from self._codec_call(node, node.func, is_taken=id(node) in taken)
            elif name in BYTES_ONLY and node.args and not self._is_bytes(node.args[0]):
                yield node, "TGM310", f"{name}() takes bytes: give it `.encode()` of a text."
        for function, is_verb in self._inner:
            yield from _Scope(function, self._names, is_verb=is_verb).calls()

    def _codec_call(self, call: ast.Call, func: ast.Attribute, *, is_taken: bool) -> Iterator[Told]:
        if _codec(call) in CODECS:
            yield call, "TGM310", f"{_codec(call)!r} is no encoding of text in Python 3: use its module, or `codecs`."
        elif func.attr == "decode" and self._is_text(func.value):
            yield call, "TGM310", "This is text already: take the .decode() away."
        elif func.attr == "encode" and call.args and not is_taken and self._is_text(func.value):
            text = "This makes bytes of a text: take .encode(...) away, or write .encode() where bytes are wanted."
            yield call, "TGM301", text

    def _is_bytes(self, node: ast.AST) -> bool:
        if isinstance(node, ast.BinOp):
            return self._is_bytes(node.left) or self._is_bytes(node.right)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
            return name in ("encode", "read", "digest", "utf8", "urandom", "dumps", "bytes", "pack", "b64decode")
        if isinstance(node, ast.Name):
            values = self._names.get(node.id, [])
            return bool(values) and all(self._is_bytes(each) for each in values if dotted(each) != node.id)
        return isinstance(node, ast.Constant) and isinstance(node.value, bytes)

    def _collect(self, nodes: Iterable[ast.AST], names: Names, *, is_handler: bool = False) -> None:
        for node in nodes:
            if isinstance(node, FunctionNode):
                is_verb = is_handler and not isinstance(node, ast.Lambda) and node.name in VERBS
                self._inner.append((node, is_verb))
                continue
            self._own.append(node)
            for target, value in _bindings(node):
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                        names[name.id].append(value)
            is_class = isinstance(node, ast.ClassDef) and any(dotted(base).endswith("Handler") for base in node.bases)
            self._collect(ast.iter_child_nodes(node), names, is_handler=is_class)

    def _is_text(self, node: ast.AST) -> bool:  # noqa: PLR0911  one for each kind of node
        if isinstance(node, ast.Name):
            return self._is_text_name(node.id)
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str)
        if isinstance(node, ast.BinOp):
            return self._is_text(node.left) or (isinstance(node.op, ast.Add) and self._is_text(node.right))
        if isinstance(node, ast.BoolOp):
            return all(self._is_text(each) for each in node.values)
        if isinstance(node, ast.IfExp):
            return self._is_text(node.body) and self._is_text(node.orelse)
        if isinstance(node, ast.Subscript):
            return self._is_text(node.value)
        if isinstance(node, ast.Attribute):
            return ATTRIBUTES.search(dotted(node)) is not None
        return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Call) and self._is_text_call(node))

    def _is_text_name(self, name: str) -> bool:
        values = self._names.get(name, [])
        if name in self._known:  # `name = name.strip()`: as its other values are
            return True
        self._known.add(name)
        try:
            return bool(values) and all(self._is_text(each) for each in values)
        finally:
            self._known.discard(name)

    def _is_text_call(self, call: ast.Call) -> bool:
        name = dotted(call.func)
        last = name.rpartition(".")[2] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
        if name in ("open", "io.open", "codecs.open"):
            mode = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
            return not any(not isinstance(each, ast.Constant) or "b" in str(each.value) for each in mode)
        if name in BUILT or name.startswith("os.path."):
            return True
        if not isinstance(call.func, ast.Attribute):
            return False
        if last in SAME:
            return self._is_text(call.func.value)
        return last in BUILT | METHODS or (last == "decode" and (not call.args or _codec(call) != ""))


def _bindings(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield the targets that *node* gives a value, and the value; for loops, what they go through."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield node.target, node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr


def _codec(call: ast.Call) -> str:
    given = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "encoding")]
    value = given[0].value if given and isinstance(given[0], ast.Constant) else ""
    return value if isinstance(value, str) else ""
