"""Applications and handlers that tell observers what they do, in place of those that do not.

    observe(application, observers)   the application becomes an observed variant of its class
    a request that is observed        its handler does, and its walk through the pipeline

A variant is a subclass of the same name, made when it is first needed. Without observers nothing of this is in a
request's path: this module is not imported, and application, handlers and pipeline are what they are without it.
Begin with `observe`.
"""

# pyright: reportPrivateUsage=false

import copy
import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torngas_aio.context import ORDER_TRANSACTION, RequestScope, Settle, scope_of
from torngas_aio.operations.observing import (
    ENDED,
    Observation,
    Observer,
    Stage,
    current_observation,
    enter_observation,
    told,
)
from torngas_aio.pipeline import Hook, HookCall, PipelineRun, RouteStages
from torngas_aio.routing import Resolved
from torngas_aio.utils.narrowing import class_of

if TYPE_CHECKING:
    from torngas_aio.application import Application as _Application
    from torngas_aio.handler import BaseHandler as _Handler
    from torngas_aio.http.request import Request
    from torngas_aio.routing import Route
else:
    _Application = _Handler = object

__all__ = ["observe", "observed_class"]

_MOST = 4096
"""How many variants of stages and routes are kept: matchers make routes for one request, paths have stages compiled."""


def observe(application: "_Application", observers: Iterable[Observer]) -> None:
    """Have *observers* told of each request of *application* from now on, beside those that are told already."""
    variant: Any = application
    if not isinstance(application, _ObservedApplication):
        variant.__class__ = observed_class(type(application))
    every: list[Observer] = [*variant.observers, *observers]
    wants_hooks = any(observer.wants_hooks for observer in every)
    variant.observers = every
    variant.resolved_to = functools.lru_cache(_MOST)(_resolved_to_variant)
    variant.with_timed_hooks = functools.lru_cache(_MOST)(_with_timed_hooks) if wants_hooks else None
    variant.is_choosy = any(type(observer).wants is not Observer.wants for observer in every)
    pipeline = application.pipeline
    timed = [_timed_hook(hook) if wants_hooks else hook.call for hook in pipeline.call_hooks]
    pipeline.call = tuple(_timed("hooks", "call", call) for call in timed)


def observed_class(kind: "type[_Application]") -> "type[_Application]":
    """Return the variant of *kind* whose instances can be observed.

    PERF: an application made of it is 2.5 % of a request quicker than one whose class `observe` changes: the
    interpreter looks up the attributes of such an instance in a slower way.
    """
    return _variant_of(kind, _ObservedApplication)  # type: ignore[arg-type]  # classes are hashable


class _ObservedApplication(_Application):
    """The part of an observed application's class that differs from its own."""

    observers: Sequence[Observer] = ()
    is_choosy = False
    resolved_to: Callable[["Route"], Resolved]
    with_timed_hooks: Callable[[RouteStages], RouteStages] | None
    _serve_plain: Callable[["Request"], Coroutine[Any, Any, None]]
    _make_plain: Callable[["Request", PipelineRun, Resolved], "_Handler | None"]

    def __init_subclass__(cls) -> None:
        """Not the one of the class that this is put before, which may count its subclasses."""

    def serve_request(self, request: "Request", more: Observer | None = None) -> Coroutine[Any, Any, None]:
        """Do as without observers, and tell those that want this request, and *more*, of it."""
        observers = self.observers
        if self.is_choosy:
            try:  # PERF: `told` is for the few that fail
                observers = [each for each in observers if each.wants(request)]
            except Exception:  # noqa: BLE001  as in `told`
                observers = [each for each in observers if told(each.wants, request)]
        if more is not None:
            observers = [*observers, more]
        if not observers or not (observation := Observation(request, observers)).observers:
            request._observation = None  # PERF: 3.11 finds values of instances faster
            return self._serve_plain(request)
        request._observation = observation
        enter_observation(observation)
        return _observed(observation, self._serve_plain(request))

    def _make_handler(self, request: "Request", run: PipelineRun, resolved: Resolved) -> "_Handler | None":
        request._route = route = resolved.route
        observation = request._observation
        if observation is None or route is None:
            return self._make_plain(request, run, resolved)
        observation.route = route
        handler = self._make_plain(request, run, self.resolved_to(route))
        return None if handler is None else self._taken(handler, observation, run)

    def _observe_unrouted(self, handler: "_Handler", run: PipelineRun) -> "_Handler":
        observation = handler.request._observation
        if observation is None:
            return handler
        variant: Any = handler
        variant.__class__ = _variant_of(type(variant), _ObservedHandler)  # type: ignore[arg-type]  # classes are hashable
        return self._taken(handler, observation, run)

    @staticmethod
    def _taken(handler: Any, observation: Observation, run: PipelineRun) -> "_Handler":
        handler._observation = observation
        observation.handler = handler
        if type(run) is PipelineRun:
            handler._observe_run(run)
        return handler  # type: ignore[no-any-return]  # a handler


def _resolved_to_variant(route: "Route") -> Resolved:
    """Return what leads to *route* with the variant of its handler's class.

    PERF: an instance whose class is changed later is slower in all that it does: +10 us a request.
    """
    variant: Any = copy.copy(route)
    if hasattr(variant.handler_class, "_call_method"):
        variant.handler_class = _variant_of(variant.handler_class, _ObservedHandler)
    return Resolved(variant)


def _with_timed_hooks(stages: RouteStages) -> RouteStages:
    """Return *stages* with each hook timed by itself."""
    hooks = {
        stage: [dataclasses.replace(hook, call=_timed_hook(hook)) for hook in found]
        for stage, found in stages.hooks.items()
    }
    return RouteStages(hooks, stages.route_name)


