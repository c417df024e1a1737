"""Missing awaits in the project's files, found by static analysis: nothing is imported or run.

    names      resolved by `port.names`, with `is_sure`
    calls      of awaitables that are not under `await`, and are not passed on, assigned or returned
    forms      a statement, a condition, `or`, `in`, an operand, a loop, a plain `with`; the argument of a builtin,
               such as `len(...)`, `any(... for ...)`; `"...".format(...)`

A call is reported only if the type of its object is certain.
"""

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

from torngas_aio.cli.kinds import IMPORTED, Chain, chain_of
from torngas_aio.cli.port.names import Names
from torngas_aio.cli.port.summary import Module, summarize
from torngas_aio.cli.port.syntax import binds, parents_of, position_of
from torngas_aio.exception import Fault

__all__ = [
    "has_zero_timeout",
    "module_of",
    "parsed",
    "project_files",
    "unawaited_faults",
]

SKIPPED = {"node_modules", "site-packages", "dist-packages", "build", "dist", "__pycache__"}
MAX_BYTES = 1_000_000
"""Larger files are skipped: they are usually generated."""

OPENED = {"lock", "presence", "scope", "subscription", "transaction"}
"""Kinds of objects that are opened by `async with`."""

VALUE_BUILTINS = frozenset({
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "print", "range",
    "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
})  # fmt: skip
"""Builtins that accept a value, never an awaitable."""

TIMEOUTS = {"set": 2, "add": 2, "touch": 1, "get_or_set": 2, "set_many": 1, "expire": 1}
"""Methods of a cache: the index of their timeout argument."""

FORMS: dict[str, type] = {"call": ast.Call, "task": ast.Call, "in": ast.Compare, "with": ast.With}
KINDS = tuple(set(FORMS.values()))
KNOWN = IMPORTED | dict.fromkeys(
    ("asyncio.gather", "asyncio.sleep", "asyncio.to_thread", "asyncio.wait", "asyncio.wait_for"), "coroutine function"
)


def unawaited_faults(folder: Path) -> list[Fault]:
    """Return a fault for each call in the Python files under *folder* that lacks an `await`."""
    trees = {path: tree for path in project_files(folder) if (tree := parsed(path)) is not None}
    modules = [summarize(tree, str(path.relative_to(folder)), module_of(path, folder)) for path, tree in trees.items()]
    names = Names(modules, is_sure=True, known=KNOWN)
    found: list[Fault] = []
    for module, tree in zip(modules, trees.values(), strict=True):
        for line, text in sorted(set(_File(module, tree, names).faults())):
            found.append(Fault(f"{module.path}:{line}: {text}", code="TGA710"))
    return found


def project_files(folder: Path, suffixes: tuple[str, ...] = (".py",)) -> Iterator[Path]:
    """Yield the files under *folder*, sorted; symbolic links, hidden folders and installed packages are skipped.

    Raises:
        OSError: A folder cannot be read.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name.startswith(".") or path.name in SKIPPED:
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from project_files(path, suffixes)
        elif path.suffix in suffixes and path.is_file() and path.stat().st_size <= MAX_BYTES:
            yield path


def parsed(path: Path) -> ast.Module | None:
    """Return the syntax tree of a Python file, None if it cannot be parsed."""
    try:
        with tokenize.open(path) as file:
            return ast.parse(file.read())
    except (SyntaxError, ValueError, OSError, RecursionError):  # its import reports the error, if it is imported at all
        return None


def module_of(path: Path, folder: Path) -> str:
    """Return the dotted module name of *path*, relative to *folder*."""
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


class _File:
    """One file, and its uses of framework objects that lack an `await`."""

    def __init__(self, module: Module, tree: ast.Module, names: Names) -> None:
        self._module = module
        self._tree = tree
        self._names = names
        self._parents = parents_of(tree)

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the message of each fault."""
        nodes = {(position_of(node), type(node)): node for node in self._parents if isinstance(node, KINDS)}
        for function in self._module.functions.values():
            for use in function.uses:
                if use.form in FORMS:
                    kind = self._names.valued(self._names.resolve(use.chain, self._module.path, function))
                    yield from self._faults_of(nodes[use.position, FORMS[use.form]], use.chain, kind)

    def _faults_of(self, node: ast.AST, chain: Chain, kind: str) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.Call) and kind.startswith("awaited") and self._is_used(node):
            yield node.lineno, f"`{_short(node)}` is not awaited. Write `await {_short(node)}`."
        elif isinstance(node, ast.Call) and kind in OPENED and isinstance(self._parents[node], ast.Expr):
            yield node.lineno, f"`{_short(node)}` opens nothing. Write `async with {_short(node)}`."
        elif isinstance(node, ast.Compare) and kind == "cache":
            key = _short(node.left)
            yield node.lineno, f"`{_short(node)}` does not ask the cache. Write `await cache.has_key({key})`."
        elif isinstance(node, ast.With) and kind in OPENED:
            for item in node.items:
                if chain_of(item.context_expr) == chain:
                    yield node.lineno, f"`with {_short(item.context_expr)}` cannot wait. Write `async with`."

    def _is_used(self, call: ast.expr) -> bool:  # noqa: PLR0911  one for each form
        """Whether the result of *call* is dropped, or used as if it were the awaited value."""
        parent = self._parents[call]
        if isinstance(parent, ast.NamedExpr) or (isinstance(parent, ast.IfExp) and parent.test is not call):
            return self._is_used(parent)
        if isinstance(parent, ast.GeneratorExp) and parent.elt is call:
            return self._is_argument_of_builtin(parent)
        if self._is_argument_of_builtin(call) or isinstance(parent, ast.Match | ast.Subscript):
            return True
        if isinstance(parent, ast.Expr | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare | ast.Assert):
            return True
        if isinstance(parent, ast.FormattedValue | ast.Starred):
            return True
        if isinstance(parent, ast.If | ast.While | ast.IfExp):
            return parent.test is call
        if isinstance(parent, ast.For | ast.comprehension):
            return parent.iter is call and not getattr(parent, "is_async", 0)
        return isinstance(parent, ast.Attribute) and parent.attr != "__await__"

    def _is_argument_of_builtin(self, node: ast.AST) -> bool:
        """Whether *node* is an argument of one of `VALUE_BUILTINS`, or of `"...".format`."""
        parent = self._parents[node]
        if not isinstance(parent, ast.Call) or node is parent.func:
            return False
        func = parent.func
        if isinstance(func, ast.Name):
            return func.id in VALUE_BUILTINS and not binds(self._tree, func.id)
        return isinstance(func, ast.Attribute) and func.attr == "format" and isinstance(func.value, ast.Constant)


def has_zero_timeout(call: ast.Call) -> bool:
    """Whether *call* passes a timeout of 0 to a cache method, by keyword or by position."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in TIMEOUTS:
        return False
    if "cache" not in ast.unparse(call.func.value):
        return False
    place = TIMEOUTS[call.func.attr]
    given = [*call.args[place : place + 1], *(each.value for each in call.keywords if each.arg == "timeout")]
    return any(isinstance(each, ast.Constant) and each.value == 0 and each.value is not False for each in given)


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
