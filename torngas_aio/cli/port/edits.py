"""Replacements in the text of a file, at the positions of `ast` nodes, and the names that the file binds."""

import ast
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from torngas_aio.cli.port.syntax import FunctionNode, Parents, binds, dotted, imports_of, parents_of, position_of

__all__ = ["Edits"]


class Edits:
    """Insertions and replacements, applied together; one that overlaps an earlier one is dropped.

    Args:
        text: Python source with `\\n` line ends.
        tree: Its syntax tree; required for adding imports.
    """

    def __init__(self, text: str, tree: ast.Module | None = None) -> None:
        self.text = text
        self.tree = tree or ast.Module([], [])
        self._imports: dict[str, set[str]] = defaultdict(set)
        self._added: set[str] = set()
        self._lines = [f"{line}\n" for line in text.split("\n")]
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._found: list[tuple[int, int, int, str]] = []

    @cached_property
    def parents(self) -> Parents:
        """The parent of each node."""
        return parents_of(self.tree)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes, each after its parent."""
        return list(self.parents)

    @cached_property
    def imports(self) -> dict[str, str]:
        """Name in the file: dotted name of the imported object."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= imports_of(node)
        return found

    def full_name(self, node: ast.AST) -> str:
        """Return the dotted name of *node* with its module; a bare name that nothing imports may be a builtin."""
        root, dot, rest = dotted(node).partition(".")
        return f"{self.imports[root]}{dot}{rest}" if root in self.imports else "" if dot else root

    def is_free(self, name: str) -> bool:
        """Whether *name* is imported, or a builtin that the file does not shadow."""
        return name in self.imports or not binds(self.tree, name)

    def value_of(self, node: ast.AST) -> str:
        """Return the source of *node* and, for a name, of the values assigned to it in its function, or in the file."""
        found, name = [node], dotted(node)
        scope = self.scope_of(node) if isinstance(node, ast.Name) else self.tree
        for each in ast.walk(scope) if name else ():
            if isinstance(each, ast.Assign) and name in map(dotted, each.targets):
                found.append(each.value)
            elif isinstance(each, ast.For) and dotted(each.target) == name:
                found.append(each.iter)
            elif isinstance(each, ast.withitem) and each.optional_vars and dotted(each.optional_vars) == name:
                found.append(each.context_expr)
        return " ".join(map(ast.unparse, found))

    def scope_of(self, node: ast.AST) -> ast.AST:
        """Return the function that contains *node*; the module if there is none."""
        while not isinstance(node, FunctionNode | ast.Module):
            node = self.parents[node]
        return node

    def statement_of(self, node: ast.AST) -> ast.stmt:
        """Return the innermost statement that contains *node*."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def offset(self, line: int, column: int) -> int:
        """Return the index in the text of *line*, from 1, and *column*, from 0 in UTF-8 bytes."""
        content = self._lines[line - 1] if line <= len(self._lines) else ""
        if not content.isascii():
            column = len(content.encode()[:column].decode(errors="ignore"))
        return self._starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return start and end of *node* in the text."""
        line, column, end_line, end_column = position_of(node)
        return self.offset(line, column), self.offset(end_line, end_column)

    def source(self, node: ast.AST) -> str:
        """Return the text of *node*."""
        start, end = self.span(node)
        return self.text[start:end]

    def line_start(self, offset: int) -> int:
        """Return the index at which the line of *offset* begins."""
        return self._starts[bisect_right(self._starts, offset) - 1]

    def replace(self, start: int, end: int, new: str) -> None:
        """Replace the text between *start* and *end* by *new*."""
        self._found.append((start, end, len(self._found), new))

    def wrap(self, node: ast.AST, before: str, after: str) -> None:
        """Insert *before* and *after* around *node*; of two nodes with the same end, wrap the inner one first."""
        start, end = self.span(node)
        self._found.append((start, start, -len(self._found), before))
        if after:
            self._found.append((end, end, -1_000_000 + len(self._found), after))

    def call(self, function: str, node: ast.AST) -> None:
        """Wrap *node* in a call of *function*, a dotted name; its import is added."""
        module, _, name = function.rpartition(".")
        self.wrap(node, f"{self.import_name(module, name)}(", ")")

    def import_name(self, module: str, name: str = "") -> str:
        """Return the file's name for *name* of *module*, or for *module* itself; add the import if it is missing."""
        known = [node for node in self.tree.body if isinstance(node, ast.ImportFrom if name else ast.Import)]
        for node in known:
            for each in node.names:
                if isinstance(node, ast.Import) and each.name == module:
                    return each.asname or module
                is_source = isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{module}.")
                if is_source and each.name in (name, "*"):
                    return each.asname or name
        alias = f"{module.rpartition('.')[2]}_{name}"
        is_taken = bool(name) and binds(self.tree, name)
        self._imports[module] |= {f"{name} as {alias}" if is_taken else name}
        return alias if is_taken else name or module

    def add(self, statement: str) -> None:
        """Add *statement* once, after the imports at the top of the file."""
        if statement in self._added:
            return
        self._added.add(statement)
        at = 0
        for index, node in enumerate(self.tree.body):
            is_docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not is_docstring and not isinstance(node, ast.Import | ast.ImportFrom):
                break
            at = node.end_lineno or 0
        if at == 0:
            at = next((i for i, line in enumerate(self._lines) if not line.startswith("#")), 0)
        start = min(self._starts[at], len(self.text))
        lead = "" if start == 0 or self.text[start - 1] == "\n" else "\n"
        self._found.append((start, start, -2_000_000 + len(self._found), f"{lead}{statement}\n"))

    def remove_argument(self, call: ast.Call, argument: ast.AST) -> None:
        """Remove *argument*, positional or keyword, and its comma from *call*."""
        start, end = self.span(argument)
        before = [self.span(each)[1] for each in [*call.args, *call.keywords] if self.span(each)[1] <= start]
        if before:
            start = max(before)
        elif (rest := re.match(r"\s*,\s*", self.text[end:])) is not None:
            end += rest.end()
        self.replace(start, end, "")

    def insert_argument(self, call: ast.Call, text: str) -> None:
        """Add *text* as the last argument of *call*, which must have others."""
        last = max(self.span(each)[1] for each in [*call.args, *call.keywords])
        self.replace(last, last, f", {text}")

    def keep_names(self, node: ast.Import | ast.ImportFrom, kept: list[ast.alias], lines: Sequence[str] = ()) -> None:
        """Reduce the import *node* to the names *kept*, and add *lines* below it; an empty import is removed."""
        head = f"from {node.module} import " if isinstance(node, ast.ImportFrom) else "import "
        start, end = self.span(node)
        made = [f"{head}{', '.join(map(ast.unparse, kept))}"] if kept else []
        text = f"\n{' ' * node.col_offset}".join([*made, *lines])
        is_line = not text and not node.col_offset and self.text[end : end + 1] == "\n"
        self.replace(start, end + 1 if is_line else end, text or ("" if is_line else "pass"))

    def apply(self) -> str:
        """Return the text with the replacements made."""
        for module, names in sorted(self._imports.items()):
            wanted = ", ".join(sorted(names))
            self.add(f"from {module} import {wanted}" if wanted else f"import {module}")
        self._imports.clear()
        parts: list[str] = []
        at = 0
        for start, end, _, new in sorted(self._found):
            if start < at:
                continue
            parts += [self.text[at:start], new]
            at = end
        return "".join([*parts, self.text[at:]])
