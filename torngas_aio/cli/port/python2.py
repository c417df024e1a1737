"""Detection of Python 2 source, and its conversion to Python 3."""

import ast
import importlib
import re
import warnings
from collections import Counter, defaultdict
from functools import cache
from typing import Protocol

from torngas_aio.cli.port import syntax
from torngas_aio.cli.port.binary import ESCAPES, mend_binary
from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.library import mend_library
from torngas_aio.cli.port.syntax import FunctionNode, called, dotted, last_name, nodes_of
from torngas_aio.cli.port.texts import codec_of, is_odd_codec, mend_texts

__all__ = ["STRING", "convert_source", "find_syntax_error", "futures_of", "parse", "version_of"]

NAMES = {"unicode", "xrange", "basestring", "long", "raw_input", "unichr", "reduce", "execfile", "cmp"}
METHODS = {"iteritems", "itervalues", "iterkeys", "viewitems", "viewkeys", "viewvalues", "setdefaultencoding"}
MODULES = {
    "urllib2", "urlparse", "ConfigParser", "Queue", "cPickle", "StringIO", "cStringIO", "httplib", "Cookie",
    "HTMLParser", "__builtin__", "commands", "thread", "SocketServer", "BaseHTTPServer", "cookielib", "xmlrpclib",
}  # fmt: skip
OLD = {"__cmp__": "__lt__", "__metaclass__": "", "__nonzero__": "__bool__", "next": "__next__"}
"""Special names of Python 2 in a class: their name in Python 3."""

FUTURES = re.compile(r"(?m)^from __future__ import ([^\n(]*|\([^)]*\)[^\n]*)\n")
"""Imports from `__future__`, which are needless in Python 3, and a syntax error below other statements."""

ENCODING_LINES = re.compile(
    r"(?m)^([ \t]*)(?:(?:reload\(sys\)|sys\.setdefaultencoding\([^)\n]*\))[ \t]*;?[ \t]*)+(?:#.*)?\n"
)
ITERTOOL = r"i(map|zip|filter)( as \w+)?"
ITERTOOLS = re.compile(rf"(?m)^([ \t]+)from itertools import ((?:{ITERTOOL}(?:,[ ]*|[ ]*(?=\n)))+)\n")
"""Indented imports that fissix removes, which would leave an empty block."""

ISINSTANCE = re.compile(r"isinstance\((\w+), str\)")
DIVISION_COMMENT = "# TGM311: Python 2 divided integers into integers. Write // for that; delete this comment.\n"
ROUND_COMMENT = "# TGM311: Python 2 rounded .5 away from zero, not to the even number. Delete this comment.\n"
PYTHON3 = ast.AsyncFunctionDef | ast.JoinedStr | ast.AnnAssign | ast.Nonlocal | ast.Await | ast.YieldFrom
NEW_IMPORT = re.compile(
    r"(?m)^[ ]+(?:import|from) (?:_thread|builtins|configparser|html|http|queue|socketserver|xmlrpc|urllib\.\w+)\b"
)
FOR_BOTH = re.compile(
    r"(?m)^[ \t]*(?:import|from) six\b|^from __future__ import annotations|\bPY[23]\b"
    r"|\bversion_info(?:\[0\]|\.major)?[ ]*[<>=!]+[ ]*(?:2\b|\(?3\b)"
)
"""Signs that a file supports both Pythons, such as a test of the version."""

METACLASS = re.compile(
    r"(?m)^(?P<head>(?P<indent>[ \t]*)class\b[^\n]*:[ \t]*\n)"
    r"(?P<body>(?P<inner>(?P=indent)[ \t]+)(?!__metaclass__)\S[^\n]*\n(?:(?:(?P=indent)[ \t][^\n]*)?\n)*?)"
    r"(?P<line>(?P=inner)__metaclass__[ \t]*=[^\n]*\n)"
)
STRING = r"""(?s:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
KEYWORDS = re.compile(rf"{STRING}|#[^\n]*|\b(async|await|nonlocal)\b")
"""Names that are keywords in Python 3, as in `send(async=True)`."""

NEXT = re.compile(r"(\.(?=next\b(?!\())|@\w*property\n[ \t]*def )next\b")
"""Attributes and properties named `next`, which fissix mistakes for an iterator's method."""

