"""The pipeline: which hooks run for a request, in which order.

    call > route > request > handler > render > response > endcall
    any of them may raise > exception; endcall runs all the same

Hooks are found and checked once, when the application is built, and kept in flat tuples of bound coroutine
functions, one set of tuples a route; a request only walks them. A stage without hooks is an empty tuple.

    Pipeline       the application's: call, init and shutdown hooks, and the compiled stages of each route
    RouteStages    what runs for one route: request, render, response, endcall, exception
    PipelineRun    one request's walk: what was cleared, which response hooks have run

Begin with `Pipeline`.
"""

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from torngas_aio._importing import import_object
from torngas_aio.exception import ConfigError

__all__ = [
    "IDLE",
    "NOTHING",
    "STAGES",
    "Hook",
    "Pipeline",
    "PipelineRun",
    "RouteAware",
    "RouteStages",
    "hooks_of",
    "no_hook",
]

logger = logging.getLogger("torngas_aio.pipeline")

STAGES = ("init", "call", "request", "render", "response", "endcall", "exception", "shutdown")
"""Every stage in the order of a request's life; a middleware's hook is `process_` and the stage's name."""

REVERSED = frozenset({"render", "response", "endcall", "exception", "shutdown"})
"""Stages that run from the last declared middleware to the first."""

ROUTE_STAGES = ("request", "render", "response", "endcall", "exception")

_MAX_MASKS = 256
"""How many combinations of matching path patterns are kept compiled for one route."""

HookCall = Callable[..., Awaitable[Any]]
_F = TypeVar("_F", bound=Callable[..., Any])


def no_hook(function: _F) -> _F:
    """Mark a base class's method as a placeholder: inherited, it does not count as a hook."""
    function.__dict__["_is_no_hook"] = True
    return function


@dataclass(frozen=True, slots=True)
class Hook:
    """One coroutine function that runs at one stage.

    Attributes:
        stage: One of `STAGES`.
        owner: The class that was declared; the function may be inherited from another.
        name: The method's name, such as "process_request" or "begin_request".
        call: The bound coroutine function.
    """

    stage: str
    owner: type
    name: str
    call: HookCall

    @property
    def location(self) -> str:
        """File and line of the function, "?" where Python knows no source."""
        return _location(self.call)

    def __str__(self) -> str:
        return f"{self.owner.__module__}.{self.owner.__qualname__}.{self.name}"


@runtime_checkable
class RouteAware(Protocol):
    """A middleware that lets other hooks stand in for it, route by route.

    Attributes:
        path_patterns: Searched in the path of each request, once; which of them matched decides
            which hooks run.
    """

    path_patterns: Sequence[re.Pattern[str]]

    def attach(self, route_names: Iterable[str]) -> None:
        """Take notice of the application's routes; called once, when it is built.

        Raises:
            ConfigError: The configuration does not fit the routes.
        """

    def hooks_for(self, route_name: str | None, matched: frozenset[int]) -> Mapping[str, Sequence[Hook]]:
        """Return stage -> hooks, in the order they shall run, for a route and the patterns that matched."""


class RouteStages:
    """What runs for one route: a flat tuple of bound coroutine functions for each stage."""

    __slots__ = ("awaits_after_method", "endcall", "exception", "has_any", "hooks", "render", "request", "response")

    def __init__(self, hooks: Mapping[str, Sequence[Hook]]) -> None:
        self.hooks: dict[str, tuple[Hook, ...]] = {stage: tuple(hooks.get(stage, ())) for stage in ROUTE_STAGES}
        calls = {stage: tuple(hook.call for hook in found) for stage, found in self.hooks.items()}
        self.request = calls["request"]
        self.render = calls["render"]
        self.response = calls["response"]
        self.endcall = calls["endcall"]
        self.exception = calls["exception"]
        self.has_any = any(self.hooks.values())
        self.awaits_after_method = bool(self.response or self.endcall)


NOTHING = RouteStages({})


