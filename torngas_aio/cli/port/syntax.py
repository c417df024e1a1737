"""Nodes of syntax trees: their names, places and surroundings."""

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
    """Return the dotted name that *node* is; empty where it is something else."""
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
    """Yield *nodes* and those under them in the order of the text; of nodes that are *others*, not what is inside."""
    todo = [*nodes][::-1]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, others):
            todo += [*ast.iter_child_nodes(node)][::-1]


def deferred_around(node: ast.AST, parents: Parents) -> Iterator[ast.Lambda | ast.GeneratorExp]:
    """Yield the lambdas and generator expressions that evaluate *node*; first iterables are evaluated outside."""
    trail = [node]
    while not isinstance(trail[-1], ast.stmt):
        trail.append(parents[trail[-1]])
    for index, each in enumerate(trail):
        is_outside = isinstance(each, ast.GeneratorExp) and trail[index - 2] is each.generators[0].iter
        if isinstance(each, ast.Lambda | ast.GeneratorExp) and not is_outside:
            yield each


def position_of(node: ast.AST) -> Position:
    """Return line and column of the start and of the end of *node*, as `ast` counts them."""
    assert isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.alias | ast.arg)
    return node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0


def imports_of(node: ast.Import | ast.ImportFrom, module: str = "") -> dict[str, str]:
    """Return the names that *node* gives the file, and the dotted name of each, in *module* where that is relative."""
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
    """Return the dotted name of what *node* calls; empty where it is no call, or one of something else."""
    return dotted(node.func) if isinstance(node, ast.Call) else ""


def last_name(node: ast.AST | None) -> str:
    """Return the last part of the name of what *node* calls; empty where it is no call."""
    func = node.func if isinstance(node, ast.Call) else None
    return func.attr if isinstance(func, ast.Attribute) else dotted(func)


def text_of(node: ast.AST | None) -> str:
    """Return the text that *node* is; empty where it is something else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def nodes_of(tree: ast.AST, kind: type[Node]) -> list[Node]:
    """Return the nodes of *kind* in *tree*, those that stand inside others after them."""
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def assigned_in(nodes: Iterable[ast.AST]) -> list[tuple[str, ast.expr]]:
    """Return the names, dotted ones too, to which *nodes* assign something, and that."""
    assigned = [node for node in nodes if isinstance(node, ast.Assign)]
    return [(name, node.value) for node in assigned for target in node.targets if (name := dotted(target))]


def loads_in(tree: ast.AST, name: str) -> list[ast.Name]:
    """Return where *name* is read in *tree*, from top to bottom."""
    nodes = [each for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == name]
    loads = [each for each in nodes if isinstance(each.ctx, ast.Load)]
    return sorted(loads, key=lambda each: (each.lineno, each.col_offset))


def binds(tree: ast.AST, name: str) -> bool:
    """Whether anything in *tree* gives *name* a value."""
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
