"""How a settled response is handed to the server.

    lean     one call, `Exchange.respond`: status, fields and body in one write
    general  Tornado's transforms, then `write_headers`, `write`, `finish`: for streams, compression and
             whatever touched `handler._headers`

Both send the same bytes for the same response. Once it has left, endcall hooks, `on_finish` and `complete_finish` run.
Begin with `SendingHandler._send_last`.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from tornado import httputil
from tornado.web import RequestHandler

from torngas_aio._cleanup import is_imposed
from torngas_aio.handler.completion import COMPLETED
from torngas_aio.handler.lifecycle import ANY_TASK
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.http.response import BODILESS, check_length
from torngas_aio.pipeline import PipelineRun

__all__ = ["SendingHandler", "allowed_methods"]

logger = logging.getLogger("torngas_aio.handler")

_ON_FINISH = RequestHandler.on_finish
_COMPUTE_ETAG = RequestHandler.compute_etag
_REPRESENTATION = ("Content-Encoding", "Content-Language", "Content-Type")
_HASHED_METHODS = ("GET", "HEAD")

_NOT_ALLOWED = 405


def allowed_methods(handler_class: type[RequestHandler]) -> tuple[str, ...]:
    """Return the methods that *handler_class* answers; to others Tornado's base class answers 405."""
    return _allowed_methods(handler_class)  # type: ignore[arg-type]  # classes are hashable


@functools.lru_cache(1024)
def _allowed_methods(handler_class: type[RequestHandler]) -> tuple[str, ...]:
    unimplemented = RequestHandler.get
    return tuple(
        name for name in handler_class.SUPPORTED_METHODS if getattr(handler_class, name.lower()) is not unimplemented
    )


