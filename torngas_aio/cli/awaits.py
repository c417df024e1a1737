"""Forgotten awaits in the project's files, found by reading them: nothing is imported or run.

    names      of a file: caches, databases, channels, jobs, signals, coroutine functions; its own, and those that it
               imports from the project
    calls      of what must be awaited, under none of `await`, an argument, an assignment, a return
    forms      a statement, a condition, `or`, `in`, an operand, a loop, a plain `with`; what a builtin is
               given, such as `len(...)`, `any(... for ...)`; `"...".format(...)`

A call is reported where its object is known for sure. Begin with `unawaited_faults`.
"""

import ast
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torngas_aio.cli.kinds import AWAITED, IMPORTED, chain_of, next_kind
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
"""Larger files are made by programs."""

OPENED = {"lock", "presence", "scope", "subscription", "transaction"}
"""Kinds of objects that `async with` opens."""

TAKERS = frozenset({
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "print", "range",
    "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
})  # fmt: skip
"""Builtins that take a value, and never what waits for one."""

TIMEOUTS = {"set": 2, "add": 2, "touch": 1, "get_or_set": 2, "set_many": 1, "expire": 1}
"""Methods of a cache and the place of their timeout."""

FUNCTIONS = IMPORTED | dict.fromkeys(
    ("asyncio.gather", "asyncio.sleep", "asyncio.to_thread", "asyncio.wait", "asyncio.wait_for"), "coroutine function"
)
Names = dict[str, str]
AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def unawaited_faults(folder: Path) -> list[Fault]:
    """Return a fault for each call in the Python files under *folder* whose result was to be awaited."""
    files = {path: tree for path in project_files(folder) if (tree := parsed(path)) is not None}
    modules = {module_of(path, folder): _Module(tree) for path, tree in files.items()}
    for path, module in zip(files, modules.values(), strict=True):
        module.link(modules, path.parent.relative_to(folder).parts)
    found: list[Fault] = []
    for path, module in zip(files, modules.values(), strict=True):
        for line, text in module.faults():
            found.append(Fault(f"{path.relative_to(folder)}:{line}: {text}", code="TGA710"))
    return found


