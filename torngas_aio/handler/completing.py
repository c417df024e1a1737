"""When a response is completed: at once, when awaited, at the next turn of the loop, or at the end.

    complete   deferred body > response hooks > resources settle > bytes leave
    afterwards endcall hooks > on_finish > complete_finish

`finish()` settles the response at the call. Where nothing has to be awaited before the bytes leave, they leave
then. Otherwise the first of these completes it: the caller that awaits the `Completion`, the next turn of the loop
when the method suspends, or `ExecutingHandler.serve` when the method has returned. The states are in `lifecycle`.
Begin with `CompletingHandler.finish`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from torngas_aio._cleanup import is_imposed
from torngas_aio.context import Outcome, RequestScope, scope_of
from torngas_aio.exception import Unawaited
from torngas_aio.handler.completion import COMPLETED, Completion
from torngas_aio.handler.lifecycle import (
    ANY_TASK,
    ENDED,
    FLUSHING,
    OPEN,
    RETURNED,
    RUNNING,
    SENT,
    STREAMING,
    WATCHED,
    MethodPhase,
    require_changeable,
)  # fmt: skip
from torngas_aio.handler.recovery import answer_error, answer_unsent
from torngas_aio.handler.sending import SendingHandler
from torngas_aio.handler.stepping import Resumed
from torngas_aio.http.response import BODILESS

__all__ = ["CompletingHandler", "watch_method"]

logger = logging.getLogger("torngas_aio.handler")


class CompletingHandler(SendingHandler):
    """Tornado's `finish` and `flush`, with every hook awaited."""

    _auto_finish = True
    _prepared_future = None
    path_args: list[str]
    path_kwargs: dict[str, str]
    _method_phase: MethodPhase
    _timer: asyncio.TimerHandle | None
    _look_at = 0.0  # when the server's sweep is to call `_look`, by the loop's clock; 0: as soon as it comes by
    _counted_from = 0.0  # when the body had arrived, or the sweep came by first; 0: the request's start
    _finish_waiter: asyncio.Future[None] | None

    def finish(self, chunk: Any = None) -> Completion:  # type: ignore[override]  # a Future in Tornado
        """End the response, with *chunk* as the last part of its body.

        Status, headers and body are settled at this call; only response hooks change them later.

        Returns:
            An awaitable: awaited, it returns when the bytes are on their way below the transport's
            high-water mark and the endcall hooks have run.

        Raises:
            RuntimeError: Called twice, or a body with a status that forbids one.
        """
        if self._response_state.is_finished:  # PERF: no call for the one that is not
            require_changeable(self, "finish() called twice")
        if chunk is not None:
            self.write(chunk)
        is_complete = False
        state = self._response_state
        if not state.has_head:
            self._response_state = state.after["finish"]
            if self._hooks_owner is not None:
                return Completion(self)  # a hook replaced the response; its completion is under way
        if not state.has_head and (
            self._has_work()
            or self._completion is not None
            or (self._method_phase is not RETURNED and self._answers_unawaited())
        ):
            self._plan()
        else:
            try:
                is_complete = self._send_last()
            except BaseException:
                self._response_state = self._response_state.after["reopen"]
                raise
            if self._run.stages.endcall or self._ends_itself:
                self._is_drained, is_complete = is_complete, False
                self._plan()
            else:
                self._response_state = self._response_state.after["end"]
        if self._finish_waiter is not None and not self._finish_waiter.done():
            self._finish_waiter.set_result(None)
        return COMPLETED if is_complete else Completion(self)

    def flush(self, include_footers: bool = False) -> Completion:  # type: ignore[override]  # a Future in Tornado
        """Send what was written so far; the first flush runs the response hooks and sends the header."""
        state = self._response_state
        if state.has_head:
            written = self._send_part(include_footers)
            # PERF: a part of a stream that can leave at once is complete: no walk for each event (benchmarks, events)
            if state is STREAMING and self._completion is None and _has_left(written):
                return COMPLETED
        elif state is not OPEN or self._hooks_owner is not None or self._completion is not None or self._has_work():
            self._response_state = state.after["flush"]
            self._plan()
        else:
            self._send_part(include_footers)
        return Completion(self)

    async def complete_response_stage(self) -> None:
        """Run the response hooks and settle the request's resources now, without sending anything."""
        while not self._response_state.has_head and self._has_work():
            await self._run_response_stage()

    def on_prepare(self) -> Any:
        """Called after the request hooks and `prepare()`, before the method; plain or `async def`."""
        return COMPLETED

    @property
    def scope(self) -> RequestScope:
        """The request's resources, made on first use."""
        return scope_of(self.request)

    def _has_work(self) -> bool:
        """Whether something is to be done before the first byte may leave."""
        if self._deferred is not None or (self._run.stages.response and not self._run.has_responded):
            return True
        request: Any = self.request
        scope: RequestScope | None = request._scope
        return (scope is not None and scope.must_settle) or request._unawaited is not None

    def take_unawaited(self, error: Unawaited) -> bool:
        """Answer *error*, a coroutine that this request forgot, with 500; False: it is only to be logged.

        It is answered in DEBUG and with ATOMIC_REQUESTS, unless the request has failed already or its answer has left.
        """
        request: Any = self.request
        if self._error is not None or self._response_state.has_head or not self._answers_unawaited():
            return False
        earlier = request._unawaited
        if earlier is None:
            request._unawaited = error
        elif str(error) not in str(earlier):
            earlier.args = (f"{earlier}\n{error}",)
        return True

    def _answers_unawaited(self) -> bool:
        """Whether a forgotten coroutine is this request's error; an un-awaited finish then waits for the method."""
        scope: RequestScope | None = self.request._scope  # type: ignore[attr-defined]  # ours
        return self.application.is_debug or (scope is not None and scope.waits_for_method)  # type: ignore[attr-defined]

    def _raise_unawaited(self) -> None:
        request: Any = self.request
        error, request._unawaited = request._unawaited, None
        if error is not None and self._error is None and self._answers_unawaited():
            raise error
        if error is not None:
            logger.error("%s", error)

    def _plan(self) -> None:
        """Have what is pending completed at the next turn of the loop, unless it is completed before."""
        if self._method_phase is not WATCHED and self._method_phase is not RETURNED:
            self._plan_next_turn()

    def _plan_next_turn(self) -> None:
        if self._next_turn is None and self._completion is None:
            self._next_turn = asyncio.get_running_loop().call_soon(self._on_next_turn)

    def _on_next_turn(self) -> None:
        self._next_turn = None
        if not self._response_state.is_pending or self._completion is not None or self._hooks_owner is not None:
            return
        scope: RequestScope | None = self.request._scope  # type: ignore[attr-defined]  # ours
        if (
            scope is not None
            and scope.waits_for_method
            and self._response_state.is_finished
            and self._method_phase is not RETURNED
        ):
            return  # ATOMIC_REQUESTS: `serve` completes when the method has returned
        # Owned by `serve`, which awaits it. A real task: timeouts and cancel scopes in hooks need one.
        self._completion = asyncio.get_running_loop().create_task(self._complete())
        self._completion.add_done_callback(self._completion_ended)

    def _completion_ended(self, completion: asyncio.Task[None]) -> None:
        self._completion = None
        if not completion.cancelled() and completion.exception() is not None:
            logger.error("Completing a response failed.", exc_info=completion.exception())

    def _complete_and_drain(self) -> Coroutine[Any, Any, None]:
        return self._complete_once(drains=True)

    def _complete_once(self, *, drains: bool) -> Coroutine[Any, Any, None]:
        """Return what completes all that is pending: here, or by waiting for the task that does it already.

        Args:
            drains: Wait, at last, until the transport can take more.
        """
        if self._completion is None and self._hooks_owner is None:
            return self._complete(drains=drains)
        return self._join_completion(drains=drains)

    async def _join_completion(self, *, drains: bool) -> None:
        current = self._current_task()
        if self._completion is None or self._completion is current or self._hooks_owner is current:
            drains = drains and self._response_state.has_head  # else a hook calls: what runs it goes on when it returns
        else:
            await asyncio.shield(self._completion)
            await self._complete(drains=False)
        if drains:
            await self.request.connection.drained()  # type: ignore[union-attr]  # an Exchange

    async def _complete(self, *, drains: bool = False) -> None:
        """Do what the state of the response asks for, until nothing is pending.

        PERF: one coroutine for all steps: a layer more costs 0.3 us a request with hooks (benchmarks, middlewares).
        """
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        while (state := self._response_state).is_pending:
            if state is SENT:
                if self._ends_itself:
                    await self._afterwards()
                else:
                    self._response_state = ENDED
                    if self._run.stages.endcall:
                        await self._run.endcall(self)
            elif self._has_work():
                await self._run_response_stage()
            elif state is FLUSHING:
                self._response_state = state.after["reopen"]  # a head that cannot be made is not tried again
                self._send_part(include_footers=False)
            else:
                try:
                    self._is_drained = self._send_last()
                except BaseException as exc:  # noqa: BLE001  the request's boundary: answered and logged
                    await answer_unsent(self, exc)
        if drains and not self._is_drained:
            await self.request.connection.drained()  # type: ignore[union-attr]  # an Exchange

    async def _run_response_stage(self) -> None:
        """Run what must come before the first byte; an error becomes the answer, and what is still due runs on that."""
        outer, self._hooks_owner = self._hooks_owner, ANY_TASK
        request: Any = self.request
        try:
            if (
                self._deferred is not None
                or request._scope is not None
                or request._unawaited is not None
                or self._status_code in BODILESS
            ):
                walk = self._prepare_answer()
            else:  # PERF: the usual case of it
                walk = self._run.response(self, self._write_buffer)
            try:
                waits_for = walk.send(None)
            except StopIteration:
                pass  # PERF: nothing else could run meanwhile: no hook had to ask for its task
            else:
                if self._method_phase is not RETURNED:
                    self._hooks_owner = self._current_task()
                await Resumed(walk, waits_for)
        except BaseException as exc:  # the request's boundary: answered and logged
            if is_imposed(exc):
                self._response_state = self._response_state.after["interrupt"]
                raise
            self._hooks_owner = outer
            await answer_error(self, exc, may_replace=True)
        finally:
            self._hooks_owner = outer

    async def _prepare_answer(self) -> None:
        self._raise_unawaited()
        while (deferred := self._deferred) is not None:  # an override may leave it to the base class
            self._deferred = None
            await deferred()
            self._makes_error_page = False
        run = self._run
        if run.stages.response:
            if self._status_code in BODILESS:
                self._refuse_body()
            await run.response(self, self._write_buffer)
        self._raise_unawaited()  # of a template or a response hook
        scope: RequestScope | None = self.request._scope  # type: ignore[attr-defined]  # ours
        if scope is not None and scope.must_settle:
            await self._settle(scope)

    async def _settle(self, scope: RequestScope) -> None:
        await scope.settle(Outcome(self, self._error, self._method_phase is RETURNED))


