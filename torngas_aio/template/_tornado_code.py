"""Transformations of the Python code that Tornado generates from a template.

    with_await    make the functions coroutine functions if the template awaits
    in_short      one call instead of the four statements for each value
    as_parts      yield the parts instead of appending them to a list, so that a page can be streamed

Line numbers do not change: the debug page uses them to find the template's lines.
"""

import ast
import re

__all__ = ["as_parts", "in_short", "template_line", "with_await"]

_APPLIED = re.compile(r"^(\s*_tt_append\(_tt_utf8\(.*)\b(_tt_apply\d+\(\))")
_ORIGIN = re.compile(r"  # (?P<name>.+?):(?P<line>\d+)(?: \(via .*\))?$")


def with_await(code: str) -> str:
    """Return *code* with coroutine functions if it awaits, else unchanged.

    Raises:
        SyntaxError: An expression in the template is not valid Python.
    """
    awaits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    if "await" not in code and "async" not in code:
        return code
    if not any(isinstance(node, awaits) or _is_async(node) for node in ast.walk(ast.parse(code))):
        return code
    return "".join(_line_with_await(line) for line in code.splitlines(keepends=True))


def as_parts(tree: ast.Module) -> ast.Module:
    """Turn `_tt_execute` in *tree* into a generator of the page's parts, in place; return *tree*."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[2:-1]  # without creating the buffer and joining it
            node.body = [_Yielding().visit(statement) for statement in node.body]
            # Makes the function a generator even if the page has no parts.
            node.body += ast.parse("if False: yield").body
    return ast.fix_missing_locations(tree)


def in_short(code: str) -> ast.Module:
    """Return the tree of *code* with one call for each value: `_tt_append(_tt_escaped(value))`.

    Values escaped by `xhtml_escape` are passed to `_tt_escaped`, unescaped ones to `_tt_raw`; all others keep their
    statements.
    """
    tree = ast.parse(code)
    _Shortening().visit(tree)
    return ast.fix_missing_locations(tree)


def template_line(code: str, line: int) -> tuple[str, int] | None:
    """Return the template name and line from which *line* of the generated *code* was made."""
    lines = code.splitlines()
    for text in reversed(lines[:line]) if 0 < line <= len(lines) else ():
        # A preceding line may have the origin: an expression over several lines has it on its last line only.
        found = _ORIGIN.search(text)
        if found:
            return found["name"], int(found["line"])
    return None


class _Shortening(ast.NodeTransformer):
    """A transformer that replaces Tornado's code for `{{ value }}`: assign, convert, escape, append."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse", "handlers", "finalbody"):
            statements: list[ast.stmt] | None = getattr(node, name, None)
            if isinstance(statements, list):
                setattr(node, name, _shortened(statements))
        return super().generic_visit(node)


def _shortened(statements: list[ast.stmt]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    rest = list(statements)
    while rest:
        for length, texts, maker in _FORMS:
            if _sets_value(rest[0]) and [ast.unparse(statement) for statement in rest[1:length]] == texts:
                value = rest[0].value  # type: ignore[attr-defined]  # an assignment
                call = ast.Call(ast.Name(maker, ast.Load()), [value], [])
                append = ast.Call(ast.Name("_tt_append", ast.Load()), [call], [])
                found.append(ast.copy_location(ast.Expr(append), rest[0]))
                del rest[:length]
                break
        else:
            found.append(rest.pop(0))
    return found


def _sets_value(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_tt_tmp"


_CONVERTED = (
    "if isinstance(_tt_tmp, _tt_string_types):\n    _tt_tmp = _tt_utf8(_tt_tmp)\n"
    "else:\n    _tt_tmp = _tt_utf8(str(_tt_tmp))"
)  # fmt: skip
_APPENDED = "_tt_append(_tt_tmp)"
_FORMS = (
    (4, [_CONVERTED, "_tt_tmp = _tt_utf8(xhtml_escape(_tt_tmp))", _APPENDED], "_tt_escaped"),
    (3, [_CONVERTED, _APPENDED], "_tt_raw"),
)


class _Yielding(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # the function of `{% apply %}` keeps its buffer
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "_tt_append":
            return ast.copy_location(ast.Expr(ast.Yield(call.args[0])), node)
        return node


def _is_async(node: ast.AST) -> bool:
    return isinstance(node, ast.comprehension) and bool(node.is_async)


def _line_with_await(line: str) -> str:
    bare = line.lstrip()
    if bare.startswith(("def _tt_execute():", "def _tt_apply")):
        return line.replace("def _tt_", "async def _tt_", 1)
    return _APPLIED.sub(r"\1(await \2)", line)
