"""Functions of the project that must be coroutine functions, and calls that must be awaited.

    a call must be awaited  ->  its function becomes `async def`  ->  calls of that function must be awaited  ->  ...

The steps repeat until nothing is added. Ambiguous calls, and calls where `await` is impossible, are only reported.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from torngas_aio.cli.kinds import HOOKS, REDIS_CHANGED, REDIS_ITERATORS, REDIS_READS, SYNC_METHODS, VERBS
from torngas_aio.cli.port.findings import Finding
from torngas_aio.cli.port.futures import LOOP_CALLS, TAKES_AWAITABLES
from torngas_aio.cli.port.names import Key, Names, key_of
from torngas_aio.cli.port.summary import PROPERTY, Function, Module, Use
from torngas_aio.cli.port.testcases import NEVER_AWAITED

__all__ = ["Project"]

BUILTIN_METHODS = frozenset(name for kind in (dict, list, set, str, bytes, object) for name in dir(kind))
COMMON_METHODS = frozenset({
    "read", "write", "close", "open", "flush", "send", "recv", "connect", "delete", "post", "put", "add", "set", "run",
    "start", "stop", "finish", "render", "info", "debug", "error", "warning", "execute", "commit", "acquire", "release",
})  # fmt: skip
"""Names too common to identify a method of the project."""

AWAITING_CALLEES = LOOP_CALLS | frozenset({
    "connect", "wraps", "start_soon", "receiver", "partial", "super", "isinstance", "getattr", "render",
    "render_string",
})  # fmt: skip
"""Functions that accept coroutine functions, or do not call their arguments."""

WAITING_KINDS = {
    "in": ("cache",), "with": ("transaction", "pipeline", "lock", "pubsub"), "for": ("query",),
    "open": ("transaction",), "slice": ("query",),
}  # fmt: skip
"""Form of a use other than a call: the kinds of objects that must be awaited in it."""

OF_PYTEST = re.compile(r"(?:^|/)(?:test_\w+|\w+_test)\.py:(?:Test\w*\.)?test\w*$")
RUN_BY_TESTS = re.compile(r"\.(?:test\w*|setUp|tearDown)$")


class Project:
    """The coroutine functions of a project, and the calls that they await.

    Attributes:
        names: Resolves the project's names.
        coroutines: Functions that are, or must become, coroutine functions.
        awaited: Coroutine function, or "" for module-level code: the uses to await in it.
        blocked: Function, and the reason why `await` is impossible in it: the affected uses.
        common: Common method name: its calls on objects of unknown type.
        unsure: Calls of methods that several classes define, and these methods.
        decorated: Decorator of the project: the functions that it decorates.
        findings: Calls of Redis clients that cannot be converted by adding `await`.
    """

    def __init__(self, modules: list[Module], *, is_python2: bool = False, is_plain: bool = False) -> None:
        self.names = Names(modules, is_plain=is_plain)
        self.blocked: dict[tuple[Key, str], list[Use]] = defaultdict(list)
        self.common: dict[str, list[tuple[Key, Use]]] = defaultdict(list)
        self.unsure: list[tuple[Key, Use, set[Key]]] = []
        self.decorated: dict[Key, set[Key]] = defaultdict(set)
        self._callers: dict[Key, list[tuple[Key, Use]]] = defaultdict(list)
        self._callbacks: dict[Key, str] = {}
        self._dispatching: list[tuple[Key, Use]] = []
        self._is_python2 = is_python2
        self.coroutines: set[Key] = set()
        self.awaited: dict[Key, list[Use]] = defaultdict(list)
        self.findings: list[Finding] = []

    def solve(self) -> None:
        """Find the coroutine functions and the uses to await; fills the attributes."""
        todo = self._begin()
        while todo or (todo := self._await_groups()):
            key = todo.pop()
            if key in self.coroutines:
                continue
            self.coroutines.add(key)
            overrides = [each for each in self.names.overrides(key) if not self.names.function(each).blocker]
            todo += [each for each in overrides if not self._returns_future(each)]
            for callee in [key, *self._wrapped_by(key)]:
                for caller, use in self._callers[callee]:
                    is_task = self.names.function(callee).is_endless and caller[1] and not use.is_awaited
                    todo += self._await(caller, replace(use, form="task") if is_task else use)

    def _begin(self) -> list[Key]:
        """Resolve all uses; return the first coroutine functions: `async def`, hooks, callers of framework code."""
        found: list[Key] = []
        waiting: list[tuple[Key, Use]] = []
        for path, module in self.names.modules.items():
            for function in module.functions.values():
                is_hook = self._is_framework_method(path, function) and not self._returns_future((path, function.name))
                if function.is_async or is_hook:
                    found.append((path, function.name))
                waiting += self._resolve_uses(path, function)
                for decorator in self._decorators(path, function):
                    self.decorated[decorator].add((path, function.name))
        return found + [each for key, use in waiting for each in self._await(key, use)]

    def _returns_future(self, key: Key) -> bool:
        """Whether a function of a Tornado project may return a future, which `async def` would not await."""
        function = self.names.function(key)
        if not self.names.is_plain or function.is_async or function.returned[-1:] != ("()",):
            return False
        return not self.names.valued(self.names.resolve(function.returned, key[0], function))

    def _await_groups(self) -> list[Key]:
        """Await calls whose possible callees are all coroutine functions; return the functions that become so."""
        groups = [*self.wrapping(), *self._dispatched(), *self.unsure]
        waiting = [(key, use) for key, use, callees in groups if callees and self.coroutines.issuperset(callees)]
        return [each for key, use in waiting if use not in self.awaited[key] for each in self._await(key, use)]

    def wrapping(self) -> Iterator[tuple[Key, Use, set[Key]]]:
        """Yield each call of a decorated function by its decorator: the enclosing function, the call, the decorated."""
        for (path, name), decorated in self.decorated.items():
            call = (*self.names.function((path, name)).parameters[:1], "()")
            for function in self.names.modules[path].functions.values():
                for use in function.uses if function.name.startswith(f"{name}.") else ():
                    if use.chain == call and use.form == "call":
                        yield (path, function.name), use, decorated

    def _wrapped_by(self, key: Key) -> list[Key]:
        """Return the functions that *key*, a decorator's wrapper, replaces."""
        outer = (key[0], key[1].rpartition(".")[0])
        return [*self.decorated.get(outer, ())] if outer[1] and self.names.function(key).name != outer[1] else []

    def _dispatched(self) -> Iterator[tuple[Key, Use, set[Key]]]:
        """Yield each call of a `getattr(x, 'do_' + name)`, and the methods whose names have that prefix."""
        for key, use in self._dispatching:
            function = self.names.function(key)
            methods = self.names.methods_of(self.names.family((key[0], function.owner)) if function.owner else [])
            yield key, use, {each for each in methods if each[1].partition(".")[2].startswith(function.prefix)}

    def waiting_names(self) -> frozenset[str]:
        """Return the names that only coroutine functions of the project have, without the most common names."""
        names = defaultdict[str, set[bool]](set)
        for path, module in self.names.modules.items():
            for name in module.functions:
                names[name.rpartition(".")[2]].add((path, name) in self.coroutines)
        return (
            frozenset(name for name, each in names.items() if each == {True})
            - VERBS
            - HOOKS
            - BUILTIN_METHODS
            - COMMON_METHODS
        )

    def names_in_templates(self) -> frozenset[str]:
        """Return the names to await in a template: bare when they are called, with a leading dot when they are read."""
        names = self.waiting_names()
        properties = {key[1].rpartition(".")[2] for key, blocker in self.blocked if blocker == PROPERTY}
        user = ["current_user"] if self.loads_user() else []
        return names.union(f".{name}" for name in [*properties, *(names & self.names.methods.keys()), *user])

    def loads_user(self) -> bool:
        """Whether a handler's `get_current_user` is a coroutine function."""
        return bool(self.coroutines & {*self.names.methods["get_current_user"]})

    def test_cases(self) -> dict[Key, str]:
        """Return the test cases: "tornado" for those of tornado.testing, "unittest" for others with coroutines."""
        found: dict[Key, str] = {}
        for root, kind in self.names.tests.items():
            family = self.names.reached(root, is_up=False)
            waits = any(key in self.coroutines and RUN_BY_TESTS.search(key[1]) for key in self.names.methods_of(family))
            found.update(dict.fromkeys(family, kind) if waits or kind == "tornado" else {})
        return found

    def _is_framework_method(self, path: str, function: Function) -> bool:
        owner, _, name = function.name.rpartition(".")
        if not owner or function.blocker or owner != function.owner:
            return False
        if name in HOOKS:
            return bool({"clear", "application"} & function.hidden)
        return name in VERBS and self.names.is_handler((path, owner))

    def _resolve_uses(self, path: str, function: Function) -> Iterator[tuple[Key, Use]]:
        """Yield the uses that must be awaited; record those that depend on functions of the project."""
        key = (path, function.name)
        yield from ((key, use) for use in function.uses if self._waits(key, use, function))
        for (callee, chain), position in function.passed.items():
            found = self.names.resolve(chain, path, function) if callee not in AWAITING_CALLEES else ""
            if found.startswith("func:"):
                self._callbacks[key_of(found)] = callee
            elif found.startswith("coroutine function") and callee not in TAKES_AWAITABLES:
                blocker = f"`{callee}(...)` calls it without awaiting it"
                self.blocked[key, blocker].append(Use((*chain, "()"), position))

    def _waits(self, key: Key, use: Use, function: Function) -> bool:
        """Whether *use* must be awaited; a use that depends on a function of the project is recorded."""
        found = self.names.resolve(use.chain, key[0], function)
        is_mixed, found = found.startswith("mixed:"), found.removeprefix("mixed:")
        if use.form == "user":
            for loader in self.names.methods["get_current_user"]:
                self._callers[loader].append((key, use))
            return False
        wanted = WAITING_KINDS.get(use.form)
        kind = self.names.valued(found) if wanted else found
        what = kind.partition(" of ")[0]
        waits = what in wanted if wanted else kind.startswith("awaited")
        if not function.name and what in ("db session", "query") and not waits:
            self.awaited[key].append(replace(use, form="start"))
        if use.form in ("call", "task"):
            self._record_call(key, use, function, found)
        if waits and is_mixed:
            text = f"`{use.text}` must be awaited, except on a list or dictionary: some callers pass one here."
            self.findings.append(Finding(key[0], use.position[0], "TGM201", text))
            return False
        callee = key_of(found) if found.startswith("result:") and use.form in ("call", "task", "with") else None
        if not waits and callee and self.names.function(callee).is_context is (use.form == "with"):
            self._callers[callee].append((key, use))
        return waits

    def _record_call(self, key: Key, use: Use, function: Function, kind: str) -> None:
        is_method = len(use.chain) > 2 and use.chain[-2][:1] == "."
        if is_method:
            self._report_redis(key, use)
        if function.prefix and self._is_dispatched(use, function):
            self._dispatching.append((key, use))
        elif is_method and not kind:
            self._guess(key, use)

    def _is_dispatched(self, use: Use, function: Function) -> bool:
        return use.chain[-1] == "()" and ("getattr", "()") in (
            use.chain[:-1], *(function.variables.get(use.chain[0], ()) if len(use.chain) == 2 else ())
        )  # fmt: skip

    def _decorators(self, path: str, function: Function) -> Iterator[Key]:
        """Yield the project's functions that receive *function* as its decorators."""
        for chain in function.decorators:
            kind = self.names.resolve(tuple(step for step in chain if step != "()"), path, None)
            if kind.startswith("func:"):
                place, name = key_of(kind)
                inner = [each for each in self.names.modules[place].functions if each.rpartition(".")[0] == name]
                yield from [(place, each) for each in (inner if chain[-1] == "()" else [name])]

    def _report_redis(self, key: Key, use: Use) -> None:
        """Record *use* if it is a Redis command that replies in bytes, or whose arguments have changed."""
        command = use.chain[-2][1:]
        if command not in REDIS_READS | REDIS_ITERATORS | set(REDIS_CHANGED):
            return
        kind = self.names.valued(self.names.resolve(use.chain[:-2], key[0], self.names.function(key)))
        if kind == "redis" and command in REDIS_ITERATORS:
            text = f"`{use.text}` is iterated with `async for`, in an `async def`."
            self.findings.append(Finding(key[0], use.position[0], "TGM201", text))
        elif kind == "redis" and command in REDIS_READS and self._is_python2:
            self.awaited[key].append(replace(use, form="text"))
        elif kind in ("redis", "pipeline") and command in REDIS_CHANGED:
            self.awaited[key].append(replace(use, form="arguments", is_awaited=False))

    def _guess(self, key: Key, use: Use) -> None:
        name = use.chain[-2][1:]
        is_super = use.chain[0].startswith("super(")  # of a class outside of the project
        if is_super or name in BUILTIN_METHODS or name in VERBS or self.names.is_foreign(use.chain, key):
            return
        if name in COMMON_METHODS:
            is_known = self.names.resolve(use.chain[:-2], key[0], self.names.function(key))
            self.common[name] += [] if is_known else [(key, use)]
            return
        found = self.names.methods.get(name, [])
        if len(found) == 1:
            self._callers[found[0]].append((key, use))
        elif found:
            self.unsure.append((key, use, set(found)))

    def _await(self, key: Key, use: Use) -> list[Key]:
        """Record that *key* awaits *use*; return the functions that become coroutine functions."""
        function = self.names.function(key)
        if (use.is_awaited and function.is_async) or (use.form == "task" and not function.name):
            return []
        blocker = "" if use.form == "task" else use.blocker or function.blocker or self._blocker(key, function)
        if blocker:
            if use not in self.blocked[key, blocker]:
                self.blocked[key, blocker].append(use)
            return []
        if use not in self.awaited[key]:
            self.awaited[key].append(use)
        return [key] if function.name and key not in self.coroutines and use.form != "task" else []

    def _blocker(self, key: Key, function: Function) -> str:
        """Return why the caller of the function *key* does not await it; empty if it does, or may."""
        name = function.name.rpartition(".")[2]
        owner = (key[0], function.owner)
        if function.owner and name in SYNC_METHODS and self.names.is_handler(owner):
            return f"the framework calls `{name}` without awaiting it{SYNC_METHODS[name]}"
        kind = self.names.test_kind(owner) if function.owner else ""
        if kind and name in NEVER_AWAITED[kind]:
            mend = "self.io_loop.run_sync(...)" if kind == "tornado" else "asyncSetUp"
            return f"the test runner does not await `{name}`: use `{mend}`"
        is_fixture = any(chain[-1] == ".fixture" or chain[-2:] == (".fixture", "()") for chain in function.decorators)
        is_test = OF_PYTEST.search(f"{key[0]}:{function.name}") is not None and not kind
        if (is_fixture or is_test) and not function.is_async:
            return f"pytest awaits `{name}` with a plugin only: write `async def` for one, or `asyncio.run(...)`"
        return f"`{self._callbacks[key]}(...)` calls `{name}` without awaiting it" if key in self._callbacks else ""
