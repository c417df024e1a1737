"""Python 2 source, recognized and converted. Begin with `converted`."""

import ast
import re
import warnings
from functools import cache
from typing import Any

from torngas_aio.cli.port.edits import Edits, binds, dotted

__all__ = ["converted", "is_python2", "parsed"]

NAMES = {"unicode", "xrange", "basestring", "long", "raw_input", "unichr", "reduce", "execfile"}
METHODS = {"iteritems", "itervalues", "iterkeys", "viewitems", "viewkeys", "viewvalues", "setdefaultencoding"}
MODULES = {
    "urllib2", "urlparse", "ConfigParser", "Queue", "cPickle", "StringIO", "cStringIO", "httplib", "Cookie",
    "HTMLParser", "__builtin__", "commands", "thread", "SocketServer", "BaseHTTPServer", "cookielib", "xmlrpclib",
}  # fmt: skip
FUTURES = re.compile(r"(?m)^from __future__ import (?:print_function|unicode_literals|absolute_import|division)\n")
ENCODING_LINES = re.compile(
    r"(?m)^([ \t]*)(?:(?:reload\(sys\)|sys\.setdefaultencoding\([^)\n]*\))[ \t]*;?[ \t]*)+(?:#.*)?\n"
)
DIVISION_COMMENT = "# TGM311: Python 2 divided integers into integers. Write // for that; delete this comment.\n"
PYTHON3 = ast.AsyncFunctionDef | ast.JoinedStr | ast.AnnAssign | ast.Nonlocal | ast.Await
LEFT_OUT = ("fix_idioms", "fix_buffer", "fix_set_literal", "fix_ws_comma", "fix_import")
"""Changes of taste; relative imports are `rewriting`'s, for both Pythons."""


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree of Python 3 source; None where it is something else."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_python2(text: str) -> bool:
    """Whether *text* is source for Python 2 only, or with another meaning in Python 3."""
    tree = parsed(text)
    return _refactored(text) is not None if tree is None else _has_python2(tree)


def converted(text: str) -> str | None:
    """Return Python 3 source for *text* of a Python 2 project, None where it cannot be parsed."""
    tree = parsed(text)
    if tree is not None and (not tree.body or any(isinstance(node, PYTHON3) for node in ast.walk(tree))):
        return text
    has_division = re.search(r"(?m)^from __future__ import .*\bdivision\b", text) is not None
    text = ENCODING_LINES.sub(lambda found: f"{found[1]}pass\n" if found[1] else "", text)
    made = FUTURES.sub("", _refactored(text) or "")
    tree = parsed(made) if made else None
    if tree is None or has_division:
        return made if tree is not None else None
    edits = Edits(made)
    _divide_integers(tree, edits)
    return edits.applied()


def _refactored(text: str) -> str | None:
    try:
        return str(_tool().refactor_string(text if text.endswith("\n") else f"{text}\n", "text"))
    except Exception:  # noqa: BLE001  a boundary: the parser meets any text, and raises many kinds of errors
        return None


def _divide_integers(tree: ast.Module, edits: Edits) -> None:
    """Write `//` for `/` between integers, as Python 2 divided them, and mark where the types are not known."""
    for statement in [each for each in ast.walk(tree) if isinstance(each, ast.stmt)]:
        blocks = ast.stmt | ast.ExceptHandler | ast.match_case
        own = [each for each in ast.iter_child_nodes(statement) if not isinstance(each, blocks)]
        divisions = [node for each in own for node in ast.walk(each) if _is_division(node)]
        if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Div):
            divisions.append(statement)
        for node in divisions:
            if _is_integer(node):
                at = _operator(edits, node.left, node.right)  # type: ignore[attr-defined]
                edits.replace(at, at + 1, "//")
        start = edits.line_start(edits.span(statement)[0])
        before = edits.text[:start]
        if any(not _is_integer(node) for node in divisions) and not before.endswith(("\\\n", DIVISION_COMMENT)):
            edits.replace(start, start, f"{' ' * statement.col_offset}{DIVISION_COMMENT}")


def _is_division(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _is_float(node)


def _is_float(node: ast.AST) -> bool:
    """Whether *node* is a float, or a path, wherever it is."""
    if isinstance(node, ast.BinOp):
        return _is_float(node.left) or _is_float(node.right)
    if isinstance(node, ast.Call):
        return dotted(node.func).rpartition(".")[2] in ("float", "time", "total_seconds", "sqrt", "random", "Path")
    return isinstance(node, ast.Constant) and type(node.value) is float


def _operator(edits: Edits, left: ast.expr, right: ast.expr) -> int:
    """Return where the `/` between *left* and *right* is; comments between them may hold others."""
    start, end = edits.span(left)[1], edits.span(right)[0]
    between = re.sub(r"#[^\n]*", lambda found: " " * len(found.group()), edits.text[start:end])
    return start + between.index("/")


def _is_integer(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.UnaryOp):
        return _is_integer(node.operand)
    if isinstance(node, ast.BinOp):
        is_closed = not isinstance(node.op, ast.Pow)  # 2 ** -1 is 0.5
        return is_closed and _is_integer(node.left) and _is_integer(node.right)
    return isinstance(node, ast.Call) and dotted(node.func) in ("len", "int", "ord")


def _has_python2(tree: ast.Module) -> bool:
    """Whether a file that parses as Python 3 was written for Python 2 only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
            if not binds(tree, node.id):
                return True
        elif isinstance(node, ast.Attribute) and node.attr in METHODS:
            return True
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
            if isinstance(node.left, ast.Name) and node.left.id == "print":
                return True
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            if any(each.partition(".")[0] in MODULES for each in names) and not getattr(node, "level", 0):
                return not any(isinstance(each, ast.Try) for each in tree.body)
    return False


@cache
def _tool() -> Any:
    from fissix import refactor

    with warnings.catch_warnings(action="ignore"):
        fixers = refactor.get_fixers_from_package("fissix.fixes")
        return refactor.RefactoringTool([each for each in fixers if not each.endswith(LEFT_OUT)])
