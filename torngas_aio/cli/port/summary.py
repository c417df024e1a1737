"""What a file says about its names, classes, functions and calls, without its syntax tree: small, and quick to pickle.

Begin with `summarize`.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torngas_aio.cli.port.edits import FunctionNode, dotted
from torngas_aio.cli.port.kinds import Chain, chain_of

__all__ = ["Function", "Kind", "Module", "Position", "Use", "summarize"]

Position = tuple[int, int, int, int]
TAKES_AWAITABLES = {
    "multi", "multi_future", "gather", "wait", "wait_for", "with_timeout", "ensure_future", "create_task",
    "maybe_future", "convert_yielded", "run", "run_until_complete", "add_future", "shield", "as_completed",
}  # fmt: skip
"""Functions that await what they are given."""

CONSUMERS = {
    "all", "any", "dict", "extend", "frozenset", "join", "list", "max", "min", "set", "sorted", "sum", "tuple",
}  # fmt: skip
"""Functions to which a list is as good as a generator expression."""

PROPERTIES = {"property", "cached_property", "setter", "getter", "lazyproperty", "hybrid_property"}


@dataclass(slots=True)
class Use:
    """A place that may have to await: a call; the object of `in`, `with` or a loop.

    Attributes:
        form: "call", "in", "with", "for"; "open" for what is opened without `with`; "text" and "arguments" for what
            a command of a Redis client gives and takes.
        blocker: Why `await` cannot stand here; empty where it can.
    """

    chain: Chain
    position: Position
    form: str = "call"
    blocker: str = ""
    is_awaited: bool = False
    arguments: int = 0


@dataclass(slots=True)
class Function:
    """One function; the module's own code is the one that is named "".

    Attributes:
        name: Qualified within its module: "Blog.get", "load", "load.inner".
        owner: The class that it is a method of.
        receiver: The class that it is called on, where that is known.
        blocker: Why it cannot be a coroutine function; empty where it can.
        first: Its first parameter.
        decorators: The chains of its decorators.
    """

    name: str
    owner: str = ""
    line: int = 0
    is_async: bool = False
    blocker: str = ""
    variables: dict[str, list[Chain]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    uses: list[Use] = field(default_factory=list)
    passed: set[tuple[str, Chain]] = field(default_factory=set)
    returned: Chain = ()
    receiver: str = ""
    first: str = ""
    decorators: list[Chain] = field(default_factory=list)


@dataclass(slots=True)
class Kind:
    """One class."""

    name: str
    bases: list[str]
    methods: set[str] = field(default_factory=set)
    attributes: dict[str, Chain] = field(default_factory=dict)


@dataclass(slots=True)
class Module:
    """One file."""

    path: str
    name: str
    imports: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    classes: dict[str, Kind] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)


def summarize(tree: ast.Module, path: str, name: str) -> Module:
    """Return the summary of the file *path*, whose module is *name*."""
    module = Module(path, name)
    module.functions[""] = Function("")
    _Walk(module).body(tree.body, module.functions[""], "")
    return module


class _Walk:
    def __init__(self, module: Module) -> None:
        self._module = module
        self._noted: set[int] = set()  # their children are still to be visited
        self._visited: set[int] = set()
        self._lists: set[int] = set()  # generator expressions that may be lists

    def body(self, statements: list[ast.stmt], function: Function, blocker: str) -> None:
        for each in statements:
            self._visit(each, function, blocker)

    def _visit(self, node: ast.AST, function: Function, blocker: str) -> None:
        if id(node) in self._visited:
            return
        if isinstance(node, ast.ClassDef):
            self._take_class(node, function)
            return
        if isinstance(node, FunctionNode):
            self._take_function(node, function, "")
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._take_import(node)
            return
        if isinstance(node, ast.Lambda):
            blocker = "a lambda cannot await"
        elif isinstance(node, ast.GeneratorExp):  # its first iterable is evaluated outside of it
            self._note(node.generators[0], function, blocker)
            self._visit(node.generators[0].iter, function, blocker)
            self._noted.add(id(node.generators[0]))
            self._visited.add(id(node.generators[0].iter))
            is_list = id(node) in self._lists
            blocker = blocker if is_list else "a generator expression that awaits is an async iterator"
        elif isinstance(node, ast.Await):
            self._visit_awaited(node, function, blocker)
            return
        if id(node) not in self._noted:
            self._note(node, function, blocker)
        for child in ast.iter_child_nodes(node):
            self._visit(child, function, blocker)

    def _visit_awaited(self, node: ast.Await, function: Function, blocker: str) -> None:
        before = len(function.uses)
        self._visit(node.value, function, blocker)
        for use in function.uses[before : before + 1]:
            use.is_awaited = use.position == _position(node.value)

    def _note(self, node: ast.AST, function: Function, blocker: str) -> None:
        if isinstance(node, ast.Call):
            self._add(function, node, node, "call", blocker)
            callee = ast.unparse(node.func).rpartition(".")[2]
            if callee in CONSUMERS and len(node.args) == 1:
                self._lists.add(id(node.args[0]))
            if callee in TAKES_AWAITABLES:
                self._noted.update(id(each) for each in _given(node.args))
            for each in [*node.args, *(key.value for key in node.keywords)]:
                if dotted(each):
                    function.passed.add((callee, chain_of(each)))
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            self._add(function, node.comparators[0], node, "in", blocker)
        elif isinstance(node, ast.Return) and node.value is not None:
            function.returned = chain_of(node.value) or function.returned
        else:
            self._note_binding(node, function, blocker)

    def _note_binding(self, node: ast.AST, function: Function, blocker: str) -> None:
        if isinstance(node, ast.With | ast.AsyncWith):
            self._note_with(node, function, blocker)
        elif isinstance(node, ast.For | ast.comprehension | ast.AsyncFor):
            if isinstance(node, ast.AsyncFor) or getattr(node, "is_async", False):
                self._noted.add(id(node.iter))  # it waits already
            else:
                self._add(function, node.iter, node.iter, "for", blocker)
            chain = chain_of(node.iter)
            self._bind(node.target, (*chain, "[]") if chain else (), function)
        elif isinstance(node, ast.Assign | ast.NamedExpr):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self._add(function, node.value, node.value, "open", blocker)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self._bind(target, chain_of(node.value), function)

    def _note_with(self, node: ast.With | ast.AsyncWith, function: Function, blocker: str) -> None:
        if len(node.items) > 1:
            blocker = blocker or "a `with` of several items cannot be `async with` for one: give it a block of its own"
        for item in node.items:
            if isinstance(node, ast.With):
                self._add(function, item.context_expr, node, "with", blocker)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, chain_of(item.context_expr), function)

    def _add(self, function: Function, what: ast.AST, where: ast.AST, form: str, blocker: str) -> None:
        if chain := chain_of(what):
            arguments = len(where.args) if isinstance(where, ast.Call) else 0
            function.uses.append(Use(chain, _position(where), form, blocker, arguments=arguments))

    def _bind(self, target: ast.AST, chain: Chain, function: Function) -> None:
        if isinstance(target, ast.Name):
            function.hidden.add(target.id)
            if chain and (chain[0] != target.id or len(chain) > 1):
                function.variables.setdefault(target.id, []).append(chain)
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._bind(each, (), function)
        elif isinstance(target, ast.Attribute) and dotted(target.value) == "self" and chain:
            kind = self._module.classes.get(function.owner)
            if kind is not None:
                kind.attributes.setdefault(target.attr, chain)

    def _take_class(self, node: ast.ClassDef, function: Function) -> None:
        kind = Kind(node.name, [name for base in node.bases if (name := dotted(base))])
        self._module.classes[node.name] = kind
        for each in node.body:
            if isinstance(each, FunctionNode):
                kind.methods.add(each.name)
                self._take_function(each, function, node.name)
            elif isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                if chain := chain_of(each.value):
                    kind.attributes.setdefault(each.targets[0].id, chain)
                self._visit(each.value, function, "")
            else:
                self._visit(each, function, "")

    def _take_function(self, node: FunctionNode, outer: Function, owner: str) -> None:
        prefix = f"{owner}." if owner else f"{outer.name}." if outer.name else ""
        made = Function(f"{prefix}{node.name}", owner or outer.owner, node.lineno)
        made.is_async = isinstance(node, ast.AsyncFunctionDef)
        made.blocker = _blocker(node, owner)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        made.hidden = {each.arg for each in every if each is not None}
        made.first = next((each.arg for each in every if each is not None), "")
        made.decorators = [chain for each in node.decorator_list if (chain := chain_of(each))]
        self._module.functions[made.name] = made
        for each in node.decorator_list:
            self._visit(each, outer, "")
        self.body(node.body, made, "")

    def _take_import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = self._module.imports
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                names[each.asname or top] = each.name if each.asname else top
            return
        package = self._module.name.split(".")
        if not self._module.path.endswith("__init__.py"):
            package = package[:-1]
        base = package[: len(package) - node.level + 1] if node.level else []
        where = ".".join([*base, *([node.module] if node.module else [])])
        for each in node.names:
            if each.name == "*":
                self._module.stars.append(where)
            else:
                names[each.asname or each.name] = f"{where}.{each.name}" if where else each.name


def _position(node: ast.AST) -> Position:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _given(arguments: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """The expressions of *arguments*, and of lists, dicts and comprehensions among them."""
    for each in arguments:
        if isinstance(each, ast.List | ast.Tuple | ast.Set):
            yield from _given(each.elts)
        elif isinstance(each, ast.Dict):
            yield from _given(each.values)
        elif isinstance(each, ast.ListComp | ast.GeneratorExp):
            yield each.elt
        elif isinstance(each, ast.DictComp):
            yield each.value
        elif isinstance(each, ast.Starred):
            yield from _given([each.value])
        else:
            yield each


def _blocker(node: FunctionNode, owner: str) -> str:
    if owner and node.name.startswith("__") and node.name.endswith("__"):
        return f"`{node.name}` cannot be a coroutine function"
    if any(dotted(each).rpartition(".")[2] in PROPERTIES for each in node.decorator_list):
        return "a property cannot await"
    if _yields(node.body):
        return "a generator cannot await"
    return ""


def _yields(body: list[ast.stmt]) -> bool:
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo += ast.iter_child_nodes(node)
    return False
