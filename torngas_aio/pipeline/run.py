"""The run of one request through the stages of its route."""

# pyright: reportPrivateUsage=false

import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar

from torngas_aio._cleanup import is_imposed
from torngas_aio.logger import OutageLog
from torngas_aio.pipeline.hooks import ROUTE_STAGES, Hook, HookCall

__all__ = ["IDLE", "NOTHING", "PipelineRun", "RouteStages"]

logger = logging.getLogger("torngas_aio.pipeline")
_outages = OutageLog(logger)

_Route = TypeVar("_Route")
_Handler = TypeVar("_Handler")


class _State(Protocol):
    @property
    def is_finished(self) -> bool: ...


class HookedHandler(Protocol):
    """The part of a handler's interface that a run uses."""

    @property
    def _response_state(self) -> _State: ...

    @property
    def _field_count(self) -> int: ...

    def _note_interrupt(self, exc: BaseException, /) -> None: ...


class RouteStages:
    """The hooks of one route: a flat tuple of bound coroutine functions for each stage.

    The request stage has two parts, `before_body` and `request`, each in declared order.
    """

    __slots__ = (
        "awaits_after_method",
        "before_body",
        "endcall",
        "exception",
        "has_any",
        "hooks",
        "render",
        "request",
        "response",
        "route_name",
    )

    def __init__(self, hooks: Mapping[str, Sequence[Hook]], route_name: str | None = None) -> None:
        self.route_name = route_name
        self.hooks: dict[str, tuple[Hook, ...]] = {stage: tuple(hooks.get(stage, ())) for stage in ROUTE_STAGES}
        self.hooks["request"] = tuple(sorted(self.hooks["request"], key=lambda hook: not hook.before_body))
        calls = {stage: tuple(hook.call for hook in found) for stage, found in self.hooks.items()}
        self.before_body = tuple(hook.call for hook in self.hooks["request"] if hook.before_body)
        self.request = calls["request"][len(self.before_body) :]
        self.render = calls["render"]
        self.response = calls["response"]
        self.endcall = calls["endcall"]
        self.exception = calls["exception"]
        self.has_any = any(self.hooks.values())
        self.awaits_after_method = bool(self.response or self.endcall)


NOTHING = RouteStages({})


class PipelineRun:
    """The run of one request through its stages.

    `clear`, passed to each hook, ends all stages of all middlewares for this request.
    """

    __slots__ = ("_response_hooks", "field_count", "has_responded", "is_cleared", "stages")

    def __init__(self, stages: RouteStages = NOTHING) -> None:
        self.stages = stages
        self.is_cleared = False
        self.has_responded = False  # all response hooks have run, or one has ended the stage
        self.field_count = 0  # header fields of the response before its first response hook
        self._response_hooks: Iterator[HookCall] | None = None  # the remaining ones, once the first has begun

    def clear(self) -> None:
        """End every stage of every middleware for this request."""
        self.is_cleared = True
        self.stages = NOTHING
        self._response_hooks = None

    def enter(self, stages: RouteStages, route: _Route) -> _Route:
        """Use the stages of *route*, unless all stages were ended; return the route that makes the handler."""
        if not self.is_cleared:
            self.stages = stages
        return route

    def take_unrouted(self, handler: _Handler) -> _Handler:
        """Return *handler*, which responds to a request without a route."""
        return handler

    async def call(self, hooks: tuple[HookCall, ...], request: object) -> None:
        """Run the call hooks of the application."""
        clear = self.clear
        for hook in hooks:
            if await hook(request, clear) or self.is_cleared:
                return

    async def request(self, handler: HookedHandler, hooks: tuple[HookCall, ...]) -> bool:
        """Run *hooks*, one part of the request stage, and return whether the stage has ended."""
        clear = self.clear
        for hook in hooks:
            is_last = await hook(handler, clear)
            if handler._response_state.is_finished and not is_last:
                logger.warning("%s finished the response: let it return a true value to say so.", _name_of(hook))
                return True
            if is_last or self.is_cleared:
                return True
        return False

    async def render(self, handler: HookedHandler, template_name: str, kwargs: dict[str, object]) -> None:
        """Run the render hooks; `kwargs` are the template's values, passed to each hook as keywords."""
        clear = self.clear
        for hook in self.stages.render:
            if await hook(handler, clear, template_name, **kwargs) or self.is_cleared:
                return

    async def response(self, handler: HookedHandler, chunk: list[bytes]) -> None:
        """Run the response hooks that have not run yet; after an error, call it again for the remaining ones."""
        if self.has_responded:
            return
        clear = self.clear
        hooks = self._response_hooks
        if hooks is None:
            hooks = self._response_hooks = iter(self.stages.response)
            self.field_count = handler._field_count
        for hook in hooks:
            if await hook(handler, clear, chunk) or self.is_cleared:
                break
        self.has_responded = True

    def endcall(self, handler: HookedHandler) -> Coroutine[Any, Any, bool]:
        """Run the endcall hooks; an error is logged, and the remaining hooks still run."""
        return self._each(self.stages.endcall, handler)

    def exception(
        self,
        handler: HookedHandler,
        error: tuple[type[BaseException], BaseException, TracebackType | None],
    ) -> Coroutine[Any, Any, bool]:
        """Run the exception hooks, and return whether one ended the stage; their own errors are logged."""
        return self._each(self.stages.exception, handler, *error)

    async def _each(self, hooks: tuple[HookCall, ...], handler: HookedHandler, *error: object) -> bool:
        clear = self.clear
        for hook in hooks:
            try:
                # PERF: a call without * takes half the time (benchmarks, middlewares)
                if await (hook(handler, clear, *error) if error else hook(handler, clear)):
                    return True
            except BaseException as exc:  # a boundary: the remaining hooks must still run
                if is_imposed(exc):
                    raise
                _outages.report_error(exc, "The hook %s failed.", _name_of(hook))
                handler._note_interrupt(exc)
            if self.is_cleared:
                return True
        return False


def _name_of(hook: HookCall) -> object:
    return getattr(hook, "__qualname__", hook)


IDLE = PipelineRun()
"""The run of every request to an application without hooks: shared, because it never changes."""
