"""Nodes of syntax trees: names, positions, parents and children."""

import ast
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import TypeVar

__all__ = [
    "FunctionNode", "Parents", "Position", "assigned_in", "binds", "called", "decorators_of", "deferred_around",
    "dotted", "imports_of", "last_name", "loads_in", "methods_of", "nodes_of", "own_nodes", "parents_of",
    "position_of", "text_of",
]  # fmt: skip

Position = tuple[int, int, int, int]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Parents = dict[ast.AST, ast.AST]
Node = TypeVar("Node", bound=ast.AST)


def dotted(node: ast.AST | None) -> str:
    """Return *node* as a dotted name; empty for any other node."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def parents_of(tree: ast.AST) -> Parents:
    """Return the parent of each node under *tree*."""
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def own_nodes(nodes: Iterable[ast.AST], others: type | UnionType) -> Iterator[ast.AST]:
    """Yield *nodes* and their descendants in the order of the text, but no descendants of *others*."""
    todo = [*nodes][::-1]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, others):
            todo += [*ast.iter_child_nodes(node)][::-1]


def deferred_around(node: ast.AST, parents: Parents) -> Iterator[ast.Lambda | ast.GeneratorExp]:
    """Yield the lambdas and generator expressions that defer *node*; their first iterable is not deferred."""
    trail = [node]
    while not isinstance(trail[-1], ast.stmt):
        trail.append(parents[trail[-1]])
    for index, each in enumerate(trail):
        is_outside = isinstance(each, ast.GeneratorExp) and trail[index - 2] is each.generators[0].iter
        if isinstance(each, ast.Lambda | ast.GeneratorExp) and not is_outside:
            yield each


def position_of(node: ast.AST) -> Position:
    """Return start line, start column, end line and end column of *node*, as in `ast`."""
    assert isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.alias | ast.arg)
    return node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0


def imports_of(node: ast.Import | ast.ImportFrom, module: str = "") -> dict[str, str]:
    """Return the names that *node* imports, each with its dotted name; *module* resolves a relative import."""
    if isinstance(node, ast.ImportFrom):
        where = module or node.module or ""
        return {each.asname or each.name: f"{where}.{each.name}".lstrip(".") for each in node.names}
    tops = {each.name: each.name.partition(".")[0] for each in node.names}
    return {each.asname or tops[each.name]: each.name if each.asname else tops[each.name] for each in node.names}


def decorators_of(function: FunctionNode) -> set[str]:
    """Return the last parts of the names of the decorators of *function*."""
    names = [dotted(each.func if isinstance(each, ast.Call) else each) for each in function.decorator_list]
    return {name.rpartition(".")[2] for name in names}


def methods_of(kind: ast.ClassDef) -> dict[str, FunctionNode]:
    """Return the methods of *kind* by their names."""
    return {node.name: node for node in kind.body if isinstance(node, FunctionNode)}


def called(node: ast.AST | None) -> str:
    """Return the dotted name of the function that *node* calls; empty for any other node."""
    return dotted(node.func) if isinstance(node, ast.Call) else ""


def last_name(node: ast.AST | None) -> str:
    """Return the last part of the name of the function that *node* calls; empty for any other node."""
    func = node.func if isinstance(node, ast.Call) else None
    return func.attr if isinstance(func, ast.Attribute) else dotted(func)


def text_of(node: ast.AST | None) -> str:
    """Return the value of a string literal; empty for any other node."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def nodes_of(tree: ast.AST, kind: type[Node]) -> list[Node]:
    """Return the nodes of *kind* in *tree*, each after its ancestors."""
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def assigned_in(nodes: Iterable[ast.AST]) -> list[tuple[str, ast.expr]]:
    """Return the names, including dotted ones, to which *nodes* assign, each with the value."""
    assigned = [node for node in nodes if isinstance(node, ast.Assign)]
    return [(name, node.value) for node in assigned for target in node.targets if (name := dotted(target))]


def loads_in(tree: ast.AST, name: str) -> list[ast.Name]:
    """Return the nodes in *tree* that read *name*, in the order of the text."""
    nodes = [each for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == name]
    loads = [each for each in nodes if isinstance(each.ctx, ast.Load)]
    return sorted(loads, key=lambda each: (each.lineno, each.col_offset))


def binds(tree: ast.AST, name: str) -> bool:
    """Whether anything in *tree* binds *name*: an assignment, import, definition or parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found = node.id
        elif isinstance(node, ast.alias):
            found = node.asname or node.name
        else:
            found = getattr(node, "arg", "") if isinstance(node, ast.arg) else getattr(node, "name", "")
        if found == name:
            return True
    return False