class SendingHandler(ResponseHandler):
    """Sends what `ResponseHandler` holds."""

    use_etag: bool | None = None
    """Whether to hash each body into an ETag; None: as the application says (off by default)."""

    _run: PipelineRun
    _interrupt: KeyboardInterrupt | None  # raised again at the end
    _error: BaseException | None = None
    _failed_sends = 0
    _is_drained = False  # when the last byte was handed over, the transport could take more
    _has_own_etag = False  # `compute_etag` is overridden
    _ends_itself = False  # `on_finish` or `complete_finish` is overridden
    _deferred: Callable[[], Awaitable[None]] | None  # makes the body
    _makes_error_page = False  # `_deferred` makes an error page
    _completion: asyncio.Task[None] | None
    _next_turn: asyncio.Handle | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._has_own_etag = cls.compute_etag is not _COMPUTE_ETAG
        cls._ends_itself = cls.on_finish is not _ON_FINISH or cls.complete_finish is not SendingHandler.complete_finish

    def complete_finish(self) -> Any:
        """Called after the response was sent and `on_finish()`; plain or `async def`."""
        return COMPLETED

    def _send_last(self) -> bool:
        """Hand the rest of the response to the server; the exchange ends with it.

        Returns:
            Whether the transport can take more; False, too, where that was not looked at.
        """
        state = self._response_state
        if state.is_sent:
            return False
        request: Any = self.request
        is_drained = False
        if not state.has_head:
            self._conclude_headers()
        if state.has_head or self._full_headers is not None or self._transforms:
            self._send_part(include_footers=True)
            request.connection.finish()
            state = self._response_state
        else:
            body = b"".join(self._write_buffer)
            is_lean = self._new_cookie is None and not self._added
            fields = self._fields.items() if is_lean else self._all_fields()  # PERF: no call for most
            is_drained = request.connection.respond(
                self._status_code, self._reason, fields, body, request.method == "HEAD"
            )
            # Not before: a head that cannot be made leaves the answer open, for an error page.
            self._write_buffer = []
        self._response_state = state.after["send"]
        self._log()
        return is_drained

    def _conclude_headers(self) -> None:
        """Add what only the whole response knows: ETag, Content-Length."""
        wants_etag = self.application.use_etag if self.use_etag is None else self.use_etag  # type: ignore[attr-defined]  # ours
        if wants_etag or self._has_own_etag:
            self._add_etag()
        hooked = self._run.stages.response
        status = self._status_code
        # SPEC: RFC 9110 15.5.6
        if status == _NOT_ALLOWED and not self._has_header("Allow"):
            self._while_changing(lambda: self.set_header("Allow", ", ".join(allowed_methods(type(self)))))
        if status in BODILESS:
            if hooked:
                self._write_buffer = []  # what hooks add to every body has no place here
            self._refuse_body()
            self._clear_representation()
        elif self._full_headers is None and not self._transforms and not (hooked and "Content-Length" in self._fields):
            return  # PERF: the server counts
        elif not self._has_header("Content-Length") or (hooked and self.request.method != "HEAD"):
            # What was promised before the response hooks ran may hold no longer.
            self._while_changing(lambda: self.set_header("Content-Length", sum(map(len, self._write_buffer))))

    def _clear_representation(self) -> None:
        if self._full_headers is None and not self._added:
            for name in _REPRESENTATION:  # PERF: -1.5 us (benchmarks, static-304)
                self._fields.pop(name, None)
            return

        def change() -> None:
            for name in _REPRESENTATION:
                self.clear_header(name)

        self._while_changing(change)

    def _refuse_body(self) -> None:
        if self._status_code in BODILESS and any(self._write_buffer):
            raise RuntimeError(f"Cannot send body with status code HTTP{self._status_code}")

    def _add_etag(self) -> None:
        if self._status_code != 200 or self.request.method not in _HASHED_METHODS or self._has_header("Etag"):
            return

        def change() -> None:
            self.set_etag_header()
            if self.check_etag_header():
                self._write_buffer = []
                self.set_status(304)

        self._while_changing(change)

    def _while_changing(self, change: Callable[[], None]) -> None:
        """Run *change* on a response that is settled already."""
        owner, self._hooks_owner = self._hooks_owner, ANY_TASK
        try:
            change()
        finally:
            self._hooks_owner = owner

    def _send_part(self, include_footers: bool) -> Any:
        """Send the buffer the general way: through Tornado's transforms and `HTTPConnection` methods.

        Returns:
            What the connection's `write` did; None where it was not asked.
        """
        connection: Any = self.request.connection
        chunk = b"".join(self._write_buffer)
        is_head = self.request.method == "HEAD"
        if self._response_state.has_head:
            self._write_buffer = []
            for transform in self._transforms:
                chunk = transform.transform_chunk(chunk, include_footers)
            return connection.write(chunk) if chunk and not is_head else None
        status = self._status_code
        try:
            headers = self._headers
            for transform in self._transforms:
                status, headers, chunk = transform.transform_first_chunk(status, headers, chunk, include_footers)
            for cookie in (self._new_cookie or {}).values():
                headers.add("Set-Cookie", cookie.OutputString(None))
        except httputil.HTTPInputError as exc:  # HTTPHeaders takes them for a client's
            raise httputil.HTTPOutputError(str(exc)) from exc
        check_length(status, headers.get("Content-Length"), chunk, is_head=is_head, is_whole=include_footers)
        start_line = httputil.ResponseStartLine("", status, self._reason)
        connection.write_headers(start_line, headers, b"" if is_head else chunk)
        self._response_state = self._response_state.after["begin"]
        self._write_buffer = []
        return None

    def _log(self) -> None:
        try:
            self.application.log_request(self)
        except BaseException as exc:  # a boundary: the project's `log_function`; the response has left
            self._note_interrupt(exc)
            logger.exception("log_request() failed.")

    def _note_interrupt(self, exc: BaseException) -> None:
        """Have a KeyboardInterrupt raised again once the request is answered."""
        if isinstance(exc, KeyboardInterrupt):
            self._interrupt = exc

    async def _afterwards(self) -> None:
        """Run once, after the response was sent or given up."""
        self._response_state = self._response_state.after["end"]
        if self._run.stages.endcall:
            await self._run.endcall(self)
        if not self._ends_itself:
            return
        try:
            self.on_finish()
            result = self.complete_finish()
            if result is not None:
                await result
        except BaseException as exc:  # a boundary: the response has left, an answer is impossible
            if is_imposed(exc):
                raise
            self._note_interrupt(exc)
            logger.exception("complete_finish() or on_finish() of %s failed.", type(self).__qualname__)