def project_files(folder: Path, suffixes: tuple[str, ...] = (".py",)) -> Iterator[Path]:
    """Yield the files under *folder*, in order; links, hidden folders and installed packages are left out.

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
    """Return the syntax tree of a Python file, None where it cannot be parsed."""
    try:
        with tokenize.open(path) as file:
            return ast.parse(file.read())
    except (SyntaxError, ValueError, OSError, RecursionError):  # importing it tells, if it is ever imported
        return None


def module_of(path: Path, folder: Path) -> str:
    """Return the dotted name by which files under *folder* import *path*."""
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@dataclass
class _Module:
    """One file: what its names stand for, and its faults."""

    tree: ast.Module
    names: Names = field(default_factory=Names)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict[ast.AST, ast.AST])
    own: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.own.add(node.name)
            if isinstance(node, ast.ImportFrom):
                found = {each.asname or each.name: FUNCTIONS.get(f"{node.module}.{each.name}") for each in node.names}
                self.names |= {name: kind for name, kind in found.items() if kind}
        self._take_definitions(self.tree.body, self.names)

    def link(self, modules: Mapping[str, "_Module"], package: tuple[str, ...]) -> None:
        """Add what the file, which lies in *package*, imports from others of the project."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    self._add_module(each.asname or each.name, modules.get(each.name))
            elif isinstance(node, ast.ImportFrom):
                around = package[: len(package) - node.level + 1] if node.level else ()
                source = ".".join([*around, *filter(None, [node.module])])
                known = modules[source].names if source in modules else {}
                for each in node.names:
                    name = each.asname or each.name
                    if each.name in known:
                        self.names[name] = known[each.name]
                    self._add_module(name, modules.get(f"{source}.{each.name}" if source else each.name))

    def _add_module(self, name: str, module: "_Module | None") -> None:
        for each, kind in list(module.names.items()) if module else ():
            if "." not in each:
                self.names[f"{name}.{each}"] = kind

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield line and sentence of each fault."""
        yield from sorted(set(self._walk(self.tree, self.names, {})))

    def _take_definitions(self, body: Iterable[ast.stmt], names: Names, around: Names | None = None) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.pop(node.name, None)
                if any(self._kind_of(each, around or names, {}) == "job decorator" for each in node.decorator_list[:1]):
                    names[node.name] = "job"
                is_coroutine = isinstance(node, ast.AsyncFunctionDef) or self._hands_on(node, around or names)
                if is_coroutine and not _is_wrapped(node):
                    names[node.name] = "coroutine function"
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                names.pop(node.targets[0].id, None)
                kind = self._kind_of(node.value, names, {})
                if kind in AWAITED or kind == "redis":
                    names[node.targets[0].id] = kind

    def _hands_on(self, node: ast.stmt, names: Names) -> bool:
        """Whether *node* is a plain function all of whose results are to be awaited by its caller."""
        if not isinstance(node, ast.FunctionDef):
            return False
        inner = _without_hidden(node, names)
        returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
        return bool(returned) and all(each and self._is_awaited(each, inner, {}) for each in returned)

    def _walk(self, node: ast.AST, names: Names, own: Names) -> Iterator[tuple[int, str]]:
        """Go through *node*, in which *names* are known, and *own* of `self`."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                methods: Names = {}
                self._take_definitions(child.body, methods, names)
                yield from self._walk(child, names, {"": _handler_kind(child), **methods})
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from self._walk(child, self._inner(child, names), own)
            else:
                yield from self._told(child, names, own)
                yield from self._walk(child, names, own)

    def _inner(self, function: AnyFunction, names: Names) -> Names:
        """The names within *function*: its arguments and variables hide those around it."""
        body = [] if isinstance(function, ast.Lambda) else list(function.body)
        inner = _without_hidden(function, names)
        nodes = [node for statement in body for node in ast.walk(statement)]
        times = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        once = [
            node for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            and times[node.targets[0].id] == 1
        ]  # fmt: skip
        self._take_definitions([*body, *once], inner)
        for node in nodes:
            for item in node.items if isinstance(node, ast.AsyncWith) else ():
                if isinstance(item.optional_vars, ast.Name) and self._kind_of(item.context_expr, inner, {}) == "scope":
                    inner[item.optional_vars.id] = "db session"
        return inner

    def _told(self, node: ast.AST, names: Names, own: Names) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.Call) and self._is_awaited(node, names, own) and self._is_used(node):
            yield node.lineno, f"`{_short(node)}` is not awaited. Write `await {_short(node)}`."
        elif isinstance(node, ast.Expr) and self._kind_of(node.value, names, own) in OPENED:
            yield node.lineno, f"`{_short(node)}` opens nothing. Write `async with {_short(node)}`."
        elif isinstance(node, ast.Compare):
            for operator, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(operator, ast.In | ast.NotIn) and self._kind_of(right, names, own) == "cache":
                    key = _short(node.left)
                    yield node.lineno, f"`{_short(node)}` does not ask the cache. Write `await cache.has_key({key})`."
        elif isinstance(node, ast.With):
            for item in node.items:
                if self._kind_of(item.context_expr, names, own) in OPENED:
                    yield node.lineno, f"`with {_short(item.context_expr)}` cannot wait. Write `async with`."

    def _is_used(self, call: ast.expr) -> bool:  # noqa: PLR0911  one for each form
        """Whether *call* stands where its result is dropped or taken for the value."""
        parent = self.parents[call]
        if isinstance(parent, ast.NamedExpr) or (isinstance(parent, ast.IfExp) and parent.test is not call):
            return self._is_used(parent)
        if isinstance(parent, ast.GeneratorExp) and parent.elt is call:
            return self._is_taken(parent)
        if self._is_taken(call) or isinstance(parent, ast.Match | ast.Subscript):
            return True
        if isinstance(parent, ast.Expr | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare | ast.Assert):
            return True
        if isinstance(parent, ast.FormattedValue | ast.Starred):
            return True
        if isinstance(parent, ast.If | ast.While | ast.IfExp):
            return parent.test is call
        if isinstance(parent, ast.For | ast.comprehension):
            return parent.iter is call and not getattr(parent, "is_async", 0)
        return isinstance(parent, ast.Attribute)

    def _is_taken(self, node: ast.AST) -> bool:
        """Whether a builtin takes *node* for a value, or `"...".format`."""
        parent = self.parents[node]
        if not isinstance(parent, ast.Call) or node is parent.func:
            return False
        func = parent.func
        if isinstance(func, ast.Name):
            return func.id in TAKERS - self.own
        return isinstance(func, ast.Attribute) and func.attr == "format" and isinstance(func.value, ast.Constant)

    def _is_awaited(self, node: ast.AST, names: Names, own: Names) -> bool:
        return self._kind_of(node, names, own).startswith("awaited")

    def _kind_of(self, node: ast.AST, names: Names, own: Names) -> str:
        """Return what *node* is: a kind of `kinds`, "awaited ..."; empty where it is not known for sure."""
        first, *steps = ("",) if isinstance(node, ast.Await | ast.BoolOp) else chain_of(node) or ("",)
        kind = own.get("", "") if first == "self" else names.get(first, "")
        for index, step in enumerate(steps):
            known, kind = kind, own.get(step[1:], "") if (first, index) == ("self", 0) else ""
            kind = kind or next_kind(known, step)
            if not kind and step == ".Q":
                kind = "query"
            elif not kind and not known and index == 0:
                is_model = step == ".session" and first[:1].isupper()
                dotted = f"{first}{step}"
                kind = "db session" if is_model else names.get(dotted) or FUNCTIONS.get(dotted, "")
        return kind


def has_zero_timeout(call: ast.Call) -> bool:
    """Whether *call* gives a cache a timeout of 0, by name or by place."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in TIMEOUTS:
        return False
    if "cache" not in ast.unparse(call.func.value):
        return False
    place = TIMEOUTS[call.func.attr]
    given = [*call.args[place : place + 1], *(each.value for each in call.keywords if each.arg == "timeout")]
    return any(isinstance(each, ast.Constant) and each.value == 0 and each.value is not False for each in given)


def _without_hidden(function: AnyFunction, names: Names) -> Names:
    """The names of *names* to which *function* gives no meaning of its own."""
    nodes = list(ast.walk(function))
    hidden = {node.arg for node in nodes if isinstance(node, ast.arg)}
    hidden |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {name: kind for name, kind in names.items() if name.partition(".")[0] not in hidden}


def _is_wrapped(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a decorator may give something else than a coroutine function, or it is a generator."""
    is_generator = any(isinstance(node, ast.Yield) for node in ast.walk(function))
    return bool(function.decorator_list) or is_generator


def _handler_kind(node: ast.ClassDef) -> str:
    """Return "socket" or "handler" for a class that inherits from one; else nothing."""
    bases = [ast.unparse(base) for base in node.bases]
    if any(base.endswith("WebSocketHandler") for base in bases):
        return "socket"
    return "handler" if any(base.endswith("Handler") for base in bases) else ""


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