def _has_left(written: Any) -> bool:
    """Whether *written*, what a connection's `write` returned, is a future that has succeeded."""
    is_done = isinstance(written, asyncio.Future) and written.done() and not written.cancelled()
    return is_done and written.exception() is None


def watch_method(handler: CompletingHandler, method: Any, take_result: Callable[[Any], None]) -> "_Watched | None":
    """Run *method* up to where it first waits, and return what waits on; None when it has returned.

    Args:
        method: The coroutine of `get`, `post` and so on.
        take_result: Called with what it has returned, unless that is None.
    """
    handler._method_phase = WATCHED
    try:
        waits_for = method.send(None)
    except StopIteration as stop:
        handler._method_phase = RUNNING
        if stop.value is not None:
            take_result(stop.value)
        return None
    except BaseException:
        handler._method_phase = RUNNING
        raise
    return _Watched(method, waits_for, handler)


class _Watched(Resumed):
    """Awaits a method that waits; when its response is finished but not completed, has it completed meanwhile.

    PERF: asking the loop for its next turn at each `finish()` instead costs 1 us a request (benchmarks).
    """

    __slots__ = ("_handler",)

    def __init__(self, method: Any, waits_for: Any, handler: CompletingHandler) -> None:
        super().__init__(method, waits_for)
        self._handler = handler

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            return (yield from super().__await__())
        finally:
            if self._handler._method_phase is WATCHED:
                self._handler._method_phase = RUNNING

    def _on_wait(self) -> None:
        if self._handler._response_state.is_pending:
            self._handler._plan_next_turn()