class PipelineRun:
    """One request's walk through its stages.

    `clear`, handed to each hook, ends all stages of all middlewares for this request.
    """

    __slots__ = ("_next_response", "is_cleared", "stages")

    def __init__(self, stages: RouteStages = NOTHING) -> None:
        self.stages = stages
        self.is_cleared = False
        self._next_response = 0

    def clear(self) -> None:
        """End every stage of every middleware for this request."""
        self.is_cleared = True
        self.stages = NOTHING

    def enter(self, stages: RouteStages) -> None:
        """Go on with the stages of the matched route, unless all was cleared."""
        if not self.is_cleared:
            self.stages = stages

    async def call(self, hooks: tuple[HookCall, ...], request: Any) -> None:
        """Run the call hooks of the application."""
        clear = self.clear
        for hook in hooks:
            if await hook(request, clear) or self.is_cleared:
                return

    async def request(self, handler: Any) -> HookCall | None:
        """Run the request hooks; return the one that finished the response without saying so, if any."""
        clear = self.clear
        for hook in self.stages.request:
            is_last = await hook(handler, clear)
            if handler._finished:
                return None if is_last else hook
            if is_last or self.is_cleared:
                return None
        return None

    async def render(self, handler: Any, template_name: str, kwargs: dict[str, Any]) -> None:
        """Run the render hooks; `kwargs` are the template's, given to each hook as keywords."""
        clear = self.clear
        for hook in self.stages.render:
            if await hook(handler, clear, template_name, **kwargs) or self.is_cleared:
                return

    async def response(self, handler: Any, chunk: list[bytes]) -> None:
        """Run the response hooks that have not run yet; after an error, call again for the rest."""
        clear = self.clear
        hooks = self.stages.response
        index = self._next_response
        try:
            for hook in hooks[index:] if index else hooks:
                index += 1
                if await hook(handler, clear, chunk) or self.is_cleared:
                    break
        except BaseException:
            self._next_response = index
            raise
        self._next_response = len(hooks)

    @property
    def has_response_hooks(self) -> bool:
        """Whether response hooks are still to run."""
        return self._next_response < len(self.stages.response)

    async def endcall(self, handler: Any) -> None:
        """Run the endcall hooks; an error is logged and the remaining hooks still run."""
        clear = self.clear
        for hook in self.stages.endcall:
            try:
                if await hook(handler, clear):
                    return
            except Exception:  # a frontier: the other hooks must have their turn
                logger.exception("The hook %s failed.", getattr(hook, "__qualname__", hook))
            if self.is_cleared:
                return

    async def exception(
        self,
        handler: Any,
        error: tuple[type[BaseException], BaseException, TracebackType | None],
    ) -> None:
        """Run the exception hooks; an error of their own is logged and the rest run."""
        clear = self.clear
        for hook in self.stages.exception:
            try:
                if await hook(handler, clear, *error):
                    return
            except Exception:  # a frontier: the other hooks must have their turn
                logger.exception("The hook %s failed.", getattr(hook, "__qualname__", hook))
            if self.is_cleared:
                return


IDLE = PipelineRun()
"""The walk of a request for which no hook is declared at all: shared, because nothing ever changes it."""


class Pipeline:
    """Every hook of an application, resolved and checked.

    Args:
        middlewares: Dotted paths, classes or instances, in declared order. A class is made once,
            without arguments.

    Raises:
        ConfigError: A path that names nothing, a class without any hook, a hook that is not
            `async def`; every fault is listed.
    """

    def __init__(self, middlewares: Iterable[Any] = ()) -> None:
        faults: list[str] = []
        self.middlewares: tuple[Any, ...] = tuple(_instances(middlewares, faults))
        self._hooks = [_middleware_hooks(middleware, faults) for middleware in self.middlewares]
        ConfigError.gather(faults)
        self._route_aware = [found for found in self.middlewares if isinstance(found, RouteAware)]
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self._first_pattern: dict[int, int] = {}
        self.has_patterns = False
        self.init = self._plain("init")
        self.call_hooks = self._plain("call")
        self.shutdown = self._plain("shutdown")
        self.call = tuple(hook.call for hook in self.call_hooks)
        self._compiled: dict[tuple[str | None, int], RouteStages] = {}
        self.unrouted = RouteStages({stage: self._plain(stage) for stage in ROUTE_STAGES})
        self.is_idle = not self.call and not self.unrouted.has_any and not self._route_aware

    def attach(self, route_names: Iterable[str]) -> None:
        """Fold in what depends on the routes: the HTTP modules.

        Raises:
            ConfigError: The modules' configuration does not fit the routes.
        """
        names = tuple(route_names)
        patterns: list[re.Pattern[str]] = []
        for middleware in self._route_aware:
            middleware.attach(names)
            self._first_pattern[id(middleware)] = len(patterns)
            patterns.extend(middleware.path_patterns)
        self._patterns = tuple(patterns)
        self.has_patterns = bool(patterns)
        self._compiled.clear()

    def mask_of(self, path: str) -> int:
        """Return which path patterns match *path*, as a bit mask; 0 where there are none to match."""
        mask = 0
        for index, pattern in enumerate(self._patterns):
            if pattern.search(path) is not None:
                mask |= 1 << index
        return mask

    def stages_for(self, route_name: str | None, mask: int = 0) -> RouteStages:
        """Return the compiled stages of a matched route under the patterns of *mask*."""
        key = (route_name, mask)
        stages = self._compiled.get(key)
        if stages is None:
            if len(self._compiled) >= _MAX_MASKS * 64:  # hostile paths must not fill the memory
                self._compiled.clear()
            stages = self._compiled[key] = RouteStages(self._folded(route_name, mask))
        return stages

    def describe(self, stages: RouteStages | None = None) -> Iterator[Hook]:
        """Yield every hook in the order it runs: the application's own, and those of *stages*."""
        by_stage = {"init": self.init, "call": self.call_hooks, "shutdown": self.shutdown}
        by_stage.update((stages or self.unrouted).hooks)
        for stage in STAGES:
            yield from by_stage[stage]

    def _plain(self, stage: str) -> tuple[Hook, ...]:
        found = [hook for hooks in self._hooks for hook in hooks.get(stage, ())]
        return tuple(reversed(found) if stage in REVERSED else found)

    def _folded(self, route_name: str | None, mask: int) -> dict[str, list[Hook]]:
        stand_ins = [self._stand_in(middleware, route_name, mask) for middleware in self.middlewares]
        folded: dict[str, list[Hook]] = {}
        for stage in ROUTE_STAGES:
            # Middlewares are reversed where the stage says so; what stands in for one keeps its own order.
            blocks = [
                [*stand_in.get(stage, ()), *own.get(stage, ())]
                for stand_in, own in zip(stand_ins, self._hooks, strict=True)
            ]
            ordered = reversed(blocks) if stage in REVERSED else blocks
            folded[stage] = [hook for block in ordered for hook in block]
        return folded

    def _stand_in(self, middleware: Any, route_name: str | None, mask: int) -> Mapping[str, Sequence[Hook]]:
        first = self._first_pattern.get(id(middleware))
        if first is None:
            return {}
        count = len(middleware.path_patterns)
        matched = frozenset(index for index in range(count) if mask >> (first + index) & 1)
        return middleware.hooks_for(route_name, matched)  # type: ignore[no-any-return]  # a RouteAware


