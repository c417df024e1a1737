"""The application: builds and owns router, pipeline and lifespan, and serves requests.

HTTP server ── serve_request ─► call hooks ─► route ─► handler.execution.run_handler
                                               ├──► foreign handler (plain Tornado): its own delegate
                                               └──► none: ErrorHandler, 404
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import ExitStack
from contextvars import Context
from functools import lru_cache, partial
from inspect import isclass, signature
from typing import Any
from weakref import WeakSet

from tornado import web
from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerRequest
from tornado.log import access_log
from tornado.routing import AnyMatches, Rule
from tornado.websocket import WebSocketHandler as TornadoWebSocketHandler

from torngas_aio._cleanup import close_all, is_imposed
from torngas_aio._names import did_you_mean, import_object
from torngas_aio._node import warn_of_memory
from torngas_aio._unawaited import tracked_origins, watch_unawaited
from torngas_aio.checks.references import imported
from torngas_aio.context import enter_request, scope_of
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.handler import BaseHandler, ErrorHandler, StaticFileHandler
from torngas_aio.handler.compression import GZipContentEncoding
from torngas_aio.handler.execution import run_handler
from torngas_aio.handler.foreign import feed_delegate, make_foreign_handler
from torngas_aio.handler.host import HostApplication
from torngas_aio.handler.mounted import MountHandler
from torngas_aio.handler.rendering import awaits_modules
from torngas_aio.handler.static_files import DEFAULT_CACHE_BYTES, FileCache
from torngas_aio.handler.websocket import GOING_AWAY, broadcast
from torngas_aio.http.request import Request
from torngas_aio.http.response import refuse
from torngas_aio.http.tornado_adapter import TornadoAdapter
from torngas_aio.lifespan import Background, Lifespan, StopEvent
from torngas_aio.logger import DirectLines, level_of, request_summary
from torngas_aio.pipeline import IDLE, Pipeline, PipelineRun, RouteStages
from torngas_aio.routing import ApplicationRouter, Resolved, Route
from torngas_aio.settings_manager import settings as project_settings

__all__ = ["Application"]

logger = logging.getLogger("torngas_aio.application")

HANDLER_SETTINGS = ("default_handler_class", "static_handler_class")
"""Tornado's settings that are handler classes; dotted paths are accepted too."""