INDENTS = re.compile(rf"{STRING}|#[^\n]*|(?m:^)( *\t[ \t]*)")
"""Tabs at the beginning of a line, which Python 2 expanded to the next multiple of 8."""

FLOATS = {"Path", "ceil", "float", "perf_counter", "random", "sqrt", "time", "timeit", "total_seconds"}
"""Functions that returned floats in Python 2, or return a path, for which `/` is defined."""

ROUNDS = 3
"""Passes over a file: a replacement inside another one is made in the next pass."""

LEFT_OUT = ("fix_idioms", "fix_buffer", "fix_future", "fix_set_literal", "fix_ws_comma", "fix_import", "fix_types")
"""Fixers for style only, and those whose work `rewriting` (relative imports) and `library` (`types`) do."""


class _Tool(Protocol):
    """The part of fissix, which is untyped, that is used here."""

    def refactor_string(self, data: str, name: str) -> object: ...


def parse(text: str) -> ast.Module | None:
    """Return the syntax tree of Python 3 source; None for anything else."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def version_of(text: str) -> int:
    """Return 2 for source of Python 2 only, 3 for Python 3 or both, 0 if that is undetermined."""
    tree = parse(text)
    if tree is None:
        return 2 if _refactor(text) is not None else 0
    if _is_python3(tree, text):
        return 3
    return 2 if _has_python2(tree) or _has_old_classes(tree) else 0


def futures_of(text: str) -> str:
    """Return the names that *text* imports from `__future__`, joined, with their commas and parentheses."""
    return " ".join(FUTURES.findall(text))


def convert_source(text: str) -> str | None:
    """Return Python 3 source for *text* of a Python 2 project, None if it cannot be parsed."""
    tree = parse(text)
    if tree is not None and (not tree.body or _is_python3(tree, text)):
        return text
    has_division = "division" in futures_of(text)
    text = ENCODING_LINES.sub(lambda found: f"{found[1]}pass\n" if found[1] else "", text)
    text = ITERTOOLS.sub(lambda found: f"{found[1]}{_builtins_for(found[2])}\n", text)
    helped = {name for each in re.findall(r"isinstance\((\w+), unicode\)|\b(\w+)\.decode\(", text) for name in each}
    text = ISINSTANCE.sub(
        lambda found: f"isinstance({found[1]}, (bytes, str))" if found[1] in helped else found[0], text
    )
    made = _refactor(NEXT.sub(r"\1__own__next", _move_metaclasses(text)))
    made = FUTURES.sub("", (made or ("" if tree is None else text)).replace("__own__next", "next"))
    made = made if text.startswith("\n") else made.lstrip("\n")
    if parse(made) is None:
        made = KEYWORDS.sub(lambda found: f"{found[1]}_" if found[1] else found[0], made)
    if parse(made) is None:
        made = INDENTS.sub(lambda found: found[1].expandtabs(8) if found[1] else found[0], made)
    if (tree := parse(made) if made else None) is None:
        return None
    for mend in [*[mend_library, mend_binary, mend_texts] * ROUNDS, *([] if has_division else [_divide_integers])]:
        edits = Edits(made, tree)
        mend(edits)
        if (text := edits.apply()) != made and (found := parse(text)) is not None:
            made, tree = text, found
    return made


def _builtins_for(names: str) -> str:
    """Return statements that replace an import of *names*, such as `izip, imap as map`."""
    pairs = [(alias.removeprefix(" as ") or f"i{name}", name) for name, alias in re.findall(ITERTOOL, names)]
    return "; ".join(f"{alias} = {name}" for alias, name in pairs if alias != name) or "pass"


def _move_metaclasses(text: str) -> str:
    """Return *text* with each `__metaclass__ = ...` moved to the top of its class, the only place fissix handles."""
    if "__metaclass__" not in text:
        return text
    made = METACLASS.sub(r"\g<head>\g<line>\g<body>", text)
    return made if made == text else _move_metaclasses(made)


def _refactor(text: str) -> str | None:
    try:
        made = str(_load_fissix().refactor_string(text if text.endswith("\n") else f"{text}\n", "text"))
    except Exception:  # noqa: BLE001  a boundary: the parser meets any text, and raises many kinds of errors
        return None
    return made if text.endswith("\n") else made.removesuffix("\n")


def find_syntax_error(text: str) -> tuple[int, str]:
    """Return the line, from 1, and the word of the syntax error in *text*: Python 2's, else Python 3's."""
    try:
        ast.parse(str(_load_fissix().refactor_string(f"{text}\n", "text")))
    except SyntaxError as exc:
        return exc.lineno or 1, (exc.text or "").strip()
    except Exception as exc:  # noqa: BLE001  a boundary, as in `_refactor`
        value, (_, (line, _)) = getattr(exc, "value", ""), getattr(exc, "context", ("", (1, 0)))
        return line, str(value).strip()
    return 1, ""


def _divide_integers(edits: Edits) -> None:
    """Write `//` for `/` between integers, as in Python 2; mark uncertain divisions and `round` by comments."""
    unknown: dict[ast.stmt, str] = {}
    integers: dict[ast.AST, frozenset[str]] = {}
    for node in edits.nodes:
        is_division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        is_round = isinstance(node, ast.Call) and called(node) == "round" and len(node.args) == 1
        if not is_round and (not is_division or _is_float(node) or _is_cut(node, edits)):
            continue
        scope = edits.scope_of(node)
        if scope not in integers:
            integers[scope] = _integers(scope)
        if isinstance(node, ast.BinOp) and (_is_integer(node, integers[scope]) or _is_index(node, edits)):
            at = _operator(edits, node.left, node.right)
            edits.replace(at, at + 1, "//")
        else:
            unknown.setdefault(edits.statement_of(node), DIVISION_COMMENT if is_division else ROUND_COMMENT)
    for statement, comment in unknown.items():
        start = edits.line_start(edits.span(statement)[0])
        if not edits.text[:start].endswith(("\\\n", DIVISION_COMMENT, ROUND_COMMENT)):
            edits.replace(start, start, f"{' ' * statement.col_offset}{comment}")


def _is_cut(node: ast.AST, edits: Edits) -> bool:
    """Whether the quotient *node* is converted to an integer by its context: `int(...)`, `%d`."""
    parent = edits.parents[node]
    index = parent.elts.index(node) if isinstance(parent, ast.Tuple) and isinstance(node, ast.expr) else 0
    above = edits.parents[parent] if isinstance(parent, ast.Tuple) else parent
    if isinstance(above, ast.BinOp) and (layout := syntax.text_of(above.left)):
        kinds: list[str] = re.findall(r"%[-#0 +.\d]*([a-zA-Z(])", layout.replace("%%", ""))
        return kinds[index : index + 1] in (["d"], ["i"])
    return called(parent) == "int"


def _is_index(node: ast.BinOp, edits: Edits) -> bool:
    """Whether the use of a quotient requires an integer: an index, `(a + b - 1) / b`, beside `a % b`."""
    parent = edits.parents[node]
    if isinstance(parent, ast.Subscript):
        return parent.slice is node
    above, below = ast.unparse(node.left), ast.unparse(node.right)
    is_rounded = above.endswith(" - 1") and isinstance(parent, ast.BinOp) and ast.unparse(parent).endswith(" + 1")
    statement = edits.statement_of(node)
    rests = {ast.unparse(each) for each in ast.walk(statement) if isinstance(each, ast.BinOp)}
    return (
        is_rounded or called(parent) == "range" or isinstance(parent, ast.Slice) or above.endswith(f"+ {below} - 1")
        or f"{above} % {below}" in rests
    )  # fmt: skip


def _integers(scope: ast.AST) -> frozenset[str]:
    """Return the variables of a function, or of module-level code, to which only integers are assigned."""
    given: dict[str, list[ast.AST]] = defaultdict(list)
    stores = Counter[str]()
    for node in syntax.own_nodes(ast.iter_child_nodes(scope), FunctionNode | ast.Lambda | ast.ClassDef):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value: ast.expr | None = node.value if isinstance(node, ast.Assign | ast.AugAssign) else None
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Call):
            counter = dotted(node.iter.func)
            value = ast.Constant(0) if counter in ("range", "enumerate") else None
            if counter == "enumerate" and isinstance(node.target, ast.Tuple):
                targets = node.target.elts[:1]
        elif isinstance(node, ast.Name | ast.arg):
            stores[node.arg if isinstance(node, ast.arg) else node.id] += not isinstance(
                getattr(node, "ctx", None), ast.Load
            )
        for each in targets:
            if isinstance(each, ast.Name) and value is not None:
                given[each.id].append(value)
    found = frozenset(name for name, values in given.items() if len(values) == stores[name])
    while True:
        kept = frozenset(name for name in found if all(_is_integer(each, found) for each in given[name]))
        if kept == found:
            return found
        found = kept


def _is_float(node: ast.AST) -> bool:
    """Whether *node* is certainly a float or a path."""
    if isinstance(node, ast.BinOp):
        return _is_float(node.left) or _is_float(node.right)
    is_float = isinstance(node, ast.Constant) and type(node.value) is float
    return is_float or called(node).rpartition(".")[2] in FLOATS


def _operator(edits: Edits, left: ast.expr, right: ast.expr) -> int:
    """Return the offset of the `/` between *left* and *right*; those in comments are ignored."""
    start, end = edits.span(left)[1], edits.span(right)[0]
    between = re.sub(r"#[^\n]*", lambda found: " " * len(found.group()), edits.text[start:end])
    return start + between.index("/")


def _is_integer(node: ast.AST, names: frozenset[str]) -> bool:
    """Whether *node* is certainly an integer, given the variables *names* that are integers."""
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.UnaryOp):
        return _is_integer(node.operand, names)
    if isinstance(node, ast.BinOp):
        is_closed = not isinstance(node.op, ast.Pow)  # 2 ** -1 is 0.5
        return is_closed and _is_integer(node.left, names) and _is_integer(node.right, names)
    if isinstance(node, ast.Attribute):
        return node.attr in ("seconds", "days", "year", "month", "day", "hour", "minute", "second")
    return last_name(node) in ("len", "int", "ord", "count", "toordinal", "randint")


def _is_python3(tree: ast.Module, text: str) -> bool:
    """Whether a file that parses as Python 3 is written for it: by its syntax, or by a test of the version."""
    return FOR_BOTH.search(text) is not None or any(map(_is_new, ast.walk(tree)))


def _is_new(node: ast.AST) -> bool:
    if isinstance(node, ast.Try) and isinstance(node.body[0], ast.Import | ast.ImportFrom):
        return NEW_IMPORT.search(ast.unparse(node)) is not None
    if isinstance(node, ast.Call) and called(node) == "super":
        return not node.args
    is_typed = isinstance(node, ast.arg) and node.annotation is not None
    is_keyword = isinstance(node, ast.arguments) and bool(node.kwonlyargs)
    return (
        is_typed or is_keyword or isinstance(node, PYTHON3) or (isinstance(node, ast.Raise) and node.cause is not None)
    )


def _has_python2(tree: ast.Module) -> bool:
    """Whether a file that parses as Python 3 was written for Python 2 only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
            if not syntax.binds(tree, node.id):
                return True
        elif (
            (isinstance(node, ast.Attribute) and node.attr in METHODS)
            or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift) and dotted(node.left) == "print")
            or (isinstance(node, ast.Call) and (_has_old_codec(node) or "cmp" in {each.arg for each in node.keywords}))
        ):
            return True
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            if any(each.partition(".")[0] in MODULES for each in names) and not getattr(node, "level", 0):
                return not any(isinstance(each, ast.Try) for each in tree.body)
    return False


def _has_old_codec(call: ast.Call) -> bool:
    return is_odd_codec(call) and codec_of(call) not in ESCAPES


def _has_old_classes(tree: ast.Module) -> bool:
    """Whether a class has a special name of Python 2 without its Python 3 counterpart."""
    for kind in nodes_of(tree, ast.ClassDef):
        begin = syntax.methods_of(kind).get("__iter__")
        is_iterator = begin is not None and ast.unparse(begin.body[-1]) == "return self"
        for old, new in OLD.items():
            is_both = new and syntax.binds(kind, new)
            if syntax.binds(kind, old) and not is_both and (is_iterator or old != "next"):
                return True
    return False


@cache
def _load_fissix() -> _Tool:
    refactor = importlib.import_module("fissix.refactor")
    with warnings.catch_warnings(action="ignore"):
        fixers: list[str] = refactor.get_fixers_from_package("fissix.fixes")
        tool: _Tool = refactor.RefactoringTool([each for each in fixers if not each.endswith(LEFT_OUT)])
    return tool
