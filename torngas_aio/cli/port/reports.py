"""Findings for calls that cannot be awaited, or not with certainty, once a `Project` is solved."""

from collections.abc import Iterator

from torngas_aio.cli.kinds import Chain
from torngas_aio.cli.port.calls import Project
from torngas_aio.cli.port.findings import LATER, Finding
from torngas_aio.cli.port.names import Key, key_of
from torngas_aio.cli.port.summary import PROPERTY, Function, Use

__all__ = ["report_calls"]

SHOWN = 9
"""Maximum number of places listed in one finding."""


def report_calls(project: Project) -> Iterator[Finding]:
    """Yield the findings of *project*, which must be solved."""
    yield from _blocked(project)
    yield from _wrappers(project)
    yield from _class_wrappers(project)
    yield from _reads(project)
    yield from _unsure(project)
    yield from _common(project)
    yield from _unrun(project)


def _finding(key: Key, use: Use, code: str, text: str) -> Finding:
    return Finding(key[0], use.position[0], code, text)


def _blocked(project: Project) -> Iterator[Finding]:
    """Yield the uses that cannot be awaited where they are, one finding per function and cause."""
    for (key, blocker), uses in project.blocked.items():
        uses.sort(key=lambda use: use.position)
        names = ", ".join(f"`{use.text}`" for use in uses)
        lines = f" (lines {', '.join(str(use.position[0]) for use in uses)})" if len(uses) > 1 else ""
        text = f"{names}{lines} {'wait' if len(uses) > 1 else 'waits'}, but {blocker}."
        name = key[1].rpartition(".")[2]
        modules = project.names.modules.values() if blocker == PROPERTY else ()
        read = sorted(f"{module.path}:{line}" for module in modules for each, line, _ in module.reads if each == name)
        if read:
            text += f" Read at {', '.join(read[:SHOWN])}{' and others' if len(read) > SHOWN else ''}."
        yield _finding(key, uses[0], "TGM202", text)


def _wrappers(project: Project) -> Iterator[Finding]:
    """Yield wrappers of decorators that decorate both coroutine functions and plain functions, and use the result."""
    waiting, names = project.coroutines, project.names
    for place, use, decorated in project.wrapping():
        is_returned = names.function(place).returned == use.chain and place not in waiting
        if decorated & waiting and not decorated <= waiting and not is_returned:
            name = place[1].partition(".")[0]
            text = f"@{name} stands on coroutine functions and on others: await the call where it is awaitable."
            yield _finding(place, use, "TGM302", text)
    for path, module in names.modules.items() if project.loads_user() else ():
        for function in module.functions.values():
            if any(chain[-1].lstrip(".") == "authenticated" for chain in function.decorators):
                text = "@authenticated cannot await the user: use `torngas_aio.auth.login_required`, and set AUTH."
                yield Finding(path, function.line, "TGM302", text)


def _class_wrappers(project: Project) -> Iterator[Finding]:
    """Yield classes that decorate coroutine functions, and continue after the call without awaiting it."""
    chains = [(key[0], chain) for key in project.coroutines for chain in project.names.function(key).decorators]
    decorated = [
        project.names.resolve(tuple(each for each in chain if each != "()"), path, None) for path, chain in chains
    ]
    for owner in {kind for kind in decorated if kind.startswith("class:")}:
        place, name = key_of(owner)
        module = project.names.modules[place]
        kept = {each: chain for each, (_, chain) in module.classes[name].attributes.items()}
        calls: set[Chain] = {("self", f".{each}", "()") for each, chain in kept.items() if len(chain) == 1}
        calls |= {(each, "()") for each in module.functions.get(f"{name}.__call__", Function("")).hidden - {"self"}}
        for function in module.functions.values():
            is_wrapper = function.name.startswith((f"{name}.__call__", f"{name}.__get__"))
            for use in function.uses if is_wrapper else ():
                is_returned = function.returned == use.chain and len(function.uses) == 1
                if use.chain in calls and use.form == "call" and not use.is_awaited and not is_returned:
                    text = f"@{name} continues before its function has run: await the call, in an `async def`."
                    yield _finding((place, function.name), use, "TGM302", text)


def _reads(project: Project) -> Iterator[Finding]:
    """Yield reads of coroutine methods without a call, as if they were properties."""
    waiting = project.waiting_names() & project.names.methods.keys()
    for module in project.names.modules.values():
        for name, line, is_value in module.reads:
            if is_value and name in waiting:
                advice = f"write `await x.{name}()`, or await it where it is called."
                yield Finding(module.path, line, "TGM201", f"`.{name}` is a coroutine function: {advice}")


def _unsure(project: Project) -> Iterator[Finding]:
    """Yield calls of methods that are coroutine functions in some of the classes that define them."""
    for key, use, methods in project.unsure:
        waiting = project.coroutines & methods
        if waiting and not use.is_awaited and len(waiting) < len(methods):
            text = f"`{use.chain[-2]}()` is a method of several classes, some of which wait now"
            paths = ", ".join(sorted({path for path, _ in waiting}))
            yield _finding(key, use, "TGM201", f"{text} ({paths}). Write `await` if it is one of these.")


def _common(project: Project) -> Iterator[Finding]:
    """Yield calls by a common name of a coroutine method, on objects of unknown type."""
    for name, calls in project.common.items():
        waiting = project.coroutines.intersection(project.names.methods.get(name, ()))
        left = sorted((key[0], use.position[0]) for key, use in calls if not use.is_awaited)
        if waiting and left:
            paths = ", ".join(sorted({path for path, _ in waiting}))
            places = ", ".join(f"{path}:{line}" for path, line in left[:SHOWN])
            text = f"`.{name}()` waits in {paths}. Write `await` where these are calls of it: {places}"
            yield Finding(*left[0], "TGM201", f"{text}{' and others' if len(left) > SHOWN else ''}.")


def _unrun(project: Project) -> Iterator[Finding]:
    """Yield work scheduled by a start script's imports and calls on a loop that never runs: the server has its own."""
    names = project.names
    starts = [path for path, module in names.modules.items()
              if any(each.startswith("torngas_aio.webserver") for each in module.imports.values())]  # fmt: skip
    todo = [(path, each.name) for path in starts for each in names.modules[path].functions.values() if not each.owner]
    for path in starts:
        kinds = [names.resolve((name,), path, None) for name in names.modules[path].imports]
        found = [kind.partition(":")[2].partition("|")[0] for kind in kinds if kind[:5] in ("file:", "func:", "class")]
        todo += [(each, "") for each in dict.fromkeys(found)]
    for key in todo:
        for use in names.function(key).uses:
            kind = names.resolve(use.chain, key[0], names.function(key))
            called = key_of(kind) if kind.startswith("result:") else key
            todo += [called] if called not in todo and not names.function(called).is_async else []
            if key[0] not in starts and use.chain[-2:-1] and use.chain[-2].lstrip(".") in LATER:
                text = "The server runs its own event loop, so this never runs: do it in process_init."
                yield _finding(key, use, "TGM403", text)