class Application(HostApplication):
    """A `tornado.web.Application` with a pipeline.

    Args:
        handlers: Tornado's rules, tuples or `Url` specs.
        default_host: As Tornado's.
        transforms: As Tornado's.
        middlewares: Dotted paths, classes or instances, in declared order.
        settings: As Tornado's; `request_timeout` (seconds) and `etag` (bool) override REQUEST_TIMEOUT and ETAG.

    Attributes:
        pipeline: Every hook, compiled; see `torngas_aio.pipeline.Pipeline`.
        lifespan: The steps before the first request and after the last.
        background: Owns tasks that outlive their request: `application.background.start_soon(function, ...)`.
        open_sockets: The WebSocket handlers with open sockets.
        mounts: The running applications of other frameworks, by their `mount`.
        sockets_end: The code and reason with which `close_sockets` closes WebSockets; None before it was called.
        is_stopping: Whether the server has begun to stop; `await application.is_stopping.wait()` waits for it.
        static_files: Small files of static folders; see `static_cache_bytes` and `static_in_threads` in TORNADO_CONF.
        context_for: Returns the context for a request; None: a copy of the one in which the server was started.

    Raises:
        ConfigError: Invalid middlewares or HTTP modules; every fault is listed.
    """

    def __init__(
        self,
        handlers: Any = None,
        default_host: str | None = None,
        transforms: Any = None,
        middlewares: Iterable[object] = (),
        **settings: Any,
    ) -> None:
        settings.setdefault("static_handler_class", StaticFileHandler)
        super().__init__(None, default_host, transforms, **{**settings, "static_path": None})
        self.settings = _check_settings(_import_classes(_complete_settings(self.settings, settings)))
        self.transforms = [GZipContentEncoding if each is web.GZipContentEncoding else each for each in self.transforms]
        self.pipeline = Pipeline(middlewares)
        self.background = Background()
        self.lifespan = Lifespan()
        self.open_sockets = WeakSet()
        self.is_stopping = StopEvent()
        self.sockets_end: tuple[int, str] | None = None
        self.static_files = FileCache(
            self.settings.get("static_cache_bytes", DEFAULT_CACHE_BYTES),
            in_threads=bool(self.settings.get("static_in_threads")),
        )
        self.awaits_modules = awaits_modules(self.ui_modules)
        self.template_loaders = {}
        self.absent_pages = set()
        self.request_timeout = settings.get("request_timeout", project_settings.REQUEST_TIMEOUT)
        self.is_debug = bool(self.settings.get("debug"))
        self.use_etag = bool(settings.get("etag", project_settings.ETAG))
        self.wildcard_router = ApplicationRouter(self, [*_static_rules(self.settings), *(handlers or ())])
        self.default_router: ApplicationRouter = ApplicationRouter(self, [Rule(AnyMatches(), self.wildcard_router)])
        self.pipeline.attach(route.name for route in self.default_router.routes() if route.name)
        self.mounts = {}
        self.context_for: Callable[[Request], Context] | None = None
        self._server_tasks: set[asyncio.Task[None]] = set()
        self._add_lifespan_steps()

    async def startup(self) -> None:
        """Run the init hooks in declared order, once; if this was not called, the first request does it.

        Raises:
            Exception: Raised by a hook; the earlier ones have been shut down again.
        """
        if not self.lifespan.is_open:  # it may have been stopped before, in another loop
            self.is_stopping, self.sockets_end = StopEvent(), None
        await self.lifespan.open()

    async def shutdown(self) -> None:
        """Cancel background tasks, run the shutdown hooks in reverse, close the resources of this loop."""
        self.is_stopping.set()
        self.close_sockets()
        await self.background.close()
        await self.lifespan.close()
        await self.background.close()  # tasks that the hooks have started
        await close_all()

    def close_sockets(self, reason: str = "The server is going away.", code: int = GOING_AWAY) -> None:
        """Begin to close every open WebSocket; those whose handshake comes later are closed before `open`.

        Args:
            code: The close code: 1001, or 1012 if another process replaces this one.
        """
        self.sockets_end = self.sockets_end or (code, reason)
        for handler in list(self.open_sockets):
            handler.close(*self.sockets_end)

    async def broadcast(
        self, handlers: Iterable[TornadoWebSocketHandler], message: Any, *, binary: bool = False
    ) -> int:
        """Send one message to many WebSockets; see `handler.websocket.broadcast`."""
        return await broadcast(handlers, message, binary=binary)

    def serve_request(self, request: Request) -> Coroutine[object, None, None]:
        """Return the coroutine that serves *request* through its connection; it raises only `CancelledError`
        and, after the response, a `KeyboardInterrupt` of the request's code.

        Must be called, and awaited, in a separate task, in the request's own copy of the context.
        """
        enter_request(request)
        run = request.run
        if run is None:
            run = IDLE if self.pipeline.is_idle else PipelineRun()
        # PERF: steps without a wait are done in this call: one coroutine less, -0.3 us a request (benchmarks, plain)
        if self.pipeline.call or not self.lifespan.is_open:
            return self._serve_after_call_hooks(request, run)
        return self._serve_routed(request, run)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return the delegate that Tornado's server asks for: the request is then served as from our own server."""
        return TornadoAdapter(self, server_conn, request_conn, self._server_tasks, self.context_for)

    def find_handler(self, request: Any, **kwargs: Any) -> Any:
        """Return the delegate that a router of Tornado asks for: the request is then served as any other.

        Args:
            request: The router's request; a path that it has rewritten is used.
            kwargs: Parameters of the router's rule; not used, as in Tornado.
        """
        connection, tasks = request.connection, self._server_tasks
        return TornadoAdapter(self, request.server_connection, connection, tasks, self.context_for, routed=request)

    def get_handler_delegate(
        self,
        request: Any,
        target_class: type[web.RequestHandler],
        target_kwargs: dict[str, Any] | None = None,
        path_args: list[bytes] | None = None,
        path_kwargs: dict[str, bytes] | None = None,
    ) -> Any:
        """Return Tornado's delegate for a handler; a plain Tornado handler's resources close at the request's end."""
        delegate = super().get_handler_delegate(request, target_class, target_kwargs, path_args, path_kwargs)
        if not issubclass(target_class, BaseHandler):
            delegate.handler_class = partial(make_foreign_handler, target_class)  # type: ignore[assignment]  # makes one
        return delegate

    def stages_of(self, route: Route, path: str) -> RouteStages:
        """Return the compiled stages of *route* for a request to *path*."""
        if issubclass(route.handler_class, web.StaticFileHandler):
            return self.pipeline.unrouted  # files have middlewares, but no HTTP modules
        mask = self.pipeline.mask_of(path)
        stages = route.pipelines.get(mask)
        if stages is None:
            stages = self.pipeline.stages_for(route.name, mask)
            if len(route.pipelines) < 64:  # further ones are kept by the pipeline, with a slower look-up
                route.pipelines[mask] = stages
        return stages

    def reverse_url(self, name: str, *args: Any) -> str:
        """Return the URL of the route *name*, with *args* in place of its groups.

        Raises:
            ArgumentError: The pattern has a different number of groups.
            KeyError: No route has this name.
            ValueError: The pattern cannot be reversed to a URL.
        """
        try:
            address = self.default_router.reverse_url(name, *args)
        except AssertionError as exc:  # raised by Tornado
            raise ArgumentError(
                f"reverse_url({name!r}) was given {len(args)} arguments. "
                f"Give one for each group of {self._patterns_by_name()[name]!r}."
            ) from exc
        if address is None:
            near = did_you_mean(name, self._patterns_by_name())
            raise KeyError(f"reverse_url({name!r}): no route has this name.{near}")
        return address

    def _patterns_by_name(self) -> dict[str, str]:
        return {route.name: route.pattern for route in self.default_router.routes() if route.name}

    @property
    def tmpl(self) -> Any:
        """The class of `TEMPLATE_CONFIG['template_engine']`, None for Tornado's; a name of torngas 1.8."""
        engine = project_settings.TEMPLATE_CONFIG["template_engine"]
        return import_object(engine) if engine else None

    def log_request(self, handler: web.RequestHandler) -> None:
        level = level_of(handler._status_code)
        if "log_function" in self.settings:
            super().log_request(handler)
        elif access_log.isEnabledFor(level):
            _log_request(handler, level)

    async def _serve_after_call_hooks(self, request: Request, run: PipelineRun) -> None:
        """Serve *request* after the call hooks, opening the lifespan first if necessary."""
        try:
            if not self.lifespan.is_open:
                await self.lifespan.open()
            await run.call(self.pipeline.call, request)
        except BaseException as exc:  # the request's boundary: a handler responds
            if is_imposed(exc):
                if isinstance(exc, asyncio.CancelledError):
                    await _refuse_cancelled(request)
                raise
            await self._serve_unrouted(request, run, exc)
        else:
            await self._serve_routed(request, run)

    def _serve_routed(self, request: Request, run: PipelineRun) -> Coroutine[object, None, None]:
        """Return the coroutine of the handler of the request's route."""
        try:
            resolved = self.default_router.resolve(request)
            handler = None if resolved is None else self.make_handler(request, run, resolved)
        except BaseException as exc:  # noqa: BLE001  the request's boundary: a handler responds
            return self._serve_unrouted(request, run, exc)
        if resolved is None:
            return self._serve_unrouted(request, run, None)
        if handler is None:
            return self._serve_foreign(request, resolved)
        return run_handler(handler, run, resolved)

    def make_handler(self, request: Request, run: PipelineRun, resolved: Resolved) -> Any:
        """Return the handler of the route, None for a foreign target."""
        request.route = route = resolved.route
        if route is None or route.is_foreign:
            return None
        if run is not IDLE:
            # PERF: usually one look-up; `stages_of` compiles, and matches path patterns
            stages = None if self.pipeline.has_patterns else route.pipelines.get(0)
            route = run.enter(stages or self.stages_of(route, request.path), route)
        kwargs = route.kwargs
        # PERF: a call without ** is 0.3 % faster (benchmarks, plain)
        return route.handler_class(self, request, **kwargs) if kwargs else route.handler_class(self, request)

    async def _serve_unrouted(self, request: Request, run: PipelineRun, error: BaseException | None) -> None:
        handler_class, kwargs = ErrorHandler, {"status_code": 404}
        if run is not IDLE and run.stages.has_any is False:
            run.enter(self.pipeline.unrouted, None)
        default = self.settings.get("default_handler_class")
        if error is None and default is not None:
            handler_class, kwargs = default, self.settings.get("default_handler_args", {})
            if not issubclass(handler_class, BaseHandler):
                await feed_delegate(self.get_handler_delegate(request, handler_class, kwargs), request, handler_class)
                return
        handler = run.take_unrouted(handler_class(self, request, **kwargs))
        handler._reads_body = handler_class is default
        await run_handler(handler, run, Resolved(None), error)

    async def _serve_foreign(self, request: Request, resolved: Resolved) -> None:
        delegate, route = resolved.delegate, resolved.route
        if delegate is None:
            assert route is not None
            delegate = self.get_handler_delegate(
                request, route.handler_class, route.kwargs, list(resolved.path_args), dict(resolved.path_kwargs)
            )
        await feed_delegate(delegate, request, None if route is None else route.handler_class)

    def _add_lifespan_steps(self) -> None:
        watch_unawaited()
        if self.is_debug:
            origins = ExitStack()
            self.lifespan.add("the origins of coroutines", partial(_enter_origins, origins), partial(_leave, origins))
        self.lifespan.add("schedules and outbox of jobs", self._start_jobs)
        hooks = [*self.pipeline.init, *self.pipeline.shutdown]
        for middleware in self.pipeline.middlewares:
            own = {hook.stage: partial(hook.call, self) for hook in hooks if _owner(hook.call) is middleware}
            if own:
                self.lifespan.add(type(middleware).__qualname__, own.get("init"), own.get("shutdown"))
        mounts = [each.kwargs["mount"] for each in self.wildcard_router.routes() if each.handler_class is MountHandler]
        for mount in dict.fromkeys(mounts):  # once, even if two tables include it
            running = self.mounts[mount] = mount.running()
            self.lifespan.add(repr(mount), running.open, running.close)

    async def _start_jobs(self) -> None:
        """Run the schedules and the outbox of jobs in memory, which have no worker, while the application runs."""
        if "torngas_aio.jobs.declaring" not in sys.modules:  # no job is declared
            return
        from torngas_aio.jobs.registry import jobs
        from torngas_aio.jobs.schedules import run_schedules
        from torngas_aio.jobs.worker import has_tables, scheduled_of

        for alias in jobs:
            scheduled, stores = scheduled_of(alias), has_tables(alias)
            if not (scheduled or stores) or not jobs[alias].runs_here:
                continue
            if scheduled:
                warn_of_memory(f"JOBS[{alias!r}]", "runs its schedules")
                self.background.start_soon(run_schedules, jobs[alias], scheduled, name="schedules", daemon=True)
            if stores and jobs[alias].database in project_settings.DATABASE_CONNECTION:
                from torngas_aio.jobs.outbox import run_outbox

                self.background.start_soon(run_outbox, jobs[alias], name="outbox", daemon=True)


