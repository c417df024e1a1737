"""Which functions of the project must be coroutine functions, and which calls must be awaited.

    a call that waits  ->  its function awaits  ->  the calls of that function wait  ->  ...  until nothing is added

What is ambiguous, and what cannot await, is reported and left. Begin with `Project`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from torngas_aio.cli.kinds import (
    HOOKS,
    IMPORTED,
    REDIS_CHANGED,
    REDIS_ITERATORS,
    REDIS_READS,
    SYNC_METHODS,
    VERBS,
    Chain,
    next_kind,
)
from torngas_aio.cli.port.findings import Finding
from torngas_aio.cli.port.summary import LOOP_CALLS, PROPERTY, TAKES_AWAITABLES, Function, Module, Use
from torngas_aio.cli.port.testcases import NEVER_AWAITED

__all__ = ["Project"]

Key = tuple[str, str]
"""Path of a file, qualified name of a function."""

BUILTIN_METHODS = frozenset(name for kind in (dict, list, set, str, bytes, object) for name in dir(kind)) | frozenset({
    "read", "write", "close", "open", "flush", "send", "recv", "connect", "delete", "post", "put", "add", "set", "run",
    "start", "stop", "finish", "render", "info", "debug", "error", "warning", "execute", "commit", "acquire", "release",
})  # fmt: skip
"""Names too common to tell a method of the project by."""

AWAITING_CALLEES = LOOP_CALLS | frozenset({
    "connect", "wraps", "start_soon", "receiver", "partial", "super", "isinstance", "getattr", "render",
    "render_string",
})  # fmt: skip
"""What may be given a coroutine function, or does not call what it is given."""

WAITING_KINDS = {
    "in": ("cache",), "with": ("transaction", "pipeline", "lock", "pubsub"), "for": ("query",),
    "open": ("transaction",), "slice": ("query",),
}  # fmt: skip
"""What must be awaited in forms other than a call."""

RUN_BY_TESTS = re.compile(r"\.(?:test\w*|setUp|tearDown)$")
TORNADO_CASES = {"AsyncTestCase", "AsyncHTTPTestCase", "AsyncHTTPSTestCase"}
DEPTH = 12
SCOPES = 40
"""How many functions may ask, one through the other, what their variables stand for: Python's stack has an end."""