def hooks_of(instance: Any, names: Mapping[str, str], faults: list[str]) -> dict[str, list[Hook]]:
    """Return the hooks that *instance* has, by stage.

    Args:
        names: Stage -> method name, such as {"request": "process_request"}.
        faults: Gets a sentence for each method that is not `async def`, or takes other arguments than its hook.
    """
    hooks: dict[str, list[Hook]] = {}
    for stage, name in names.items():
        function = getattr(instance, name, None)
        if function is None or getattr(function, "_is_no_hook", False):
            continue
        owner = instance if isinstance(instance, type) else type(instance)
        if not _is_async(function):
            faults.append(
                f"{owner.__module__}.{owner.__qualname__}.{name} ({_location(function)}) is not a coroutine function. "
                "Every hook is awaited: make it `async def`."
            )
            continue
        if not _accepts(function, _ARGUMENTS[stage]):
            faults.append(
                f"{owner.__module__}.{owner.__qualname__}.{name} ({_location(function)}) takes the wrong arguments: "
                f"write `async def {name}(self, {', '.join(_ARGUMENTS[stage])})`."
            )
            continue
        hooks[stage] = [Hook(stage, owner, name, function)]
    return hooks


_ARGUMENTS = {
    "init": ("application",),
    "call": ("request", "clear"),
    "request": ("handler", "clear"),
    "render": ("handler", "clear", "template_name", "**kwargs"),
    "response": ("handler", "clear", "chunk"),
    "endcall": ("handler", "clear"),
    "exception": ("handler", "clear", "typ", "value", "tb"),
    "shutdown": ("application",),
}
"""What the hook of each stage is called with; all by position but what stands after `**`."""


def _accepts(function: Any, arguments: Sequence[str]) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:  # a callable that Python knows no signature of
        return True
    try:
        signature.bind(*(name for name in arguments if not name.startswith("**")))
    except TypeError:
        return False
    return True


_MIDDLEWARE_NAMES = {stage: f"process_{stage}" for stage in STAGES}


def _middleware_hooks(middleware: Any, faults: list[str]) -> dict[str, list[Hook]]:
    before = len(faults)
    hooks = hooks_of(middleware, _MIDDLEWARE_NAMES, faults)
    if not hooks and len(faults) == before and not isinstance(middleware, RouteAware):
        owner = type(middleware)
        names = ", ".join(_MIDDLEWARE_NAMES.values())
        faults.append(
            f"{owner.__module__}.{owner.__qualname__} has no hook, so it is no middleware. Give it one of: {names}."
        )
    return hooks


def _instances(middlewares: Iterable[Any], faults: list[str]) -> Iterator[Any]:
    for declared in middlewares:
        found = declared
        if isinstance(declared, str):
            try:
                found = import_object(declared)
            except ImportError as exc:
                faults.append(f"MIDDLEWARE_CLASSES: {declared!r} cannot be imported: {exc}")
                continue
        if inspect.ismodule(found):
            faults.append(f"MIDDLEWARE_CLASSES: {declared!r} is a module. Name the class in it.")
            continue
        if isinstance(found, type):
            try:
                found = found()
            except Exception as exc:  # noqa: BLE001  a user's constructor may raise anything; it is reported
                faults.append(f"MIDDLEWARE_CLASSES: {declared!r} cannot be made without arguments: {exc!r}")
                continue
        yield found


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _location(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "?" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
