"""Python 2 source, recognized and converted. Begin with `converted`."""

import ast
import re
import warnings
from functools import cache
from typing import Any

from torngas_aio.cli.port.edits import Edits, binds, dotted

__all__ = ["converted", "parsed"]

NAMES = {"unicode", "xrange", "basestring", "long", "raw_input", "unichr", "reduce", "execfile"}
METHODS = {"iteritems", "itervalues", "iterkeys", "viewitems", "viewkeys", "viewvalues"}
MODULES = {
    "urllib2", "urlparse", "ConfigParser", "Queue", "cPickle", "StringIO", "cStringIO", "httplib", "Cookie",
    "HTMLParser", "__builtin__", "commands", "thread", "SocketServer", "BaseHTTPServer", "cookielib", "xmlrpclib",
}  # fmt: skip
LEFT_OUT = ("fix_idioms", "fix_buffer", "fix_set_literal", "fix_ws_comma", "fix_import")
"""Changes of taste; relative imports are `rewriting`'s, for both Pythons."""


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree of Python 3 source; None where it is something else."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def converted(text: str, name: str) -> str | None:
    """Return Python 3 source for *text*; *text* itself where it is that already, None where it cannot be parsed."""
    tree = parsed(text)
    if tree is not None and not _is_python2(tree):
        return text
    has_division = re.search(r"(?m)^from __future__ import .*\bdivision\b", text) is not None
    try:
        made = str(_tool().refactor_string(text if text.endswith("\n") else f"{text}\n", name))
    except Exception:  # noqa: BLE001  a boundary: the parser meets any text, and raises many kinds of errors
        return None
    made = re.sub(r"(?m)^from __future__ import (print_function|unicode_literals|absolute_import|division)\n", "", made)
    tree = parsed(made)
    if tree is None:
        return None
    return made if has_division else _with_integer_division(tree, made)


def _with_integer_division(tree: ast.Module, text: str) -> str:
    """Write `//` for `/` between expressions that are integers wherever they are, as Python 2 divided them."""
    edits = Edits(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_integer(node):
            at = _operator(edits, node.left, node.right)
            edits.replace(at, at + 1, "//")
    return edits.applied()


def _operator(edits: Edits, left: ast.expr, right: ast.expr) -> int:
    """Return where the `/` between *left* and *right* is; comments between them may hold others."""
    start, end = edits.span(left)[1], edits.span(right)[0]
    between = re.sub(r"#[^\n]*", lambda found: " " * len(found.group()), edits.text[start:end])
    return start + between.index("/")


def _is_integer(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.UnaryOp):
        return _is_integer(node.operand)
    if isinstance(node, ast.BinOp):
        is_closed = not isinstance(node.op, ast.Pow)  # 2 ** -1 is 0.5
        return is_closed and _is_integer(node.left) and _is_integer(node.right)
    return isinstance(node, ast.Call) and dotted(node.func) in ("len", "int", "ord")


def _is_python2(tree: ast.Module) -> bool:
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
