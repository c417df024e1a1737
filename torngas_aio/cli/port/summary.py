"""Summary of a file: names, classes, functions and calls, without the syntax tree, which is slow to pickle."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torngas_aio.cli.kinds import Chain, chain_of
from torngas_aio.cli.port import futures, syntax
from torngas_aio.cli.port.syntax import FunctionNode, Position, dotted, last_name

__all__ = ["Function", "Kind", "Module", "Use", "summarize"]

CONSUMERS = {
    "all", "any", "dict", "extend", "frozenset", "join", "list", "max", "min", "set", "sorted", "sum", "tuple",
}  # fmt: skip
"""Functions that accept a list in place of a generator expression."""

VALUE_CONTEXTS = (
    ast.Compare | ast.BoolOp | ast.UnaryOp | ast.If | ast.While | ast.BinOp | ast.Attribute | ast.Dict | ast.IfExp
)
ENDLESS = re.compile(r"True|1|(?:not )?self\.[\w.]+(?:\.is_set\(\))?")
"""Tests of a `while` that never ends of itself."""

PROPERTY = "a property cannot await"
PLAIN: Chain = ("{}",)
"""Chain of a list, tuple or dictionary of unknown values."""

CONTEXTS = {"contextmanager", "asynccontextmanager"}
PROPERTIES = {"property", "cached_property", "setter", "getter", "lazyproperty", "hybrid_property"}


@dataclass(slots=True)
class Use:
    """An expression that may have to be awaited: a call; the object of `in`, `with` or a loop.

    Attributes:
        form: "call", "in", "with", "for", "slice"; "open" for an object opened without `with`; "user" for
            `current_user`; "task" for a call whose result is awaited later, or that never returns; "text" and
            "arguments" for the reply and the arguments of a Redis command; "start" for module-level code that needs
            the project open.
        blocker: Why `await` is impossible here; empty if it is possible.
    """

    chain: Chain
    position: Position
    form: str = "call"
    blocker: str = ""
    is_awaited: bool = False

    @property
    def text(self) -> str:
        """The chain as source code, without its arguments."""
        return "".join(self.chain).replace("()", "(...)").replace("[]", "[...]")


@dataclass(slots=True)
class Function:
    """One function; module-level code is the function named "".

    Attributes:
        name: Qualified within its module: "Blog.get", "load", "load.inner".
        owner: Its class, for a method.
        blocker: Why it cannot be a coroutine function; empty if it can.
        variables: Local name: the chains assigned to it.
        hidden: Local names, which shadow those of the module.
        passed: Name of a callee and chain of an argument: the argument's position.
        returns: Chains that it returns, in the order of the text; empty for unknown values.
        receiver: The class that it is called on, if known.
        prefix: Common prefix of the methods that it looks up by `getattr`.
        is_context: Whether it is a context manager made of a generator.
        is_endless: Whether it is a coroutine function that never returns.
        parameters: Their names, in order.
        given: Arguments of its calls: the callee, the index or name of the argument, its chain.
        shared: Names declared `global`.
        decorators: Chains of its decorators.
    """

    name: str
    owner: str = ""
    line: int = 0
    is_async: bool = False
    blocker: str = ""
    variables: dict[str, list[Chain]] = field(default_factory=dict[str, list[Chain]])
    hidden: set[str] = field(default_factory=set[str])
    uses: list[Use] = field(default_factory=list[Use])
    passed: dict[tuple[str, Chain], Position] = field(default_factory=dict[tuple[str, Chain], Position])
    returns: list[Chain] = field(default_factory=list[Chain])
    receiver: str = ""
    prefix: str = ""
    is_context: bool = False
    is_endless: bool = False
    parameters: list[str] = field(default_factory=list[str])
    given: list[tuple[Chain, int | str, Chain]] = field(default_factory=list[tuple[Chain, int | str, Chain]])
    shared: set[str] = field(default_factory=set[str])
    decorators: list[Chain] = field(default_factory=list[Chain])

    def chains(self, name: str) -> list[Chain]:
        """Return the known chains assigned to the variable *name*."""
        return [each for each in self.variables.get(name, ()) if each not in ((), PLAIN)]

    @property
    def returned(self) -> Chain:
        """The last known chain that it returns; empty if there is none."""
        return next(filter(None, reversed(self.returns)), ())


@dataclass(slots=True)
class Kind:
    """One class.

    Attributes:
        attributes: Name: the method that first assigns it, empty for the class body, and the chain assigned.
    """

    name: str
    bases: list[Chain]
    methods: set[str] = field(default_factory=set[str])
    attributes: dict[str, tuple[str, Chain]] = field(default_factory=dict[str, tuple[str, Chain]])


@dataclass(slots=True)
class Module:
    """One file.

    Attributes:
        reads: Attributes that are read without a call: name, line, whether the value itself is used there.
        stars: Modules imported by `import *`.
    """

    path: str
    name: str
    imports: dict[str, str] = field(default_factory=dict[str, str])
    stars: list[str] = field(default_factory=list[str])
    reads: set[tuple[str, int, bool]] = field(default_factory=set[tuple[str, int, bool]])
    classes: dict[str, Kind] = field(default_factory=dict[str, Kind])
    functions: dict[str, Function] = field(default_factory=dict[str, Function])


def summarize(tree: ast.Module, path: str, name: str) -> Module:
    """Return the summary of the file *path*, whose module is *name*."""
    module = Module(path, name)
    module.functions[""] = Function("")
    _Reader(module, tree).read(tree.body, module.functions[""])
    return module


class _Reader:
    def __init__(self, module: Module, tree: ast.Module) -> None:
        self._module = module
        self._parents = syntax.parents_of(tree)
        self._kept = {name for name in futures.held_names(self._parents) if name.startswith("self.")}
        self._held = self._kept | futures.held_names(syntax.own_nodes(tree.body, FunctionNode | ast.ClassDef))

    def read(self, nodes: Iterable[ast.AST], function: Function) -> None:
        """Record *nodes*, which belong to *function*."""
        for node in syntax.own_nodes(nodes, FunctionNode | ast.ClassDef):
            if isinstance(node, ast.ClassDef):
                self._add_class(node, function)
            elif isinstance(node, FunctionNode):
                self._add_function(node, function, "")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._add_import(node)
            elif isinstance(node, ast.Call):
                self._add_call(node, function)
            elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
                self._add_use(function, node.comparators[0], node, "in")
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
                self._add_use(function, node.value, node, "slice")
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                self._add_attribute(node, function)
            elif isinstance(node, ast.Return):
                function.returns.append(chain_of(node.value) if node.value else ())
            else:
                self._add_binding(node, function)

    def _add_call(self, call: ast.Call, function: Function) -> None:
        around = self._parents[call]
        is_async_iterated = isinstance(around, ast.AsyncFor) or getattr(around, "is_async", False)
        node = futures.holder_of(call, self._parents)
        parent = self._parents[node]
        takers = futures.TAKES_AWAITABLES
        if isinstance(parent, ast.Lambda):
            node, parent, takers = parent, self._parents[parent], futures.LOOP_CALLS
        taker = "" if getattr(parent, "func", None) is node else futures.taker_of(parent)
        if not is_async_iterated and taker not in takers:
            is_task = taker in futures.TAKES_FUTURES or futures.is_held(parent, self._held)
            self._add_use(function, call, call, "task" if is_task else "call")
        arguments: list[tuple[int | str, ast.expr]] = [*enumerate(call.args)]
        arguments += [(each.arg or "", each.value) for each in call.keywords]
        for place, each in arguments:
            chain = _value_of(each)
            if dotted(each):
                function.passed[last_name(call), chain] = syntax.position_of(each)
            if chain and (callee := chain_of(call.func)):
                function.given.append((callee, place, chain))
        if last_name(call) == "getattr" and len(call.args) > 1:
            text = next((each for each in ast.walk(call.args[1]) if isinstance(each, ast.Constant)), ast.Constant(""))
            function.prefix = str(text.value).partition("%")[0].partition("{")[0]

    def _add_attribute(self, node: ast.Attribute, function: Function) -> None:
        parent = self._parents[node]
        if node.attr == "current_user":
            self._add_use(function, node.value, node, "user")
        if not (isinstance(parent, ast.Call) and parent.func is node):
            self._module.reads.add((node.attr, node.lineno, isinstance(parent, VALUE_CONTEXTS)))

    def _add_binding(self, node: ast.AST, function: Function) -> None:
        if isinstance(node, ast.With | ast.AsyncWith):
            self._add_with(node, function)
        elif isinstance(node, ast.For | ast.comprehension | ast.AsyncFor):
            if not isinstance(node, ast.AsyncFor) and not getattr(node, "is_async", False):
                self._add_use(function, node.iter, node.iter, "for")
            chain = _value_of(node.iter)
            self._bind(node.target, (*chain, "[]") if chain else (), function)
        elif isinstance(node, ast.Assign | ast.NamedExpr):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self._add_use(function, node.value, node.value, "open")
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self._assign(target, node.value, function)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, node.value, function)
        elif isinstance(node, ast.Global):
            function.shared |= set(node.names)

    def _assign(self, target: ast.AST, value: ast.expr, function: Function) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for each, part in zip(target.elts, value.elts, strict=True):
                self._assign(each, part, function)
        else:
            for each in _values_of(value):
                self._bind(target, _value_of(each), function)

    def _add_with(self, node: ast.With | ast.AsyncWith, function: Function) -> None:
        several = "a `with` of several items cannot be `async with` for one: give it a block of its own"
        for item in node.items:
            if isinstance(node, ast.With):
                self._add_use(function, item.context_expr, node, "with", several if len(node.items) > 1 else "")
            if item.optional_vars is not None:
                chain = chain_of(item.context_expr)
                self._bind(item.optional_vars, (*chain, "as") if chain else (), function)

    def _add_use(self, function: Function, what: ast.AST, where: ast.AST, form: str, blocker: str = "") -> None:
        chain = chain_of(what)
        if not chain:
            return
        for each in syntax.deferred_around(where, self._parents):
            if isinstance(each, ast.Lambda):
                if chain[0] in {name.arg for name in ast.walk(each.args) if isinstance(name, ast.arg)}:
                    return
                blocker = blocker or "a lambda cannot await"
            elif not self._is_consumed(each):
                blocker = blocker or "a generator expression that awaits is an async iterator"
        node = where
        while futures.is_chosen(node, self._parents[node]):
            node = self._parents[node]
        is_awaited = isinstance(self._parents[node], ast.Await)
        function.uses.append(Use(chain, syntax.position_of(where), form, blocker, is_awaited))

    def _is_consumed(self, generator: ast.AST) -> bool:
        call = self._parents[generator]
        return isinstance(call, ast.Call) and call.args == [generator] and last_name(call) in CONSUMERS

    def _bind(self, target: ast.AST, chain: Chain, function: Function) -> None:
        if isinstance(target, ast.Name) and target.id in function.shared:
            self._module.functions[""].variables.setdefault(target.id, []).append(chain)
        elif isinstance(target, ast.Name):
            function.hidden.add(target.id)
            if chain != (target.id,):
                function.variables.setdefault(target.id, []).append(chain)
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._bind(each, (), function)
        elif isinstance(target, ast.Attribute) and dotted(target.value) == "self" and chain not in ((), PLAIN):
            kind = self._module.classes.get(function.owner)
            if kind is not None:
                kind.attributes.setdefault(target.attr, (function.name, chain))

    def _add_class(self, node: ast.ClassDef, function: Function) -> None:
        kind = Kind(node.name, [chain for base in node.bases if (chain := chain_of(base))])
        self._module.classes[node.name] = kind
        for each in node.body:
            if isinstance(each, FunctionNode):
                kind.methods.add(each.name)
                self._add_function(each, function, node.name)
            elif isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                if (chain := _value_of(each.value)) not in ((), PLAIN):
                    kind.attributes.setdefault(each.targets[0].id, ("", chain))
                self.read([each.value], function)
            else:
                self.read([each], function)

    def _add_function(self, node: FunctionNode, outer: Function, owner: str) -> None:
        prefix = f"{owner}." if owner else f"{outer.name}." if outer.name else ""
        names = [each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)]
        decorators = syntax.decorators_of(node)
        made = Function(
            f"{prefix}{node.name}", owner or outer.owner, node.lineno, isinstance(node, ast.AsyncFunctionDef),
            _blocker(node, owner, decorators), hidden=set(names), parameters=names,
            is_context=bool(decorators & CONTEXTS), is_endless=_is_endless(node),
            decorators=[*filter(None, map(chain_of, node.decorator_list))],
        )  # fmt: skip
        self._module.functions[made.name] = made
        for name, default in _defaults_of(node.args):
            if chain := chain_of(default):
                made.variables[name] = [chain]
        self.read([*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)], outer)
        held, self._held = self._held, self._kept | futures.held_names(ast.walk(node))
        self.read(node.body, made)
        self._held = held

    def _add_import(self, node: ast.Import | ast.ImportFrom) -> None:
        where = ""
        if isinstance(node, ast.ImportFrom):
            is_package = self._module.path.endswith("__init__.py")
            package = self._module.name.split(".")[: None if is_package else -1]
            base = package[: len(package) - node.level + 1] if node.level else []
            where = ".".join([*base, *([node.module] if node.module else [])])
        found = syntax.imports_of(node, where)
        self._module.stars += [where] if found.pop("*", "") else []
        self._module.imports |= found


def _defaults_of(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    """Yield the parameters that have a default, with the default."""
    given = [*arguments.posonlyargs, *arguments.args]
    pairs: list[tuple[ast.arg, ast.expr | None]] = [*zip(given[::-1], arguments.defaults[::-1], strict=False)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((name.arg, default) for name, default in pairs if default)


def _value_of(node: ast.AST) -> Chain:
    """Return the chain of *node*; for a list, tuple or dictionary, that of its first element followed by "{}"."""
    elements: list[ast.expr] = getattr(node, "elts", []) or getattr(node, "values", [])
    if not isinstance(node, ast.List | ast.Tuple | ast.Dict):
        return chain_of(node)
    return (*(chain_of(elements[0]) if elements else ()), *PLAIN)


def _values_of(node: ast.expr) -> list[ast.expr]:
    """Return the possible values of *node*: the branches of a condition, the function of a `partial`."""
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return node.args[:1] if isinstance(node, ast.Call) and last_name(node) == "partial" else [node]


def _is_endless(node: FunctionNode) -> bool:
    """Whether *node* is a coroutine function that ends in a `while True` or the like, without a way out."""
    loop = node.body[-1]
    if not isinstance(node, ast.AsyncFunctionDef) or not isinstance(loop, ast.While):
        return False
    own = syntax.own_nodes(loop.body, FunctionNode | ast.ClassDef)
    is_left = any(isinstance(each, ast.Break | ast.Return | ast.Raise) for each in own)
    return ENDLESS.fullmatch(ast.unparse(loop.test)) is not None and not is_left


def _blocker(node: FunctionNode, owner: str, decorators: set[str]) -> str:
    if owner and node.name.startswith("__") and node.name.endswith("__"):
        return f"`{node.name}` cannot be a coroutine function"
    if decorators & PROPERTIES:
        return PROPERTY
    if decorators & CONTEXTS:
        return ""
    own = syntax.own_nodes(node.body, FunctionNode | ast.ClassDef | ast.Lambda)
    return "a generator cannot await" if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own) else ""
