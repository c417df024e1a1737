"""Pipeline runs and handlers that notify observers.

    observe(application, observers)   replaces `serve_request` by that of an `Observing`
    an observed request               gets an `_ObservedRun` and an observed handler, which report their stages
    any other request                 is served as without observers

The class of an observed handler is a subclass with the same name, created on first use. Without observers this module
is not imported, and the request path is unchanged.
"""

# pyright: reportPrivateUsage=false

import copy
import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from torngas_aio.context import ORDER_TRANSACTION, RequestScope, Settle, scope_of
from torngas_aio.operations.observing import (
    ENDED,
    Observation,
    Observer,
    Stage,
    current_observation,
    enter_observation,
)
from torngas_aio.pipeline import Hook, HookCall, PipelineRun, RouteStages
from torngas_aio.utils.narrowing import class_of

if TYPE_CHECKING:
    from torngas_aio.application import Application as _Application
    from torngas_aio.handler import BaseHandler as _Handler
    from torngas_aio.http.request import Request
    from torngas_aio.routing import Route
else:
    _Handler = object

__all__ = ["Observing", "Serve", "observe"]

Serve = Callable[..., Coroutine[Any, Any, None]]
"""Returns the coroutine that serves a request; further arguments are additional observers."""

_MOST = 4096
"""Cache size for variants of stages and of routes: custom matchers create routes, and path rules create stages."""


def observe(application: "_Application", observers: Iterable[Observer]) -> "Observing":
    """Add *observers* to *application*; they are notified of each request from now on."""
    variant: Any = application
    observing: Observing | None = getattr(application, "_observing", None)
    if observing is None:
        variant._observing = observing = Observing(application)
        variant.serve_request = observing.serve
    observing.add(observers)
    return observing


class Observing:
    """The object that serves one application's requests and notifies its observers.

    Attributes:
        serve: Serves a request and notifies the observers, and further ones if given.
        serve_others: The same without further observers.
        serve_plain: Serves a request without observers.
        observers: The observers of all requests.
    """

    serve: Serve
    serve_others: Serve

    def __init__(self, application: "_Application") -> None:
        self._application: Any = application
        self._pipeline = application.pipeline
        self.serve_plain: Serve = application.serve_request
        self.serve = self._serve
        self.observers: list[Observer] = []

    def add(self, observers: Iterable[Observer]) -> None:
        """Add *observers*."""
        self.observers += observers
        if self.serve == self._serve:  # otherwise requests are sampled
            self.serve_others = self.serve if self.observers else self.serve_plain
        self.route_for = functools.lru_cache(_MOST)(_route_of_variant)
        self.call_hooks, self.stages_for = self._pipeline.call, _unchanged
        if any(observer.wants_hooks for observer in self.observers):
            self.call_hooks = tuple(map(_timed_hook, self._pipeline.call_hooks))
            self.stages_for = functools.lru_cache(_MOST)(_with_timed_hooks)

    def sample(self, sampling: Callable[["Observing"], Serve]) -> None:
        """Serve requests by the result of *sampling*, which calls `serve` or `serve_plain` of this object."""
        is_outermost = self._application.serve_request == self.serve
        self.serve = self.serve_others = sampling(self)
        if is_outermost:
            self._application.serve_request = self.serve

    def _serve(self, request: "Request", *more: Observer) -> Coroutine[Any, Any, None]:
        observers = [*self.observers, *more]
        if not observers or not (observation := Observation(request, observers)).observers:
            return self.serve_plain(request)
        request.observation, request.run = observation, _ObservedRun(self)
        enter_observation(observation)
        return _serve_observed(observation, self.serve_plain(request))


def _unchanged(stages: RouteStages) -> RouteStages:
    return stages


def _route_of_variant(route: "Route") -> "Route":
    """Return a copy of *route* with the observed variant of its handler class.

    PERF: assigning `__class__` of the instance later would slow its attribute access: +10 us a request.
    """
    variant = copy.copy(route)
    variant.handler_class = _variant_of(route.handler_class)  # type: ignore[arg-type]  # classes are hashable
    return variant