async def _enter_origins(stack: ExitStack) -> None:
    stack.enter_context(tracked_origins())


async def _leave(stack: ExitStack) -> None:
    stack.close()


def _complete_settings(made: dict[str, object], given: dict[str, object]) -> dict[str, object]:
    """Return Tornado's settings with `static_path`, which was withheld from it: our rules come first."""
    made["static_path"] = given.get("static_path")
    if made["static_path"] is None:
        del made["static_path"]
    return made


def _import_classes(settings: dict[str, Any]) -> dict[str, object]:
    """Return *settings* with dotted paths of handler classes replaced by the classes."""
    for name in HANDLER_SETTINGS:
        path = settings.get(name)
        if path is None:
            continue
        settings[name] = imported(f"TORNADO_CONF[{name!r}]", path)
        if not (isclass(settings[name]) and issubclass(settings[name], web.RequestHandler)):
            raise ConfigError(
                f"TORNADO_CONF[{name!r}] = {path!r}: not a handler class. Name a tornado.web.RequestHandler.",
                code="TGA104",
            )
    return settings


def _check_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return *settings* after checks for faults that would make every page, or every 404, a 500."""
    loader, default = settings.get("template_loader"), settings.get("default_handler_class")
    if loader is not None and (isclass(loader) or not callable(getattr(loader, "load", None))):
        raise ConfigError(
            f"TORNADO_CONF['template_loader'] = {loader!r}: not a template loader. Give an instance, such as "
            "tornado.template.Loader('templates'), or choose an engine by TEMPLATE_CONFIG['template_engine'].",
            code="TGA601",
        )
    if default is not None:
        if issubclass(default, web.ErrorHandler):  # as Tornado does if no class is given
            settings.setdefault("default_handler_args", {"status_code": 404})
        arguments = settings.get("default_handler_args", {})
        try:
            signature(default.initialize).bind(None, **arguments)
        except TypeError as exc:
            raise ConfigError(
                f"TORNADO_CONF['default_handler_args'] = {arguments!r}: not what {default.__qualname__}.initialize "
                f"takes: {exc}.",
                code="TGA104",
            ) from None
    return settings


def _static_rules(settings: dict[str, Any]) -> list[Any]:
    """Return the rules that Tornado makes for `static_path`, in its order."""
    path = settings.get("static_path")
    if not path:
        return []
    arguments = {**settings.get("static_handler_args", {}), "path": path}
    prefix = re.escape(settings.get("static_url_prefix", "/static/"))
    patterns = (r"/(robots\.txt)", r"/(favicon\.ico)", prefix + "(.*)")
    return [(pattern, settings["static_handler_class"], arguments) for pattern in patterns]


def _owner(hook: object) -> object:
    return getattr(hook, "__self__", None)


def _log_request(handler: web.RequestHandler, level: int) -> None:
    """Log Tornado's line for one request, with the handler's method as its source.

    PERF: `Logger.log` would search for its caller, which is the same line each time: -3 us (benchmarks, access-log).
    """
    owner: object = type(handler)
    request = handler.request
    # Any other method is a word chosen by the client, and may be the name of any attribute.
    place = _place_of(owner, request.method) if request.method in _METHODS else _NOWHERE
    status, milliseconds = handler.get_status(), 1000.0 * request.request_time()
    if not _access_lines.write(level, partial(_access_line, status, request, milliseconds), place):
        values = status, request_summary(request), milliseconds
        path, line, name = place
        access_log.handle(access_log.makeRecord(access_log.name, level, path, line, _ACCESS_LINE, values, None, name))


def _access_line(status: int, request: HTTPServerRequest, milliseconds: float) -> str:
    return _ACCESS_LINE % (status, request_summary(request), milliseconds)


@lru_cache(1024)
def _place_of(handler_class: object, method: str) -> tuple[str, int, str]:
    name = method.lower()
    code = getattr(getattr(handler_class, name), "__code__", None)
    return _NOWHERE if code is None else (code.co_filename, code.co_firstlineno, name)


_METHODS = frozenset(web.RequestHandler.SUPPORTED_METHODS)
_NOWHERE = __file__, 0, "log_request"
_ACCESS_LINE = "%d %s %.2fms"
_access_lines = DirectLines(access_log)


async def _refuse_cancelled(request: Request) -> None:
    """Respond with 503 to a request that was cancelled before it had a handler."""
    connection = request.connection
    if not connection.is_finished:
        refuse(connection, 503, is_head=request.method == "HEAD")
    await scope_of(request).aclose()
