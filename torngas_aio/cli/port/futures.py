"""Names that hold futures and coroutines, and the functions that accept them."""

import ast
from collections.abc import Iterable

from torngas_aio.cli.port.syntax import Parents, called, dotted, last_name

__all__ = [
    "LOOP_CALLS", "TAKES_AWAITABLES", "TAKES_FUTURES", "held_names", "holder_of", "is_chosen", "is_held", "taker_of",
]  # fmt: skip

TAKES_AWAITABLES = {
    "multi", "multi_future", "gather", "wait", "wait_for", "with_timeout", "ensure_future", "create_task",
    "convert_yielded", "run", "run_until_complete", "shield", "as_completed",
}  # fmt: skip
"""Functions that await their arguments."""

COMMON = {"run", "wait"}
"""Names among them that are common for other functions."""

TAKES_FUTURES = {"WaitIterator", "add_future", "chain_future", "maybe_future"}
"""Functions that await futures, not coroutines."""

LOOP_CALLS = {"PeriodicCallback", "add_callback", "add_timeout", "run_sync", "spawn_callback"}
"""Functions of Tornado's loop that await the result of the function passed to them."""

DISPLAYS = (
    ast.List | ast.Tuple | ast.Set | ast.Dict | ast.Starred | ast.ListComp | ast.GeneratorExp | ast.DictComp
    | ast.keyword | ast.BinOp
)  # fmt: skip
CHOICES = ast.IfExp | ast.BoolOp
ADDERS = {"add", "append", "insert", "setdefault"}
COLLECTORS = {"dict", "list", "tuple"}
"""Functions that make a collection which `multi` and its siblings accept."""


def held_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names in *nodes* whose values are awaited, passed to an awaiting function or given a callback."""
    nodes = list(nodes)
    found: set[str] = set()
    for node in nodes:
        given: list[ast.AST | None] = []
        if isinstance(node, ast.Call):
            given += [*node.args, *node.keywords] if taker_of(node) in TAKES_AWAITABLES | TAKES_FUTURES else []
        elif isinstance(node, ast.Await | ast.Yield | ast.Attribute):
            is_watched = not isinstance(node, ast.Attribute) or node.attr == "add_done_callback"
            given += [node.value] if is_watched else []
        while given:
            each = given.pop()
            given += ast.iter_child_nodes(each) if isinstance(each, DISPLAYS | CHOICES) else ()
            found |= {_name_of(each)} - {""} if each else set()
    loops = [node for node in nodes if isinstance(node, ast.For | ast.comprehension) and dotted(node.target) in found]
    return found | {_name_of(node.iter) for node in loops} - {""}


def is_held(node: ast.AST, held: set[str]) -> bool:
    """Whether *node* assigns its value to one of the names *held*, or adds it to a collection of that name."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return _name_of(target) in held
    func = node.func if isinstance(node, ast.Call) else None
    return isinstance(func, ast.Attribute) and func.attr in ADDERS and dotted(func.value) in held


def holder_of(node: ast.AST, parents: Parents) -> ast.AST:
    """Return *node*, or the outermost list, dictionary, choice or the like that contains it as a value."""
    parent = parents[node]
    is_inside = isinstance(parent, DISPLAYS) or last_name(parent) in COLLECTORS or is_chosen(node, parent)
    return holder_of(parent, parents) if is_inside else node


def is_chosen(node: ast.AST, parent: ast.AST) -> bool:
    """Whether *node* is one of the values that *parent* may have."""
    return isinstance(parent, CHOICES) and node is not getattr(parent, "test", None)


def taker_of(node: ast.AST) -> str:
    """Return the name of the function that *node* calls; empty for a common name that is not asyncio's."""
    name = last_name(node)
    return "" if name in COMMON and called(node) not in (name, f"asyncio.{name}") else name


def _name_of(node: ast.AST) -> str:
    """Return the dotted name of *node*, or of the collection whose item or values it is."""
    func = node.func if isinstance(node, ast.Call) else None
    node = func.value if isinstance(func, ast.Attribute) and func.attr == "values" else node
    return dotted(node.value if isinstance(node, ast.Subscript) else node)
