"""What the names and expressions of a file stand for within it. Begin with `Source`."""

import ast

from torngas_aio.cli.port.edits import Edits, FunctionNode, binds, dotted, parents_of

__all__ = ["Source", "loads_in"]


class Source:
    """A file: its nodes, imports and functions.

    Attributes:
        nodes: All nodes, those that stand inside others after them.
        imports: Name in the file: dotted name of what it imports.
    """

    def __init__(self, edits: Edits) -> None:
        self.edits = edits
        self.parents = parents_of(edits.tree)
        self.nodes = list(self.parents)
        self.imports: dict[str, str] = {}
        for node in [each for each in self.nodes if isinstance(each, ast.Import | ast.ImportFrom)]:
            for each in node.names:
                if isinstance(node, ast.ImportFrom):
                    self.imports[each.asname or each.name] = f"{node.module}.{each.name}"
                else:
                    root = each.name.partition(".")[0]
                    self.imports[each.asname or root] = each.name if each.asname else root

    def full_name(self, node: ast.AST) -> str:
        """Return the dotted name of *node* with its module; a bare name that nothing imports may be a builtin."""
        root, dot, rest = dotted(node).partition(".")
        return f"{self.imports[root]}{dot}{rest}" if root in self.imports else "" if dot else root

    def is_free(self, name: str) -> bool:
        """Whether *name* is imported, or a builtin that the file does not hide."""
        return name in self.imports or not binds(self.edits.tree, name)

    def value_of(self, node: ast.AST) -> str:
        """Return the source of *node* and, where it is a name, of what its function gives it."""
        found, name = [node], dotted(node)
        for each in ast.walk(self.scope_of(node)) if isinstance(node, ast.Name) else ():
            if isinstance(each, ast.Assign) and name in map(dotted, each.targets):
                found.append(each.value)
            elif isinstance(each, ast.For) and dotted(each.target) == name:
                found.append(each.iter)
        return " ".join(map(ast.unparse, found))

    def scope_of(self, node: ast.AST) -> ast.AST:
        """Return the function in which *node* stands; the module outside of functions."""
        while not isinstance(node, FunctionNode | ast.Module):
            node = self.parents[node]
        return node


def loads_in(tree: ast.AST, name: str) -> list[ast.AST]:
    """Return where *name* is read in *tree*, from top to bottom."""
    nodes = [each for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == name]
    loads = [each for each in nodes if isinstance(each.ctx, ast.Load)]
    loads.sort(key=lambda each: (each.lineno, each.col_offset))
    return [*loads]