def _with_timed_hooks(stages: RouteStages) -> RouteStages:
    """Return *stages* with each hook timed individually."""
    hooks = {
        stage: [dataclasses.replace(hook, call=_timed_hook(hook)) for hook in found]
        for stage, found in stages.hooks.items()
    }
    return RouteStages(hooks, stages.route_name)


async def _serve_observed(observation: Observation, serving: Coroutine[Any, Any, None]) -> None:
    try:
        await serving
    finally:
        if (handler := observation.handler) is not None:
            _end(observation)
            handler._observation = ENDED  # PERF: breaks a reference cycle
        else:
            _end_without_handler(observation)


def _end_without_handler(observation: Observation) -> None:
    """End *observation* now, or when a plain Tornado handler, which runs in another task, closes the scope."""
    scope = scope_of(observation.request)
    if observation.route is not None and not scope.is_closed:
        scope.add(_serve_observed, observation, close_now=functools.partial(_end, observation))
    else:
        _end(observation)


def _end(observation: Observation) -> bool:
    observation.end()
    observation.request.observation = observation.request.run = None  # PERF: breaks a reference cycle
    return True


class _ObservedHandler(_Handler):
    """The overrides that an observed variant adds to a handler class."""

    _observation = ENDED

    def __init_subclass__(cls) -> None:
        """Skip the `__init_subclass__` of the handler class, which may register subclasses."""

    def __init__(self, application: Any, request: Any, **kwargs: Any) -> None:
        self._attach(request.observation)
        super().__init__(application, request, **kwargs)

    def _attach(self, observation: Observation) -> None:
        self._observation = observation
        observation.handler = self

    def _call_method(self) -> Any:
        stage = Stage(self._observation, "method")
        try:
            result = super()._call_method()
        except BaseException:
            stage.end()
            raise
        if inspect.isawaitable(result):
            return _await_stage(stage, result)
        stage.end()
        return result

    def render(self, template_name: str, **kwargs: Any) -> Any:
        stage = Stage(self._observation, "render", template_name)
        try:
            return super().render(template_name, **kwargs)
        finally:
            stage.end(is_reported=self._deferred is None)  # otherwise the page is rendered later

    async def _render_later(self, make_page: Any, ordered_by: Any) -> None:
        if class_of(make_page) is functools.partial:  # includes hooks: `_render_plain` times the template alone
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
    """A pipeline run that times its stages; the observation comes from the request or handler."""

    __slots__ = ("_observing",)

    def __init__(self, observing: Observing) -> None:
        super().__init__()
        self._observing = observing

    async def call(self, hooks: tuple[HookCall, ...], request: Any) -> None:
        if hooks:
            await request.observation.timed("hooks", "call", super().call(self._observing.call_hooks, request))

    def enter(self, stages: RouteStages, route: Any) -> Any:
        super().enter(self._observing.stages_for(stages), route)
        return None if route is None else self._observing.route_for(route)

    def take_unrouted(self, handler: Any) -> Any:
        handler.__class__ = _variant_of(handler.__class__)
        handler._attach(handler.request.observation)
        return handler

    async def request(self, handler: Any, hooks: tuple[HookCall, ...]) -> bool:
        return bool(await _hooks(handler, "request", super().request(handler, hooks)))

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
    """Return a function that calls *hook* and times it."""

    @functools.wraps(hook.call)
    def timed(*args: Any, **kwargs: Any) -> Any:
        observation = current_observation()
        assert observation is not None
        return observation.timed("hook", str(hook), hook.call(*args, **kwargs))

    return timed


async def _await_stage(stage: Stage, work: Awaitable[Any]) -> Any:
    try:
        return await work
    finally:
        stage.end()


@functools.lru_cache(4096)
def _variant_of(cls: Any) -> Any:
    """Return a subclass of *cls* with the overrides of `_ObservedHandler` and the same name.

    `declared_class` is *cls*, for code that compares classes, such as the senders of signals.
    """
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, (_ObservedHandler, cls), {**names, "declared_class": cls})
