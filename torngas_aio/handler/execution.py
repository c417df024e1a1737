"""One request through its handler: hooks, method, response, whatever happens on the way.

    perform    origin > hooks before the body > body > xsrf > other request hooks > prepare, on_prepare > get/post/...
    complete   see `completing`
    on error   exception hooks > error page > complete, see `recovery`
    always     the request's resources are closed

Begin with `ExecutingHandler.serve`.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable
from inspect import isawaitable, unwrap
from types import CoroutineType
from typing import Any

from tornado.web import HTTPError, RequestHandler

from torngas_aio._cleanup import is_imposed
from torngas_aio._compat.tornado import cross_origin_fault
from torngas_aio.exception import PoolExhausted, Unavailable
from torngas_aio.handler.completing import CompletingHandler, watch_method
from torngas_aio.handler.completion import COMPLETED, Completion
from torngas_aio.handler.lifecycle import (
    INTERRUPTED,
    LATE,
    RETURNED,
    require_changeable,
)  # fmt: skip
from torngas_aio.handler.receiving import receive, take_body
from torngas_aio.handler.recovery import answer_error, give_up
from torngas_aio.handler.sending import allowed_methods
from torngas_aio.handler.time_limit import as_late, look, set_timer, uncancel
from torngas_aio.http.base import ClientGone
from torngas_aio.http.body import NO_BODY
from torngas_aio.logger import OutageLog
from torngas_aio.pipeline import HookCall, PipelineRun

__all__ = ["ExecutingHandler"]

logger = logging.getLogger("torngas_aio.handler")
_outages = OutageLog(logger)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHOD_NAMES = {name: name.lower() for name in RequestHandler.SUPPORTED_METHODS}
_DECODE_ARGUMENT = RequestHandler.decode_argument
_ON_PREPARE = CompletingHandler.on_prepare


class ExecutingHandler(CompletingHandler):
    """A handler that owns its run: every hook is awaited, in the request's own task."""

    cancel_on_disconnect = False
    """Cancel the method, and roll back, when the client goes away; else it runs to its end."""

    request_timeout: float | None = None
    """Seconds until the first byte of the answer, the body's arrival not counted; None: the application's, 0: none."""

    max_body_size: int | None = None
    """The largest body in bytes, larger ones are answered 413; None: the server's, 10 MiB by default."""

    spool_body = False
    """Keep bodies above 1 MiB in a temporary file: `request.spool`, and a `SpooledFile` for each file of a form."""

    _reads_body = True
    _task: asyncio.Task[Any] | None = None  # the method's, while it may be cancelled
    _prepares = False  # `prepare` is overridden, by the class or a mixin
    _is_prepared = False  # `prepare` or `on_prepare` is

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._prepares = any("prepare" in vars(base) for base in cls.__mro__ if base not in _OWN_PREPARE)
        cls._is_prepared = cls._prepares or cls.on_prepare is not _ON_PREPARE

    def prepare(self) -> Any:
        """Called after the request hooks, before `on_prepare`; plain or `async def`."""
        result = super().prepare()
        return COMPLETED if result is None else result

    async def serve(  # noqa: C901, PLR0912  PERF: one coroutine for the whole run
        self, run: PipelineRun, args: Any, kwargs: Any, error: BaseException | None = None
    ) -> None:
        """Answer the request, whatever its code raises: BaseExceptions too.

        Args:
            run: The request's walk through the pipeline.
            args: The route's unnamed groups, as bytes.
            kwargs: The route's named groups.
            error: What a call hook raised: answered instead of running the method.

        Raises:
            CancelledError: The request's task was cancelled.
            KeyboardInterrupt: The request's code raised it; it was answered before.
        """
        self._run = run
        try:
            try:
                if error is not None:
                    raise error
                waits_for = self._performed(args, kwargs)
                if waits_for is not None:
                    value = await waits_for
                    if value is not None:
                        self._take_result(value)
                if not self._auto_finish and not self._response_state.is_finished:
                    await self._until_finished()
                if self._method_phase is LATE:  # and has not minded
                    uncancel()
                self._method_phase = RETURNED
                if self._completion is not None:  # which may be about to replace the response by an error page
                    await self._complete_once(drains=False)
                if not self._response_state.is_finished or self._response_state is INTERRUPTED:
                    self._finish_at_end()
            except BaseException as exc:  # the request's boundary: answered and logged
                failure = exc if self._method_phase is not LATE else as_late(exc, self._time_limit())
                if is_imposed(failure):
                    raise
                self._method_phase = RETURNED
                await answer_error(self, failure, may_replace=self._response_state is INTERRUPTED)
            if self._response_state.is_pending or self._completion is not None:
                await self._complete_once(drains=False)
        except (asyncio.CancelledError, GeneratorExit) as exc:
            await give_up(self, exc)
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
            request: Any = self.request
            if request._scope is not None:
                await request._scope.aclose()
            del request._handler  # a cycle less for the collector
        if self._interrupt is not None:
            raise self._interrupt

    def _finish_at_end(self) -> None:
        """Finish what the method has not; raise where it was interrupted in its `await self.finish()`."""
        require_changeable(self, "")
        self.finish()

    async def _perform_cancellable(self, args: Any, kwargs: Any) -> Any:
        self._task = asyncio.current_task()
        try:
            return await self._perform(args, kwargs)
        finally:
            self._task = None

    def _look(self, task: asyncio.Task[Any], now: float) -> float:
        """Cancel *task* if its time is over; called by the server's sweep, or a timer. See `time_limit.look`."""
        return look(self, self._time_limit(), task, now)

    def _time_limit(self) -> float | None:
        seconds = self.request_timeout
        if seconds is None:
            seconds = self.application.request_timeout  # type: ignore[attr-defined]  # ours
        return seconds

    def _performed(self, args: Any, kwargs: Any) -> Awaitable[Any] | None:
        """Do what `_perform` does, or leave it to that; return what is still to be awaited.

        PERF: where nothing comes before the method, it is awaited without a coroutine around it: -0.3 us a request.
        """
        seconds = self.request_timeout
        if seconds is None:  # PERF: `_time_limit`, without the call
            seconds = self.application.request_timeout  # type: ignore[attr-defined]  # ours
        request: Any = self.request
        connection = request.connection
        if seconds and seconds < getattr(connection, "swept_from", math.inf):
            set_timer(self, self._look, seconds)
        if self.cancel_on_disconnect:
            return self._perform_cancellable(args, kwargs)
        stages = self._run.stages
        is_hooked = stages.awaits_before_method
        if (
            (is_hooked and (stages.before_body or request.method not in _SAFE_METHODS))
            or connection.body is not NO_BODY
            or self._is_prepared
            or self._stream_request_body
            or request.method not in self.SUPPORTED_METHODS
        ):
            return self._perform(args, kwargs)
        if args or kwargs or request.method != "GET":
            self._take_arguments(args, kwargs)
            if request.method not in _SAFE_METHODS:
                self._check_origin()
                self._check_xsrf()
        else:
            self.path_args, self.path_kwargs = [], {}
        return self._perform_hooked(stages.request) if is_hooked else self._begin_method()

    async def _perform_hooked(self, hooks: tuple[HookCall, ...]) -> Any:
        """Do the rest of `_perform` where request hooks are all that comes before the method."""
        _, forgetful = await self._run.request(self, hooks)
        _remind(forgetful)
        if self._response_state.is_finished:
            return None
        waits_for = self._begin_method()
        return None if waits_for is None else await waits_for

    async def _perform(self, args: Any, kwargs: Any) -> Any:
        request = self.request
        if request.method not in self.SUPPORTED_METHODS:
            raise self._not_allowed()
        self._take_arguments(args, kwargs)
        has_answer = self._is_prepared or request.method in allowed_methods(type(self))
        if not has_answer:
            self._reads_body = self._stream_request_body = False  # a 405 will follow, whatever the body is
        await self._pass_guards()
        if self._response_state.is_finished:
            return None
        if self._prepares:
            await _settled(self.prepare())
        if self._is_prepared:
            await _settled(self.on_prepare())
        if self._response_state.is_finished:
            return None
        if self._stream_request_body:
            await receive(self)
        waits_for = self._begin_method()
        return None if waits_for is None else await waits_for

    async def _pass_guards(self) -> None:
        """Run what may refuse the request, the body's arrival in between."""
        is_unsafe = self.request.method not in _SAFE_METHODS
        if is_unsafe:
            self._check_origin()
        stages = self._run.stages
        has_ended = bool(stages.before_body) and await self._run_before_body(stages.before_body)
        if self._response_state.is_finished:
            return
        body = self.request.connection.body  # type: ignore[union-attr]  # an Exchange
        if body is not NO_BODY and self._reads_body:
            await take_body(self, body, limit=self.max_body_size, spools=self.spool_body)
        if is_unsafe and self._reads_body:
            self._check_xsrf()
        if stages.request and not has_ended:
            _, forgetful = await self._run.request(self, stages.request)
            _remind(forgetful)

    async def _run_before_body(self, hooks: tuple[HookCall, ...]) -> bool:
        """Run the half of the request stage that needs no body; return whether it has ended the stage."""
        request: Any = self.request
        request.is_body_ahead = True
        try:
            has_ended, forgetful = await self._run.request(self, hooks)
        finally:
            request.is_body_ahead = False
        _remind(forgetful)
        return has_ended

    def _not_allowed(self) -> HTTPError:
        return HTTPError(405)

    def _begin_method(self) -> Awaitable[Any] | None:
        """Call the method and return what is still to be awaited of it."""
        name: Any = self.request.method
        method = getattr(self, _METHOD_NAMES.get(name) or name.lower())
        path_args, path_kwargs = self.path_args, self.path_kwargs
        # PERF: a call without * costs 0.3 % less (benchmarks, plain)
        result: Any = method(*path_args, **path_kwargs) if path_args or path_kwargs else method()
        if self._run.stages.awaits_after_method and hasattr(result, "send"):
            return watch_method(self, result, self._take_result)
        if result is not None and type(result) is not CoroutineType and not isawaitable(result):
            self._take_result(result)
            return None
        waits_for: Awaitable[Any] | None = result
        return waits_for

    def _take_result(self, value: Any) -> None:
        """Deal with what the method returned; a `Completion` was only to be awaited, if at all."""
        if not isinstance(value, Completion):
            self._use_result(value)

    def _use_result(self, value: Any) -> None:
        if not self.application.settings.get("debug"):
            return
        method = getattr(self, str(self.request.method).lower())
        code = getattr(unwrap(method), "__code__", None)
        place = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
        logger.warning(
            "%s%s returned %.80r, which is dropped. Answer with self.write() or self.finish(); a method of an "
            "ApiHandler that has written nothing answers with what it returns.",
            method.__qualname__, place, value,
        )  # fmt: skip

    def _take_arguments(self, args: Any, kwargs: Any) -> None:
        self.path_args = self._decoded(args) if args else []
        self.path_kwargs = {key: self.decode_argument(arg, key) for key, arg in kwargs.items()} if kwargs else {}

    def _check_origin(self) -> None:
        """Refuse what another site's page sends, as `cross_origin_protection` asks for; needs no body."""
        if self.application.settings.get("cross_origin_protection"):
            error = cross_origin_fault(self)
            if error is not None:
                raise HTTPError(403, "%s", error)

    def _check_xsrf(self) -> None:
        """Check the token, which may be a field of the body."""
        if self.application.settings.get("xsrf_cookies"):
            self.check_xsrf_cookie()

    def _decoded(self, args: Any) -> list[Any]:
        if type(self).decode_argument is _DECODE_ARGUMENT:  # PERF: Tornado's, without a call for each
            try:
                return [None if arg is None else arg.decode() for arg in args]
            except UnicodeDecodeError:
                pass  # Tornado's own error follows
        return [self.decode_argument(arg) for arg in args]

    async def _until_finished(self) -> None:
        """Wait for a `finish()` that comes later, from elsewhere; or for the client to go."""
        self._finish_waiter = asyncio.get_running_loop().create_future()
        await self._finish_waiter

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an uncaught error; a store that is down or overloaded is one line a second, without a traceback."""
        if isinstance(value, Unavailable | PoolExhausted):
            # What is down comes first in the message; the rest may tell seconds, which differ each time.
            _outages.report((typ, str(value).partition(": ")[0]), "%s failed: %s", self._request_summary(), value)
        elif isinstance(value, HTTPError) and value.status_code == 429:
            logger.debug("%s: %s", self._request_summary(), value)  # the access log has the line
        else:
            super().log_exception(typ, value, tb)

    def _on_close(self) -> None:
        """Called by the server when the client has gone before the response was finished."""
        try:
            self.on_connection_close()
        except BaseException as exc:  # a boundary: called from the server
            self._note_interrupt(exc)
            logger.exception("on_connection_close() of %s failed.", type(self).__qualname__)
        if self._finish_waiter is not None and not self._finish_waiter.done():
            self._finish_waiter.set_exception(ClientGone("The client closed the connection."))
        if self.cancel_on_disconnect and self._task is not None:
            self._task.cancel()

    def on_connection_close(self) -> None:
        """Called when the client goes away before the response is finished; override it to clean up."""


_OWN_PREPARE = (ExecutingHandler, RequestHandler)


def _remind(hook: Any) -> None:
    if hook is not None:
        name = getattr(hook, "__qualname__", hook)
        logger.warning("%s finished the response: let it return a true value to say so.", name)


async def _settled(result: Any) -> Any:
    return result if result is None else await result
