"""Values assigned to sessions that JSON, the format of sessions, cannot store."""

import ast
import re
from collections.abc import Iterator

from torngas_aio.cli.port.syntax import FunctionNode, assigned_in, called, dotted, last_name, nodes_of

__all__ = ["find_unstorable"]

OBJECTS = {"now", "utcnow", "today", "fromtimestamp", "strptime", "timedelta", "Decimal", "set", "frozenset", "uuid4"}
STORABLE = {"Counter", "ObjectDict", "OrderedDict", "Storage"}
"""Classes whose objects JSON stores as dictionaries."""

ROW = re.compile(r"\.Q\b.*\.(?:first|get|one|one_or_none|all)$", re.DOTALL)
GROWS = {"append": 0, "insert": 1, "add": 0}
"""Method of a list or set: the index of the added value among its arguments."""


def find_unstorable(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield each assignment to a session of a value that JSON changes or refuses, and the reason."""
    for scope in [node for node in ast.walk(tree) if isinstance(node, FunctionNode)]:
        nodes = list(ast.walk(scope))
        for node in nodes_of(scope, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Subscript) and dotted(target.value).rpartition(".")[2] == "session":
                found = next((what for each in _values(node.value, nodes) if (what := _kind_of(each, nodes))), "")
                if found:
                    yield node, found


def _values(value: ast.AST, nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """Yield *value* and, for a name or a slice of one, the values that *nodes* assign and add to it."""
    while isinstance(value, ast.Subscript | ast.Await):
        value = value.value
    yield value
    name = value.id if isinstance(value, ast.Name) else None
    for node in nodes if name else ():
        if isinstance(node, ast.Assign) and dotted(node.targets[0]) == name:
            yield node.value.value if isinstance(node.value, ast.Await) else node.value
        elif isinstance(node, ast.Assign | ast.AugAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Subscript) and dotted(target.value) == name:
                yield ast.Dict([target.slice], [node.value])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and dotted(node.func.value) == name:
            place = GROWS.get(node.func.attr)
            yield from node.args[place : place + 1] if place is not None else ()


def _kind_of(value: ast.AST, nodes: list[ast.AST]) -> str:  # noqa: PLR0911  one for each kind
    """Return why JSON cannot store *value*; empty if it can, or if that is unknown."""
    if isinstance(value, ast.Tuple):
        return "a tuple comes back as a list"
    if isinstance(value, ast.Set):
        return "a set is refused"
    if isinstance(value, ast.List):
        return next((what for each in value.elts if (what := _kind_of(each, nodes))), "")
    if isinstance(value, ast.ListComp):
        return _kind_of(value.elt, nodes)
    if isinstance(value, ast.Dict):
        if any(key is not None and _is_integer(key, nodes) for key in value.keys):
            return "keys that are no text are refused"
        return next((what for each in value.values if (what := _kind_of(each, nodes))), "")
    if isinstance(value, ast.Call):
        name = last_name(value)
        is_object = name[:1].isupper() and not name.isupper() and name not in STORABLE
        is_object = is_object or name in OBJECTS or ROW.search(ast.unparse(value.func)) is not None
        return f"what {name}() gives is refused" if is_object else ""
    return ""


def _is_integer(key: ast.AST, nodes: list[ast.AST]) -> bool:
    if isinstance(key, ast.Name):
        return any(_is_integer(value, []) for name, value in assigned_in(nodes) if name == key.id)
    is_int = isinstance(key, ast.Constant) and type(key.value) in (int, float, bool)
    return is_int or called(key) == "int"
