"""Name resolution through a project's files, classes, functions and arguments: `Names.resolve` returns a kind.

"class:path|Name"   "instance:path|Name"   "func:path|Name.method"   "result:...": the result of calling a "func:"
a kind of `kinds`: "cache", "query of path|Post", "awaited giving rows"   "each:...": a list or dictionary of these
"mixed:...": a parameter that receives such an object from some callers, a list or dictionary from others
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from torngas_aio.cli.kinds import AWAITED, IMPORTED, Chain, next_kind
from torngas_aio.cli.port.summary import PLAIN, PROPERTY, Function, Kind, Module

__all__ = ["Key", "Names", "key_of"]

Key = tuple[str, str]
"""Path of a file, qualified name of a function."""

TORNADO_CASES = {"AsyncTestCase", "AsyncHTTPTestCase", "AsyncHTTPSTestCase"}
OBJECTS = AWAITED.keys() | {"redis", "redis client"}
"""Kinds of objects that are followed into the functions that receive them as arguments."""

DEPTH = 12
ROUNDS = 3
"""Number of calls through which an argument is followed."""

SCOPES = 40
"""Depth to which functions resolve variables through each other; bounded by Python's recursion limit."""


class Names:
    """All files of a project, and the resolution of their names.

    Args:
        is_plain: Whether the project keeps Tornado's handlers, and its own sessions and databases.
        is_sure: Resolve a name only if all of its values are known and of one kind; guess nothing.
        known: Dotted name of an imported object: its kind.

    Attributes:
        methods: Name: the methods of that name.
        tests: Class with an external test case as its base: "tornado" or "unittest".
    """

    def __init__(
        self, modules: Iterable[Module], *, is_plain: bool = False, is_sure: bool = False,
        known: Mapping[str, str] = IMPORTED,
    ) -> None:  # fmt: skip
        self.modules = {module.path: module for module in modules}
        self.methods: dict[str, list[Key]] = defaultdict(list)
        self.tests: dict[Key, str] = {}
        self.is_plain = is_plain
        self._is_sure = is_sure
        self._imported = known
        self._packages = {name[: end.start()] for name in known for end in re.finditer(r"\.", name)}
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._subclasses: dict[Key, list[Key]] = defaultdict(list)
        self._bases: dict[Key, list[Key]] = defaultdict(list)
        self._handlers: dict[Key, str] = {}
        self._stars: dict[Key, str] = {}
        self._variables: dict[tuple[str, str, str], dict[str, str]] = {}
        self._given: dict[Key, dict[str, str]] = defaultdict(dict)
        self._mixed: set[tuple[Key, str]] = set()
        self._resolving: list[tuple[str, str, str]] = []
        for module in self.modules.values():
            parts = module.name.split(".")
            for start in range(1 if is_sure else len(parts)):
                self._paths[".".join(parts[start:])].append(module.path)
        for module in self.modules.values():
            for kind in module.classes.values():
                self._add_class(module, kind)
        if not is_sure:
            self._follow_arguments()

    def resolve(self, chain: Chain, path: str, function: Function | None, depth: int = 0) -> str:
        """Return the kind of *chain* in *function* of the file *path*; empty if it is unknown."""
        if not chain or depth > DEPTH:
            return ""
        if chain[0].startswith("super("):
            named = chain[0][6:-1] or (function.owner if function is not None else "")
            found = self._name(named, path, None, depth)
            kind = f"super:{found[6:]}" if found.startswith("class:") else ""
        else:
            kind = self._name(chain[0], path, function, depth)
        for index, step in enumerate(chain[1:], 1):
            if not kind and step == ".Q" and not self.is_plain:
                kind = "query"
            elif not kind and index == 1 and chain[0][:1].isupper() and not self.is_plain:
                kind = "db session" if step == ".session" else ""
            else:
                kind = self._step(kind, step, depth)
        return kind

    def function(self, key: Key) -> Function:
        """Return the function *key*."""
        return self.modules[key[0]].functions[key[1]]

    def is_handler(self, kind: Key) -> bool:
        """Whether the class *kind* is a request handler."""
        return not self._handlers.keys().isdisjoint(self.reached(kind))

    def is_imported(self, path: str) -> bool:
        """Whether another file of the project imports the file *path*."""
        name = self.modules[path].name
        for other in self.modules.values():
            for target in [*other.imports.values(), *other.stars] if other.path != path else ():
                if f"{target}.".startswith(f"{name}.") or name.endswith(f".{target}"):
                    return True
        return False

    def test_kind(self, kind: Key) -> str:
        """Return "tornado" or "unittest" for a test case, empty for other classes."""
        return next((self.tests[each] for each in self.reached(kind) if each in self.tests), "")

    def family(self, kind: Key) -> list[Key]:
        """Return the class *kind*, its base classes and its subclasses."""
        return [*self.reached(kind), *self.reached(kind, is_up=False)[1:]]

    def methods_of(self, kinds: list[Key]) -> list[Key]:
        """Return the methods of the classes *kinds*."""
        return [(path, f"{kind}.{each}") for path, kind in kinds for each in self.modules[path].classes[kind].methods]

    def overrides(self, key: Key) -> list[Key]:
        """Return the methods of the same name in base classes and subclasses."""
        owner, _, name = key[1].rpartition(".")
        family = self.family((key[0], owner))[1:] if owner in self.modules[key[0]].classes else []
        return [each for each in self.methods_of(family) if each[1].rpartition(".")[2] == name]

    def valued(self, kind: str) -> str:
        """Return *kind*, or for the result of a function, the kind that the function returns."""
        for depth in range(DEPTH):
            kind = self._result(kind, depth) if kind.startswith("result:") else kind
        return kind

    def is_foreign(self, chain: Chain, key: Key) -> bool:
        """Whether *chain*, in the function *key*, starts with a module, name or object of another package."""
        first, function = chain[0], self.function(key)
        if first == "self" and function.owner and len(chain) > 1:
            for path, owner in self.reached((key[0], function.owner)):
                where, value = self.modules[path].classes[owner].attributes.get(chain[1][1:], ("", ()))
                if value:
                    return self._is_outside(value[0], (path, where))
        return self._is_outside(first, key)

    def _is_outside(self, name: str, key: Key) -> bool:
        """Whether *name*, or a value assigned to it in the function *key*, is imported from another package."""
        imports = self.modules[key[0]].imports
        roots = {name, *(value[0] for value in self.function(key).chains(name))}
        return any(each in imports and not self.resolve((each,), key[0], None) for each in roots)

    def class_of(self, chain: Chain, path: str) -> Key | None:
        """Return the project's class that *chain*, in the file *path*, is or is an instance of."""
        kind = self.resolve(chain, path, None)
        return key_of(kind) if kind.startswith(("class:", "instance:")) else None

    def reached(self, kind: Key, *, is_up: bool = True) -> list[Key]:
        """Return the class *kind* and its base classes, nearest first, or its subclasses."""
        table, found = self._bases if is_up else self._subclasses, [kind]
        for each in found:
            found += [other for other in table.get(each, ()) if other not in found]
        return found

    def _add_class(self, module: Module, kind: Kind) -> None:
        key = (module.path, kind.name)
        for name in kind.methods:
            self.methods[name].append((module.path, f"{kind.name}.{name}"))
        for chain in kind.bases:
            base = self.class_of(chain, module.path)
            if base is not None and base != key:
                self._bases[key].append(base)
                self._subclasses[base].append(key)
            elif chain[-1].endswith("Handler") and chain[0] != "logging":
                self._handlers[key] = "socket" if chain[-1].endswith("WebSocketHandler") else "handler"
            elif (name := "".join([module.imports.get(chain[0], chain[0]), *chain[1:]])).endswith("TestCase"):
                if name.rpartition(".")[2] in TORNADO_CASES:
                    self.tests[key] = "tornado"
                elif name.partition(".")[0] in ("unittest", "unittest2"):
                    self.tests[key] = "unittest"

    def _follow_arguments(self) -> None:
        """Record the kinds of the arguments that the project's functions receive, for the kinds in `OBJECTS`."""
        modules = self.modules.values()
        names = {name.rpartition(".")[2] for module in modules for name in [*module.functions, *module.classes]}
        for _ in range(ROUNDS):
            self._variables.clear()  # some may depend on arguments found in the last round
            count = sum(map(len, self._given.values()))
            for module in modules:
                for function in module.functions.values():
                    for callee, place, chain in function.given:
                        if callee[-1].lstrip(".") in names:
                            self._record_argument(module.path, function, callee, place, chain)
            if sum(map(len, self._given.values())) == count:
                break
        for key, name in self._mixed:
            if name in self._given[key]:
                self._given[key][name] = f"mixed:{self._given[key][name]}"
        self._variables.clear()

    def _record_argument(self, path: str, function: Function, callee: Chain, place: int | str, chain: Chain) -> None:
        """Record that *function* passes *chain* to *callee*, a function of the project, as its argument *place*."""
        kind = self.resolve(callee, path, function)
        if kind.startswith("class:"):
            kind = self._step(kind.replace("class:", "instance:", 1), ".__init__", 0)
        if not kind.startswith("func:"):
            return
        key = key_of(kind)
        called = self.function(key)
        names = called.parameters[1:] if called.parameters[:1] in (["self"], ["cls"]) else called.parameters
        name = place if isinstance(place, str) else "".join(names[place : place + 1])
        what = self.resolve(chain, path, function) if name in names else ""
        if name and self._is_plain_value(chain, function):
            self._mixed.add((key, name))
        if what and what.partition(" of ")[0] in OBJECTS:
            self._given[key].setdefault(name, what)

    def _is_plain_value(self, chain: Chain, function: Function) -> bool:
        values = function.variables.get(chain[0], [chain]) if len(chain) == 1 else [chain]
        return all(each[-1:] == PLAIN for each in values)

    def _name(self, name: str, path: str, function: Function | None, depth: int) -> str:
        module = self.modules[path]
        scope = function
        while scope is not None and scope.name:
            if name in scope.hidden:
                return self._local(name, path, scope)
            inner = f"{scope.name}.{name}"
            if inner in module.functions and scope.name not in module.classes:
                return f"func:{path}|{inner}"
            scope = module.functions.get(scope.name.rpartition(".")[0])
        if name in module.classes:
            return f"class:{path}|{name}"
        if name in module.functions and name:
            return f"func:{path}|{name}"
        if module.functions[""].chains(name) or (self._is_sure and name in module.functions[""].variables):
            return self._known(path, module.functions[""]).get(name, "")
        return self._dotted(module.imports[name], depth) if name in module.imports else self._starred(name, path, depth)

    def _starred(self, name: str, path: str, depth: int) -> str:
        """Return the kind of *name* by the last `import *` of the file *path* that provides it."""
        if (path, name) not in self._stars:
            self._stars[path, name] = ""  # ends the recursion of circular imports
            for star in self.modules[path].stars:
                paths = self._paths.get(star, [])
                is_own = len(paths) == 1
                kind = self._name(name, paths[0], None, depth + 1) if is_own else self._imported.get(f"{star}.{name}")
                self._stars[path, name] = kind or self._stars[path, name]
        return self._stars[path, name]

    def _local(self, name: str, path: str, scope: Function) -> str:
        is_unsure = self._is_sure and name in scope.parameters
        if scope.chains(name) or name in self._given.get((path, scope.name), {}):
            return "" if is_unsure else self._known(path, scope).get(name, "")
        if name in ("self", "cls") and scope.owner:
            return f"{'instance' if name == 'self' else 'class'}:{scope.receiver or f'{path}|{scope.owner}'}"
        return "handler" if name == "handler" and not (self._is_sure or self.is_plain) else ""

    def _known(self, path: str, scope: Function) -> dict[str, str]:
        """Return the kinds of the variables of *scope*, each by the first of its values that is known.

        Resolved together, in rounds: one by one, variables that are assigned to each other take exponential time.
        """
        key = (path, scope.name, scope.receiver)
        if key in self._variables or len(self._resolving) > SCOPES:
            return self._variables.get(key, {})
        # Stored before it is complete, for scopes that resolve each other.
        found = self._variables[key] = dict(self._given.get((path, scope.name), {}))
        self._resolving.append(key)
        count, function = -1, scope if scope.name else None
        while count < len(found):
            count = len(found)
            for name, chains in scope.variables.items():
                kinds = (self.resolve(each, path, function if each != (name,) else None) for each in chains)
                if name not in found and (kind := next((each for each in kinds if each not in ("", "awaited")), "")):
                    found[name] = kind
        while self._is_sure and (unsure := [name for name, kind in found.items() if any(
            self.resolve(each, path, function) != kind for each in scope.variables[name])]):  # fmt: skip
            for name in unsure:
                del found[name]
        self._resolving.pop()
        return found

    def _dotted(self, target: str, depth: int) -> str:
        if target in self._imported:
            return self._imported[target]
        if target in self._packages:
            return f"module:{target}"
        parts = target.split(".")
        for length in range(len(parts), 0, -1):
            paths = self._paths.get(".".join(parts[:length]), [])
            if len(paths) == 1:
                kind = f"file:{paths[0]}"
                for part in parts[length:]:
                    kind = self._step(kind, f".{part}", depth + 1)
                return kind
        return ""

    def _step(self, kind: str, step: str, depth: int) -> str:  # noqa: PLR0911  one for each kind
        form, _, rest = kind.partition(":")
        if depth > DEPTH:
            return ""
        if step in ("{}", "as") or form.startswith(("each", ".")):
            return _element(kind, step)
        if form == "mixed":
            return f"mixed:{found}" if (found := self._step(rest, step, depth + 1)) else ""
        if form == "module":
            return self._dotted(f"{rest}{step}", depth) if step[:1] == "." else ""
        if form == "file":
            return self._name(step[1:], rest, None, depth + 1)
        if form == "func":
            return self._called(rest, step, depth)
        if form == "result":
            return self._step(self._result(kind, depth), step, depth + 1)
        if form in ("class", "instance", "super"):
            return self._member(form, key_of(kind), step, depth)
        what, _, model = kind.removeprefix("awaited giving ").partition(" of ")
        if model and (what == "one" or (step == "[]" and what in ("query", "rows"))):
            found = f"instance:{model}"
            return found if step == "[]" else self._step(found, step, depth + 1)
        found = next_kind(what, step)
        return f"{found} of {model}" if model and found.endswith(("one", "rows", "page", "query")) else found

    def _called(self, name: str, step: str, depth: int) -> str:
        """Return the kind of *step* on the function *name*, a path and a qualified name."""
        path = name.partition("|")[0]
        decorators = self.function(key_of(f"func:{name}")).decorators
        if decorators and self.resolve(decorators[0], path, None, depth + 1) == "job decorator":
            return next_kind("job", step)
        return f"result:{name}" if step == "()" and not (self._is_sure and decorators) else ""

    def _result(self, kind: str, depth: int) -> str:
        """Return the kind that the function of *kind* returns."""
        path, name = key_of(kind)
        function = replace(self.modules[path].functions[name], receiver=kind.partition("|")[2].partition("|")[2])
        if not self._is_sure:
            return self.resolve(function.returned, path, function, depth + 1)
        if function.is_async or function.blocker:
            return "" if function.blocker else "awaited"
        kinds = {self.resolve(each, path, function, depth + 1) for each in function.returns}
        return kinds.pop() if len(kinds) == 1 else ""

    def _member(self, form: str, owner: Key, step: str, depth: int) -> str:
        if step == "()":
            return f"instance:{owner[0]}|{owner[1]}" if form == "class" else ""
        name = step[1:]
        family = self.reached(owner)[form == "super" :]
        if form == "instance" and not self._is_sure:
            family += self.reached(owner, is_up=False)[1:]
        for path, each in family:
            kind = self.modules[path].classes[each]
            if name in kind.methods:
                found = f"{path}|{each}.{name}|{owner[0]}|{owner[1]}"
                is_property = self.modules[path].functions[f"{each}.{name}"].blocker == PROPERTY
                return self._result(f"result:{found}", depth) if is_property else f"func:{found}"
            where, chain = kind.attributes.get(name, ("", ()))
            if chain and not (self._is_sure and where):
                function = self.modules[path].functions[where] if where else None
                return self.resolve(chain, path, function, depth + 1)
        is_handler = self.is_handler(owner)
        if self.is_plain or (form == "instance" and self._is_sure and not is_handler):
            return ""
        if is_handler:
            above = next(self._handlers[each] for each in self.reached(owner) if each in self._handlers)
            return next_kind(above, step) if form == "instance" else ""
        return {"Q": f"query of {owner[0]}|{owner[1]}", "session": "db session"}.get(name, "")


def key_of(kind: str) -> Key:
    """Return the file and the qualified name of the class or function *kind*."""
    path, name, *_ = kind.partition(":")[2].split("|")
    return path, name


def _element(kind: str, step: str) -> str:
    """Return the kind of *step* on a list or dictionary of objects of one kind, or on a method of it."""
    form, _, rest = kind.partition(":")
    if step == "as":
        return next_kind(kind, step) or kind
    if step == "{}":
        return f"each:{kind}" if kind else ""
    if form == "each" and step != "[]":
        return f"{step}:{rest}" if step in (".get", ".pop", ".values") else ""
    return f"each:{rest}" if form == ".values" else rest