async def _observed(observation: Observation, serving: Coroutine[Any, Any, None]) -> None:
    try:
        await serving
    finally:
        if (handler := observation.handler) is not None:
            _ended(observation)
            handler._observation = ENDED  # PERF: a cycle less for the collector
        else:
            _end_without_handler(observation)


def _end_without_handler(observation: Observation) -> None:
    """End now, or with the handler of plain Tornado, which answers in another task and closes the scope at its end."""
    scope = scope_of(observation.request)
    if observation.route is not None and not scope.is_closed:
        scope.add(_observed, observation, close_now=functools.partial(_ended, observation))
    else:
        _ended(observation)


def _ended(observation: Observation) -> bool:
    observation.end()
    observation.request._observation = None  # PERF: a cycle less for the collector
    return True


class _ObservedHandler(_Handler):
    """The part of an observed handler's class that differs from its own."""

    _observation = ENDED

    def __init_subclass__(cls) -> None:
        """As above."""

    def _observe_run(self, run: PipelineRun) -> None:
        if run.stages.has_any:
            application: Any = self.application
            if application.with_timed_hooks is not None:
                run.stages = application.with_timed_hooks(run.stages)
            run.__class__ = _ObservedRun

    def _call_method(self) -> Any:
        stage = Stage(self._observation, "method")
        try:
            result = super()._call_method()
        except BaseException:
            stage.end()
            raise
        if inspect.isawaitable(result):
            return _ended_with(stage, result)
        stage.end()
        return result

    def render(self, template_name: str, **kwargs: Any) -> Any:
        stage = Stage(self._observation, "render", template_name)
        try:
            return super().render(template_name, **kwargs)
        finally:
            stage.end(is_told=self._deferred is None)  # else it is rendered later

    async def _render_later(self, make_page: Any, ordered_by: Any) -> None:
        if class_of(make_page) is functools.partial:  # hooks and all: timed below, where the template begins
            await super()._render_later(make_page, ordered_by)
        else:
            await self._observation.timed("render", "", super()._render_later(make_page, ordered_by))

    async def _render_plain(self, template_name: str, kwargs: dict[str, Any]) -> bytes:
        page: bytes = await self._observation.timed(
            "render", template_name, super()._render_plain(template_name, kwargs)
        )
        return page

    async def _settle(self, scope: RequestScope) -> None:
        scope.wrap_settling(self._timed_settle)
        await super()._settle(scope)

    def _timed_settle(self, order: int, settle: Settle) -> Settle:
        name = "commit" if order == ORDER_TRANSACTION else "save"
        return lambda outcome: self._observation.timed(name, "", settle(outcome))

    def _send_last(self) -> bool:
        return bool(self._timed_send(super()._send_last))

    def _send_part(self, include_footers: bool) -> Any:
        outer = self._observation.stage
        if outer is not None and outer.name == "send":  # `_send_last` has counted this
            return super()._send_part(include_footers)
        return self._timed_send(functools.partial(super()._send_part, include_footers))

    def _add_fields(self, fields: dict[str, str]) -> None:
        for name, value in fields.items():
            self.set_header(name, value)

    def _timed_send(self, send: Any) -> Any:
        if not self._headers_written and (fields := self._observation.head_fields()):
            self._while_changing(functools.partial(self._add_fields, fields))
        self._observation.note_sent(self._write_buffer)
        stage = Stage(self._observation, "send")
        try:
            return send()
        finally:
            stage.end()


class _ObservedRun(PipelineRun):
    """A walk whose stages are timed; the handler that it is given knows for whom."""

    __slots__ = ()

    async def request(self, handler: Any, hooks: tuple[HookCall, ...]) -> tuple[bool, HookCall | None]:
        ended: tuple[bool, HookCall | None] = await _hooks(handler, "request", super().request(handler, hooks))
        return ended

    async def render(self, handler: Any, template_name: str, kwargs: dict[str, Any]) -> None:
        await _hooks(handler, "render", super().render(handler, template_name, kwargs))

    async def response(self, handler: Any, chunk: list[bytes]) -> None:
        await _hooks(handler, "response", super().response(handler, chunk))

    def endcall(self, handler: Any) -> Coroutine[Any, Any, bool]:
        running = super().endcall(handler)
        return _hooks(handler, "endcall", running) if self.stages.endcall else running

    def exception(self, handler: Any, error: Any) -> Coroutine[Any, Any, bool]:
        return _hooks(handler, "exception", super().exception(handler, error))


def _hooks(handler: Any, stage: str, running: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    observation: Observation = handler._observation
    return observation.timed("hooks", stage, running)


def _timed_hook(hook: Hook) -> HookCall:
    return _timed("hook", str(hook), hook.call)


def _timed(name: str, label: str, call: HookCall) -> HookCall:
    """Return *call*, timed where its request is observed."""

    @functools.wraps(call)
    def timed(*args: Any, **kwargs: Any) -> Any:
        running, observation = call(*args, **kwargs), current_observation()
        if observation is None:
            return running  # PERF: no coroutine around it
        return observation.timed(name, label, running)

    return timed


async def _ended_with(stage: Stage, work: Awaitable[Any]) -> Any:
    try:
        return await work
    finally:
        stage.end()


@functools.lru_cache(4096)
def _variant_of(cls: Any, mixin: type) -> type:
    """Return the class that is *cls* but for what *mixin* changes; it has the same name.

    `declared_class` is *cls*, for those that go by classes, such as the senders of signals.
    """
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    names["declared_class"] = cls
    if mixin is _ObservedApplication:  # PERF: found in the class, quicker than by `super()`: -0.4 us a request
        names |= {"_serve_plain": cls.serve_request, "_make_plain": cls._make_handler}
    variant: type = type(cls)(cls.__name__, (mixin, cls), names)
    return variant
