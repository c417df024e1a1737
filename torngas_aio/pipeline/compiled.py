"""The application's pipeline: every hook, resolved once and compiled into flat tuples for each route."""

import inspect
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from torngas_aio._names import nearest
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.pipeline.hooks import (
    FAILED,
    REVERSED,
    ROUTE_STAGES,
    STAGES,
    Hook,
    hooks_of,
    imported,
    made,
    order_faults,
)
from torngas_aio.pipeline.run import RouteStages

__all__ = ["Pipeline", "RouteAware"]

logger = logging.getLogger("torngas_aio.pipeline")

_MAX_COMPILED = 16_384
"""Most compiled stages in the cache; routes with the same name, or without one, share an entry. Paths invented by
clients can match many combinations of patterns, so the number must be bounded."""


@runtime_checkable
class RouteAware(Protocol):
    """A middleware that provides other hooks for each route.

    Attributes:
        path_patterns: Searched in the path of each request, once; those that match decide
            which hooks run.
    """

    path_patterns: Sequence[re.Pattern[str]]

    def attach(self, route_names: Iterable[str]) -> None:
        """Check the configuration against the application's routes; called once, when it is built.

        Raises:
            ConfigError: The configuration does not match the routes.
        """

    def hooks_for(self, route_name: str | None, matched: frozenset[int]) -> Mapping[str, Sequence[Hook]]:
        """Return the hooks of each stage, in order, for a route and the indices of the patterns that matched."""
        ...


class Pipeline:
    """Every hook of an application, resolved and checked.

    Args:
        middlewares: Dotted paths, classes or instances, in declared order. A class is instantiated once,
            without arguments.

    Raises:
        ConfigError: A path that cannot be imported, a class without any hook, a hook that is not
            `async def`; every fault is listed.
    """

    def __init__(self, middlewares: Iterable[object] = ()) -> None:
        faults: list[str] = []
        self.middlewares = tuple(_instances(middlewares, faults))
        self._hooks = [_middleware_hooks(middleware, faults) for middleware in self.middlewares]
        ConfigError.gather(faults, code="TGA301")
        self._route_aware = [found for found in self.middlewares if isinstance(found, RouteAware)]
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self._first_pattern: dict[int, int] = {}
        self.has_patterns = False
        self.init = self._middleware_hooks_of("init")
        self.call_hooks = self._middleware_hooks_of("call")
        self.shutdown = self._middleware_hooks_of("shutdown")
        self.call = tuple(hook.call for hook in self.call_hooks)  # for requests; `call_hooks`: for `describe`
        self._compiled: dict[tuple[str | None, int], RouteStages] = {}
        self.unrouted = RouteStages({stage: self._middleware_hooks_of(stage) for stage in ROUTE_STAGES})
        ConfigError.gather(order_faults(self.unrouted.hooks["request"]), code="TGA301")
        self.is_idle = not self.call and not self.unrouted.has_any and not self._route_aware

    def attach(self, route_names: Iterable[str]) -> None:
        """Add the hooks that depend on the routes: those of HTTP modules.

        Raises:
            ConfigError: The modules' configuration does not match the routes.
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
        if self._route_aware:
            ConfigError.gather(self._order_faults(names), code="TGA301")

    def _order_faults(self, names: Iterable[str]) -> dict[str, None]:
        """Return the faults in the order of request hooks on any route, without duplicates."""
        every_pattern = (1 << len(self._patterns)) - 1
        folded = (self._order_hooks(name, every_pattern) for name in (None, *names))
        return dict.fromkeys(fault for hooks in folded for fault in order_faults(RouteStages(hooks).hooks["request"]))

    def mask_of(self, path: str) -> int:
        """Return which path patterns match *path*, as a bit mask; 0 if there are none."""
        mask = 0
        for index, pattern in enumerate(self._patterns):
            if pattern.search(path) is not None:
                mask |= 1 << index
        return mask

    def stages_for(self, route_name: str | None, mask: int = 0) -> RouteStages:
        """Return the compiled stages of a matched route for the pattern mask *mask*."""
        key = (route_name, mask)
        stages = self._compiled.get(key)
        if stages is None:
            if len(self._compiled) >= _MAX_COMPILED:
                self._compiled.clear()
            stages = self._compiled[key] = RouteStages(self._order_hooks(route_name, mask), route_name)
        return stages

    def describe(self, stages: RouteStages | None = None) -> Iterator[Hook]:
        """Yield every hook in the order it runs: the application's own hooks, and those of *stages*."""
        by_stage = {"init": self.init, "call": self.call_hooks, "shutdown": self.shutdown}
        by_stage.update((stages or self.unrouted).hooks)
        for stage in STAGES:
            yield from by_stage[stage]

    def _middleware_hooks_of(self, stage: str) -> tuple[Hook, ...]:
        found = [hook for hooks in self._hooks for hook in hooks.get(stage, ())]
        return tuple(reversed(found) if stage in REVERSED else found)

    def _order_hooks(self, route_name: str | None, mask: int) -> dict[str, list[Hook]]:
        stand_ins = [self._find_stand_ins(middleware, route_name, mask) for middleware in self.middlewares]
        folded: dict[str, list[Hook]] = {}
        for stage in ROUTE_STAGES:
            # Reversed stages reverse the middlewares; the hooks that one of them provides keep their order.
            blocks = [
                [*stand_in.get(stage, ()), *own.get(stage, ())]
                for stand_in, own in zip(stand_ins, self._hooks, strict=True)
            ]
            ordered = reversed(blocks) if stage in REVERSED else blocks
            folded[stage] = [hook for block in ordered for hook in block]
        return folded

    def _find_stand_ins(self, middleware: object, route_name: str | None, mask: int) -> Mapping[str, Sequence[Hook]]:
        first = self._first_pattern.get(id(middleware))
        if first is None or not isinstance(middleware, RouteAware):
            return {}
        count = len(middleware.path_patterns)
        matched = frozenset(index for index in range(count) if mask >> (first + index) & 1)
        return middleware.hooks_for(route_name, matched)


_MIDDLEWARE_NAMES = {stage: f"process_{stage}" for stage in STAGES}


def _middleware_hooks(middleware: object, faults: list[str]) -> dict[str, list[Hook]]:
    before = len(faults)
    hooks = hooks_of(middleware, _MIDDLEWARE_NAMES, faults)
    owner = type(middleware)
    _warn_of_misspelt(owner)
    if not hooks and len(faults) == before and not isinstance(middleware, RouteAware):
        names = ", ".join(_MIDDLEWARE_NAMES.values())
        faults.append(
            f"{owner.__module__}.{owner.__qualname__} has no hook, so it is not a middleware. Give it one of: {names}."
        )
    return hooks


def _warn_of_misspelt(owner: type) -> None:
    known = _MIDDLEWARE_NAMES.values()
    for name, function in vars(owner).items():
        if name not in known and inspect.iscoroutinefunction(function):
            near = nearest(name, known, 0.9)
            if near:
                logger.warning("%s.%s is no hook. Did you mean %s?", owner.__qualname__, name, near)


def _instances(middlewares: Iterable[object], faults: list[str]) -> Iterator[object]:
    for declared in middlewares:
        found = imported(declared, "MIDDLEWARE_CLASSES", faults)
        if inspect.ismodule(found):
            text = f"MIDDLEWARE_CLASSES: {declared!r} is a module. Name the class in it."
            faults.append(Fault(text, target=str(declared)))
            continue
        if isinstance(found, type):
            found = made(found, f"MIDDLEWARE_CLASSES: {declared!r}", faults)
        if found is not FAILED:
            yield found