class Project:
    """All files of a project and what their names stand for.

    Attributes:
        coroutines: Functions that are, or must become, coroutine functions.
        awaited: For each of them and each module's own code, the uses that wait.
        findings: What could not be decided or done.
    """

    def __init__(self, modules: list[Module], *, is_python2: bool = False, is_plain: bool = False) -> None:
        self._modules = {module.path: module for module in modules}
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._methods: dict[str, list[Key]] = defaultdict(list)
        self._subclasses: dict[Key, list[Key]] = defaultdict(list)
        self._bases: dict[Key, list[Key]] = defaultdict(list)
        self._handlers: set[Key] = set()
        self._tests: dict[Key, str] = {}
        self._callers: dict[Key, list[tuple[Key, Use]]] = defaultdict(list)
        self._unsure: dict[Key, list[tuple[Key, Use]]] = defaultdict(list)
        self._callbacks: dict[Key, str] = {}
        self._decorated: dict[Key, set[Key]] = defaultdict(set)
        self._stars: dict[Key, str] = {}
        self._variables: dict[tuple[str, str, str], dict[str, str]] = {}
        self._asked: list[tuple[str, str, str]] = []
        self._dispatching: list[tuple[Key, Use]] = []
        self._is_python2 = is_python2
        self._blocked: dict[tuple[Key, str], list[Use]] = defaultdict(list)
        self._is_plain = is_plain
        self.coroutines: set[Key] = set()
        self.awaited: dict[Key, list[Use]] = defaultdict(list)
        self.findings: list[Finding] = []
        for module in modules:
            parts = module.name.split(".")
            for start in range(len(parts)):
                self._paths[".".join(parts[start:])].append(module.path)
        self._index()

    def solve(self) -> None:
        """Find the coroutine functions and what is awaited."""
        todo = self._begin()
        while todo or (todo := [*self._awaited_by_wrappers(), *self._awaited_by_name()]):
            key = todo.pop()
            if key in self.coroutines:
                continue
            self.coroutines.add(key)
            todo += [
                each for each in self._overrides(key) if not (self._function(each).blocker or self._hands_on(each))
            ]
            for callee in [key, *self._wrapped_by(key)]:
                for caller, use in self._callers[callee]:
                    is_task = self._function(callee).is_endless and caller[1] and not use.is_awaited
                    todo += self._await(caller, replace(use, form="task") if is_task else use)
            for caller, use in [each for each in self._unsure[key] if not each[1].is_awaited]:
                self._report(
                    caller, use, "TGM201", f"`.{key[1].rpartition('.')[2]}()` is a method of several classes, one of "
                    f"which waits now ({key[0]}). Write `await` if it is that one."
                )  # fmt: skip

        self._report_blocked()
        self._report_wrappers()
        self._report_class_wrappers()
        self._report_reads()

    def _begin(self) -> list[Key]:
        """Return the coroutine functions that depend on no others, and what waits in any case."""
        found: list[Key] = []
        waiting: list[tuple[Key, Use]] = []
        for path, module in self._modules.items():
            for function in module.functions.values():
                is_hook = self._is_framework_method(path, function) and not self._hands_on((path, function.name))
                if function.is_async or is_hook:
                    found.append((path, function.name))
                waiting += self._resolve_uses(path, function)
                for decorator in self._decorators(path, function):
                    self._decorated[decorator].add((path, function.name))
        return found + [each for key, use in waiting for each in self._await(key, use)]

    def _hands_on(self, key: Key) -> bool:
        """Whether a function of a Tornado project may return a future: in an `async def` it would not be awaited."""
        function = self._function(key)
        is_call = function.returned[-1:] == ("()",) and not function.is_async
        return is_call and self._is_plain and not self._valued(self._resolve(function.returned, key[0], function))

    def _report_blocked(self) -> None:
        """Report what waits where `await` cannot stand, the calls of one cause together."""
        for (key, blocker), uses in self._blocked.items():
            uses.sort(key=lambda use: use.position)
            names = ", ".join(f"`{text_of(use.chain)}`" for use in uses)
            lines = f" (lines {', '.join(str(use.position[0]) for use in uses)})" if len(uses) > 1 else ""
            verb = "wait" if len(uses) > 1 else "waits"
            text = f"{names}{lines} {verb}, but {blocker}."
            name = key[1].rpartition(".")[2]
            if blocker == PROPERTY and (read := self._places_of(name)):
                text += f" Read at {', '.join(read[:9])}{' and others' if len(read) > 9 else ''}."
            self._report(key, uses[0], "TGM202", text)

    def _places_of(self, name: str) -> list[str]:
        """Return where the attribute *name* of anything is read, without a call."""
        return sorted(
            f"{module.path}:{line}"
            for module in self._modules.values()
            for each, line, _ in module.reads
            if each == name
        )

    def _report_wrappers(self) -> None:
        """Report decorators' wrappers that look at the result of what waits in some cases only."""
        for decorator, use, place in self._wrapping():
            decorated = self._decorated[decorator]
            is_handed_on = self._function(place).returned == use.chain and place not in self.coroutines
            if decorated & self.coroutines and not decorated <= self.coroutines and not is_handed_on:
                name = decorator[1].partition(".")[0]
                text = f"@{name} stands on coroutine functions and on others: await the call where it is awaitable."
                self._report(place, use, "TGM302", text)

        for path, module in self._modules.items() if self._loads_user() else ():
            for function in module.functions.values():
                if any(chain[-1].lstrip(".") == "authenticated" for chain in function.decorators):
                    text = "@authenticated cannot await the user: use `torngas_aio.auth.login_required`, and set AUTH."
                    self.findings.append(Finding(path, function.line, "TGM302", text))

    def _report_class_wrappers(self) -> None:
        """Report classes that are decorators of what waits, and go on after the call."""
        decorated = [
            self._resolve(tuple(step for step in chain if step != "()"), path, None)
            for path, name in self.coroutines
            for chain in self._function((path, name)).decorators
        ]
        for owner in {kind for kind in decorated if kind.startswith("class:")}:
            place, name = _key(owner)
            module = self._modules[place]
            calls: set[Chain] = {
                ("self", f".{each}", "()") for each, chain in module.classes[name].attributes.items() if len(chain) == 1
            }
            given = module.functions.get(f"{name}.__call__", Function("")).hidden - {"self"}
            calls |= {(each, "()") for each in given}
            for function in module.functions.values():
                is_wrapper = function.name.startswith((f"{name}.__call__", f"{name}.__get__"))
                for use in function.uses if is_wrapper else ():
                    is_handed_on = function.returned == use.chain and len(function.uses) == 1
                    if use.chain in calls and use.form == "call" and not use.is_awaited and not is_handed_on:
                        text = f"@{name} goes on before what it calls has run: await the call, in an `async def`."
                        self._report((place, function.name), use, "TGM302", text)

    def _report_reads(self) -> None:
        """Report methods that wait and are read where their result is meant, as they were as properties."""
        waiting = self.waiting_names() & self._methods.keys()
        for module in self._modules.values():
            for name, line, is_value in module.reads:
                if is_value and name in waiting:
                    text = (
                        f"`.{name}` is a coroutine function: write `await x.{name}()`, or await it where it is called."
                    )
                    self.findings.append(Finding(module.path, line, "TGM201", text))

    def _awaited_by_wrappers(self) -> list[Key]:
        """Have decorators' wrappers await what they are around, where all of it waits; return those that wait by it."""
        found: list[Key] = []
        for decorator, use, place in self._wrapping():
            if self._decorated[decorator] <= self.coroutines:
                found += self._await(place, use)
        return found

    def _wrapping(self) -> Iterator[tuple[Key, Use, Key]]:
        """Yield each call of what a decorator is given: the decorator, the call, the function that it is in."""
        for path, name in self._decorated:
            call = (self._function((path, name)).first, "()")
            for function in self._modules[path].functions.values():
                for use in function.uses if function.name.startswith(f"{name}.") else ():
                    if use.chain == call and use.form == "call":
                        yield (path, name), use, (path, function.name)

    def _wrapped_by(self, key: Key) -> list[Key]:
        """Return the functions in whose place the decorator's wrapper *key* is called."""
        outer = (key[0], key[1].rpartition(".")[0])
        return [*self._decorated.get(outer, ())] if outer[1] and self._function(key).name != outer[1] else []

    def _awaited_by_name(self) -> list[Key]:
        """Await what `getattr(x, 'do_' + name)` gives, where all methods whose names begin so wait."""
        found: list[Key] = []
        for (path, name), use in self._dispatching:
            function = self._function((path, name))
            family = self._family((path, function.owner)) if function.owner else []
            prefixed = {key for key in self._methods_of(family) if key[1].partition(".")[2].startswith(function.prefix)}
            if prefixed and prefixed <= self.coroutines:
                found += self._await((path, name), use)
        return found

    def waiting_names(self) -> frozenset[str]:
        """Return the names by which a template may call coroutine functions of the project, and nothing else of it."""
        names = defaultdict[str, set[bool]](set)
        for path, module in self._modules.items():
            for name in module.functions:
                names[name.rpartition(".")[2]].add((path, name) in self.coroutines)
        return frozenset(name for name, each in names.items() if each == {True}) - VERBS - HOOKS - BUILTIN_METHODS

    def names_in_templates(self) -> frozenset[str]:
        """Return the names that wait in a template when they are called and, with a dot, when they are read."""
        names = self.waiting_names()
        properties = {key[1].rpartition(".")[2] for key, blocker in self._blocked if blocker == PROPERTY}
        user = ["current_user"] if self._loads_user() else []
        return names.union(f".{name}" for name in [*properties, *(names & self._methods.keys()), *user])

    def _loads_user(self) -> bool:
        return bool(self.coroutines & {*self._methods["get_current_user"]})

    def is_imported(self, path: str) -> bool:
        """Whether another file of the project imports the file *path*."""
        name = self._modules[path].name
        for other in self._modules.values():
            for target in [*other.imports.values(), *other.stars] if other.path != path else ():
                if f"{target}.".startswith(f"{name}.") or name.endswith(f".{target}"):
                    return True
        return False

    def is_handler(self, kind: Key) -> bool:
        """Whether the class *kind* is a request handler."""
        return any(each in self._handlers for each in [kind, *_reached(kind, self._bases)])

    def test_cases(self) -> dict[Key, str]:
        """Return the test cases: "tornado" for those of tornado.testing, "unittest" for others that have to wait."""
        found: dict[Key, str] = {}
        for root, kind in self._tests.items():
            family = [root, *_reached(root, self._subclasses)]
            waits = any(key in self.coroutines and RUN_BY_TESTS.search(key[1]) for key in self._methods_of(family))
            found.update(dict.fromkeys(family, kind) if waits or kind == "tornado" else {})
        return found

    def _test_kind(self, kind: Key) -> str:
        return next((self._tests[each] for each in [kind, *_reached(kind, self._bases)] if each in self._tests), "")

    def _index(self) -> None:
        for path, module in self._modules.items():
            for kind in module.classes.values():
                for name in kind.methods:
                    self._methods[name].append((path, f"{kind.name}.{name}"))
                for chain in kind.bases:
                    base = _class_of(self._resolve(chain, path, None))
                    if base is not None and base != (path, kind.name):
                        self._bases[path, kind.name].append(base)
                        self._subclasses[base].append((path, kind.name))
                    elif chain[-1].endswith("Handler") and chain[0] != "logging":
                        self._handlers.add((path, kind.name))
                    elif (name := "".join([module.imports.get(chain[0], chain[0]), *chain[1:]])).endswith("TestCase"):
                        if name.rpartition(".")[2] in TORNADO_CASES:
                            self._tests[path, kind.name] = "tornado"
                        elif name.partition(".")[0] in ("unittest", "unittest2"):
                            self._tests[path, kind.name] = "unittest"
        self._variables.clear()  # some may depend on bases that were not known yet

    def _is_framework_method(self, path: str, function: Function) -> bool:
        owner, _, name = function.name.rpartition(".")
        if not owner or function.blocker or owner != function.owner:
            return False
        if name in HOOKS:
            return bool({"clear", "application"} & function.hidden)
        return name in VERBS and self.is_handler((path, owner))

    def _resolve_uses(self, path: str, function: Function) -> Iterator[tuple[Key, Use]]:
        """Yield the uses that wait in any case; note those that depend on functions of the project."""
        key = (path, function.name)
        yield from ((key, use) for use in function.uses if self._waits(key, use, function))
        for (callee, chain), position in function.passed.items():
            found = self._resolve(chain, path, function) if callee not in AWAITING_CALLEES else ""
            if found.startswith("func:"):
                self._callbacks[_key(found)] = callee
            elif found.startswith("coroutine function") and callee not in TAKES_AWAITABLES:
                blocker = f"`{callee}(...)` calls it without awaiting it"
                self._blocked[key, blocker].append(Use((*chain, "()"), position))

    def _waits(self, key: Key, use: Use, function: Function) -> bool:
        """Whether *use* waits in any case; what depends on functions of the project is noted."""
        found = self._resolve(use.chain, key[0], function)
        if use.form == "user":
            for loader in self._methods["get_current_user"]:
                self._callers[loader].append((key, use))
            return False
        wanted = WAITING_KINDS.get(use.form)
        kind = self._valued(found) if wanted else found
        what = kind.partition(" of ")[0]
        waits = what in wanted if wanted else kind.startswith("awaited")
        if not function.name and what in ("db session", "query") and not waits:
            self.awaited[key].append(replace(use, form="start"))
        if use.form in ("call", "task"):
            self._note_call(key, use, function, found)
        callee = _key(found) if found.startswith("result:") and use.form in ("call", "task", "with") else None
        if not waits and callee and self._function(callee).is_context is (use.form == "with"):
            self._callers[callee].append((key, use))
        return waits

    def _note_call(self, key: Key, use: Use, function: Function, kind: str) -> None:
        is_method = len(use.chain) > 2 and use.chain[-2][:1] == "."
        if is_method:
            self._tell_of_redis(key, use)
        if function.prefix and self._is_dispatched(use, function):
            self._dispatching.append((key, use))
        elif is_method and not kind:
            self._guess(key, use)

    def _is_dispatched(self, use: Use, function: Function) -> bool:
        return use.chain[-1] == "()" and ("getattr", "()") in (
            use.chain[:-1], *(function.variables.get(use.chain[0], ()) if len(use.chain) == 2 else ())
        )  # fmt: skip

    def _decorators(self, path: str, function: Function) -> Iterator[Key]:
        """Yield the project's functions that are given *function* as its decorators."""
        for chain in function.decorators:
            kind = self._resolve(tuple(step for step in chain if step != "()"), path, None)
            if kind.startswith("func:"):
                place, name = _key(kind)
                inner = [each for each in self._modules[place].functions if each.rpartition(".")[0] == name]
                yield from [(place, each) for each in (inner if chain[-1] == "()" else [name])]

    def _tell_of_redis(self, key: Key, use: Use) -> None:
        """Report *use* where it is a Redis command that replies in bytes or takes other arguments than it did."""
        command = use.chain[-2][1:]
        if command not in REDIS_READS | REDIS_ITERATORS | set(REDIS_CHANGED):
            return
        kind = self._valued(self._resolve(use.chain[:-2], key[0], self._function(key)))
        if kind == "redis" and command in REDIS_ITERATORS:
            self._report(key, use, "TGM201", f"`{text_of(use.chain)}` is gone through with `async for` in `async def`.")
        elif kind == "redis" and command in REDIS_READS and self._is_python2:
            self.awaited[key].append(replace(use, form="text"))
        elif kind in ("redis", "pipeline") and command in REDIS_CHANGED:
            self.awaited[key].append(replace(use, form="arguments", is_awaited=False))

    def _guess(self, key: Key, use: Use) -> None:
        name = use.chain[-2][1:]
        is_super = use.chain[0].startswith("super(")  # of a class that is none of the project's
        if is_super or name in BUILTIN_METHODS or name in VERBS or self._is_foreign(use.chain, key):
            return
        found = self._methods.get(name, [])
        if len(found) == 1:
            self._callers[found[0]].append((key, use))
        for each in found if len(found) > 1 else ():
            self._unsure[each].append((key, use))

    def _is_foreign(self, chain: Chain, key: Key) -> bool:
        """Whether *chain* starts with a module or name of another package."""
        return chain[0] in self._modules[key[0]].imports and not self._resolve(chain[:1], key[0], None)

    def _await(self, key: Key, use: Use) -> list[Key]:
        """Have the function *key* await *use*; return the functions that become coroutine functions by it."""
        function = self._function(key)
        if use.is_awaited and function.is_async:
            return []
        if use.form == "task":
            self.awaited[key].append(use)
            return []
        name = function.name.rpartition(".")[2]
        blocker = use.blocker or function.blocker
        if not blocker and function.owner and name in SYNC_METHODS and self.is_handler((key[0], function.owner)):
            blocker = f"the framework calls `{name}` without awaiting it{SYNC_METHODS[name]}"
        kind = self._test_kind((key[0], function.owner)) if not blocker and function.owner else ""
        if kind and name in NEVER_AWAITED[kind]:
            mend = "self.io_loop.run_sync(...)" if kind == "tornado" else "asyncSetUp"
            blocker = f"the test runner does not await `{name}`: use `{mend}`"
        if not blocker and key in self._callbacks:
            blocker = f"`{self._callbacks[key]}(...)` calls `{name}` without awaiting it"
        if blocker:
            if use not in self._blocked[key, blocker]:
                self._blocked[key, blocker].append(use)
            return []
        if use not in self.awaited[key]:
            self.awaited[key].append(use)
        return [key] if function.name and key not in self.coroutines else []

    def _report(self, key: Key, use: Use, code: str, text: str) -> None:
        self.findings.append(Finding(key[0], use.position[0], code, text))

    def _function(self, key: Key) -> Function:
        return self._modules[key[0]].functions[key[1]]

    def _family(self, kind: Key) -> list[Key]:
        """Return the class *kind*, those above and those below."""
        return [kind, *_reached(kind, self._bases), *_reached(kind, self._subclasses)]

    def _methods_of(self, kinds: list[Key]) -> list[Key]:
        return [(path, f"{kind}.{each}") for path, kind in kinds for each in self._modules[path].classes[kind].methods]

    def _overrides(self, key: Key) -> list[Key]:
        """Return the methods of the same name in the classes above and below."""
        owner, _, name = key[1].rpartition(".")
        family = self._family((key[0], owner))[1:] if owner in self._modules[key[0]].classes else []
        return [each for each in self._methods_of(family) if each[1].rpartition(".")[2] == name]

    def _resolve(self, chain: Chain, path: str, function: Function | None, depth: int = 0) -> str:
        """Return what *chain* stands for in *function* of the file *path*; empty where it is not known."""
        if not chain or depth > DEPTH:
            return ""
        if chain[0].startswith("super("):
            named = chain[0][6:-1] or (function.owner if function is not None else "")
            found = self._name(named, path, None, depth)
            kind = f"super:{found[6:]}" if found.startswith("class:") else ""
        else:
            kind = self._name(chain[0], path, function, depth)
        for index, step in enumerate(chain[1:], 1):
            if not kind and step == ".Q" and not self._is_plain:
                kind = "query"
            elif not kind and index == 1 and chain[0][:1].isupper() and not self._is_plain:
                kind = {".Q": "query", ".session": "db session"}.get(step, "")
            else:
                kind = self._step(kind, step, depth)
        return kind

    def _name(self, name: str, path: str, function: Function | None, depth: int) -> str:
        module = self._modules[path]
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
        if name in module.functions[""].variables:
            return self._known(path, module.functions[""]).get(name, "")
        return self._dotted(module.imports[name], depth) if name in module.imports else self._starred(name, path, depth)

    def _starred(self, name: str, path: str, depth: int) -> str:
        """Return what *name* stands for by one of the `import *` of the file *path*, the last one that has it."""
        if (path, name) not in self._stars:
            self._stars[path, name] = ""  # for those that import each other
            for star in self._modules[path].stars:
                paths = self._paths.get(star, [])
                kind = (
                    self._name(name, paths[0], None, depth + 1) if len(paths) == 1 else IMPORTED.get(f"{star}.{name}")
                )
                self._stars[path, name] = kind or self._stars[path, name]
        return self._stars[path, name]

    def _local(self, name: str, path: str, scope: Function) -> str:
        if name in scope.variables:
            return self._known(path, scope).get(name, "")
        if name in ("self", "cls") and scope.owner:
            return f"{'instance' if name == 'self' else 'class'}:{scope.receiver or f'{path}|{scope.owner}'}"
        return "handler" if name == "handler" else ""

    def _known(self, path: str, scope: Function) -> dict[str, str]:
        """Return what the variables of *scope* stand for, each by the first of its values that is known.

        All at once, until none is added: one after another, variables that are given each other take exponential time.
        """
        key = (path, scope.name, scope.receiver)
        if key in self._variables or len(self._asked) > SCOPES:
            return self._variables.get(key, {})
        found = self._variables[key] = {}  # as far as it goes, for scopes that ask each other
        self._asked.append(key)
        count = -1
        while count < len(found):
            count = len(found)
            for name, chains in scope.variables.items():
                kinds = (self._resolve(each, path, scope if scope.name else None) for each in chains)
                if name not in found and (kind := next((each for each in kinds if each not in ("", "awaited")), "")):
                    found[name] = kind
        self._asked.pop()
        return found

    def _dotted(self, target: str, depth: int) -> str:
        if target in IMPORTED:
            return IMPORTED[target]
        if target.split(".", maxsplit=1)[0] == "torngas_aio":
            return f"module:{target}" if any(name.startswith(f"{target}.") for name in IMPORTED) else ""
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
        if form == "module":
            return self._dotted(f"{rest}{step}", depth) if step[:1] == "." else ""
        if form == "file":
            return self._name(step[1:], rest, None, depth + 1)
        if form == "func":
            return f"result:{rest}" if step == "()" else ""
        if form == "result":
            return self._step(self._result(kind, depth), step, depth + 1)
        if form in ("class", "instance", "super"):
            if step == "()":
                return f"instance:{rest}" if form == "class" else ""
            return self._member(form, _key(kind), step, depth)
        what, _, model = kind.removeprefix("awaited giving ").partition(" of ")
        if model and (what == "one" or (step == "[]" and what in ("query", "rows"))):
            found = f"instance:{model}"
            return found if step == "[]" else self._step(found, step, depth + 1)
        found = next_kind(what, step)
        return f"{found} of {model}" if model and found.endswith(("one", "rows", "page", "query")) else found

    def _valued(self, kind: str) -> str:
        """Return what *kind* is, or what the function returns that it is the result of."""
        for depth in range(DEPTH):
            kind = self._result(kind, depth) if kind.startswith("result:") else kind
        return kind

    def _result(self, kind: str, depth: int) -> str:
        """Return what the function of *kind* returns."""
        path, name = _key(kind)
        function = replace(self._modules[path].functions[name], receiver=kind.partition("|")[2].partition("|")[2])
        return self._resolve(function.returned, path, function, depth + 1)

    def _member(self, form: str, owner: Key, step: str, depth: int) -> str:
        name = step[1:]
        family = [*([owner] if form != "super" else []), *_reached(owner, self._bases)]
        if form == "instance":
            family += _reached(owner, self._subclasses)
        for path, each in family:
            kind = self._modules[path].classes[each]
            if name in kind.methods:
                found = f"{path}|{each}.{name}|{owner[0]}|{owner[1]}"
                is_property = self._modules[path].functions[f"{each}.{name}"].blocker == PROPERTY
                return self._result(f"result:{found}", depth) if is_property else f"func:{found}"
            if name in kind.attributes:
                return self._resolve(kind.attributes[name], path, None, depth + 1)
        if self._is_plain:
            return ""
        if self.is_handler(owner):
            return next_kind("handler", step) if form == "instance" else ""
        return {"Q": f"query of {owner[0]}|{owner[1]}", "session": "db session"}.get(name, "")


def _reached(kind: Key, table: Mapping[Key, list[Key]]) -> list[Key]:
    """Return the classes to which *table* leads from *kind*, the nearest first."""
    found = [*table.get(kind, ())]
    for each in found:
        found += [other for other in table.get(each, ()) if other not in found]
    return found


def _class_of(kind: str) -> Key | None:
    return _key(kind) if kind.startswith(("class:", "instance:")) else None


def text_of(chain: Chain) -> str:
    """Return *chain* as it reads in code, its arguments left out."""
    return "".join(chain).replace("()", "(...)").replace("[]", "[...]")


def _key(kind: str) -> Key:
    path, name, *_ = kind.partition(":")[2].split("|")
    return path, name
