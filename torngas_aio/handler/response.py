"""The response of a handler: status, headers, cookies and body, in plain containers as long as possible.

    lean   a plain dict of header fields; the server adds Date and Server in its one write
    full   `tornado.httputil.HTTPHeaders`, from the first access to `handler._headers`

Tornado's public methods behave the same in both forms. After the response is settled (`finish` was called) only
response hooks can change it; changes by other code are ignored, as in Tornado. For sending see `sending`, for the
time of it `completing`.
"""

import asyncio
import functools
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from http.client import responses
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

from tornado import httputil
from tornado.web import OutputTransform, RequestHandler

from torngas_aio import _json
from torngas_aio._compat.tornado import format_timestamp, header_text
from torngas_aio.context import RequestScope
from torngas_aio.handler.cookies import is_latin, make_cookie
from torngas_aio.handler.host import HostApplication
from torngas_aio.handler.lifecycle import ANY_TASK, MethodPhase, ResponseState, require_changeable
from torngas_aio.http.base import SERVER_NAME
from torngas_aio.http.headers import find_cookie
from torngas_aio.http.request import Request
from torngas_aio.i18n import LazyText
from torngas_aio.pipeline import PipelineRun
from torngas_aio.utils.narrowing import is_list
from torngas_aio.utils.text import header_case, is_token

__all__ = ["ADDED_BY_THE_SERVER", "ResponseHandler"]

_HTML = "text/html; charset=UTF-8"
_JSON = "application/json; charset=UTF-8"
_put = dict[str, Any].__setitem__  # bypasses SimpleCookie's check: the value may be a PlainCookie, not a Morsel
_SAFE_VALUE = re.compile(r"[\x09\x20-\x7e\x80-\xff]*").fullmatch
_SET_DEFAULT_HEADERS = RequestHandler.set_default_headers
ADDED_BY_THE_SERVER = frozenset({"Server", "Date"})


class ResponseHandler(RequestHandler):
    """Tornado's response methods over lean storage, with the state of the request and its response."""

    use_etag: bool | None = None
    """Whether to hash each body into an ETag; None: the application's setting (off by default)."""

    application: HostApplication  # pyright: ignore[reportIncompatibleVariableOverride]  # created by ours
    request: Request  # pyright: ignore[reportIncompatibleVariableOverride]

    # PERF: attributes that most requests read have no class default: 3.11 reads those of instances faster
    _fields: dict[str, str]
    _added: list[tuple[str, str]] | None
    _full_headers: httputil.HTTPHeaders | None
    _new_cookie: Any  # Tornado's attribute, a SimpleCookie; None until it is needed (absent in Tornado)
    _transforms: list[OutputTransform]  # Tornado's attribute; replaced, never changed in place
    _deferred: Callable[[], Awaitable[None]] | None  # creates the body
    _response_state: ResponseState
    _method_phase: MethodPhase
    _run: PipelineRun
    _hooks_owner: Any  # the coroutine that runs response hooks, or ANY_TASK; None while none run
    _completion: asyncio.Task[None] | None
    _timer: asyncio.TimerHandle | None
    _interrupt: KeyboardInterrupt | None  # raised again at the end
    _finish_waiter: asyncio.Future[None] | None
    _next_turn: asyncio.Handle | None = None
    _error: BaseException | None = None
    _stream_request_body = False  # Tornado's attribute, which its `stream_request_body` sets
    _failed_sends = 0
    _has_own_namespace = False  # `get_template_namespace` is overridden
    _module_depth = 0  # > 0 while a UI module renders: all its calls are synchronous
    _makes_error_page = False  # `_deferred` creates an error page
    _is_drained = False  # the transport's buffer was below its high-water mark after the last byte
    _has_own_etag = False  # `compute_etag` is overridden
    _has_finish_hooks = False  # `on_finish` or `complete_finish` is overridden
    _status_code: int
    _next_time_check = 0.0  # time of the next check by the server's sweep, by the loop's clock; 0: at the next sweep
    _counted_from = 0.0  # when the body had arrived, or the first sweep; 0: not yet

    if TYPE_CHECKING:  # methods of `BaseHandler` that `sending`, `completing` and `rendering` call

        @property
        def _is_debug(self) -> bool: ...
        def _error_accept(self) -> str: ...
        def _send_last(self, /) -> bool: ...
        def _send_part(self, /, include_footers: bool) -> object: ...
        def _settle(self, /, scope: RequestScope) -> Coroutine[object, None, None]: ...
        def _render_plain(self, /, template_name: str, kwargs: dict[str, object]) -> Coroutine[object, None, bytes]: ...
        def complete_finish(self) -> Any: ...
        def finish(self, chunk: Any = None) -> Any: ...

    @property
    def _finished(self) -> bool:  # Tornado's attribute, which mixins and projects read
        return self._response_state.is_finished

    @_finished.setter
    def _finished(self, is_finished: bool) -> None:
        """Release or reopen the response, for code that has responded directly, such as Tornado's `FallbackHandler`."""
        state = self._response_state
        self._response_state = state.after["release"] if is_finished else state.after["reopen"]

    @property
    def _headers_written(self) -> bool:  # type: ignore[override]  # Tornado's attribute
        return self._response_state.has_head

    def clear(self) -> None:
        """Reset status, headers and body to those of a new response."""
        if self._response_state.is_finished and not self._may_change():
            return
        self._full_headers = None
        self._added = None
        self._fields = {"Content-Type": _HTML}
        self._status_code = 200  # `set_default_headers` may read it, but not change it
        if type(self).set_default_headers is not _SET_DEFAULT_HEADERS:
            self.set_default_headers()
        self._write_buffer: list[bytes] = []
        self._status_code = 200
        self._reason = "OK"

    def write(self, chunk: Any, status: int | None = None) -> None:
        """Append *chunk* to the body; nothing is sent before `flush` or the end.

        Args:
            chunk: bytes, str or lazy text (sent as UTF-8), or a dict (sent as JSON).
            status: Sets the response's status, if given.

        Raises:
            RuntimeError: The response is finished.
            TypeError: *chunk* has another type, such as a coroutine that was not awaited.
        """
        if self._response_state.is_finished:  # PERF: no call for each chunk (benchmarks, events)
            require_changeable(self, "Cannot write() after finish()")
        if status is not None:
            self.set_status(status)
        if isinstance(chunk, str):
            self._write_buffer.append(chunk.encode())
        elif isinstance(chunk, bytes):
            self._write_buffer.append(chunk)
        elif isinstance(chunk, dict):
            self.set_header("Content-Type", _JSON)
            self._write_buffer.append(_json.dumps(chunk).replace(b"</", b"<\\/"))  # safe inside a script element
        elif isinstance(chunk, LazyText):
            self._write_buffer.append(str(chunk).encode())
        else:
            raise _chunk_error(chunk)

    def set_status(self, status_code: int, reason: str | None = None) -> None:
        """Set the status; *reason* defaults to the standard phrase. Ignored once the head was sent."""
        state = self._response_state
        if state.has_head or (state.is_finished and not self._may_change()):
            return
        if reason is not None:
            super().set_status(status_code, str(reason))  # it may be lazy text
            return
        self._status_code = status_code
        self._reason = responses.get(status_code, "Unknown")

    def set_header(self, name: str, value: Any) -> None:
        """Set the header *name*, replacing earlier values.

        Raises:
            ValueError: The name is not a token, or the value contains a control character such as CR or LF.
        """
        if self._response_state.is_finished and not self._may_change():
            return
        if type(value) is not str or not value.isascii() or not value.isprintable():  # PERF: skips `_value` for most
            value = _value(self, value)
        name = _name(name)
        if self._full_headers is not None:
            self._full_headers[name] = value
            return
        self._fields[name] = value
        if self._added:
            self._added = [pair for pair in self._added if pair[0] != name]

    def add_header(self, name: str, value: Any) -> None:
        """Append another header *name*; raises as `set_header`."""
        if self._response_state.is_finished and not self._may_change():
            return
        value = _value(self, value)
        name = _name(name)
        if self._full_headers is not None:
            self._full_headers.add(name, value)
        elif self._added is None:
            self._added = [(name, value)]
        else:
            self._added.append((name, value))

    def clear_header(self, name: str) -> None:
        """Remove the header *name*, including a default of the server."""
        if self._response_state.is_finished and not self._may_change():
            return
        name = _name(name)
        if self._full_headers is None and name not in ADDED_BY_THE_SERVER:
            self._fields.pop(name, None)
            if self._added:
                self._added = [pair for pair in self._added if pair[0] != name]
        elif name in self._headers:
            del self._headers[name]

    def set_cookie(  # noqa: PLR0917  Tornado's parameters
        self,
        name: str,
        value: str | bytes,
        domain: str | None = None,
        expires: Any = None,
        path: str = "/",
        expires_days: float | None = None,
        *,
        max_age: int | None = None,
        httponly: bool = False,
        secure: bool = False,
        samesite: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Set a cookie, with Tornado's arguments; `max_age=0` and `expires=0` delete it.

        Raises:
            ValueError: A part is not allowed in a header: a control character, or one beyond Latin-1; or *max_age* is
                not a number of seconds, or *expires* not a time.
        """
        if self._response_state.is_finished and not self._may_change():
            return
        cookie = make_cookie(
            name, value, domain, expires, path, expires_days,
            max_age=max_age, httponly=httponly, secure=secure, samesite=samesite, others=kwargs,
        )  # fmt: skip
        jar = self._new_cookie
        if jar is None:
            jar = self._new_cookie = SimpleCookie()
        else:
            jar.pop(cookie.key, None)
        _put(jar, cookie.key, cookie)

    def get_cookie(self, name: str, default: Any = None) -> Any:
        """Return the value of the request's cookie *name*, else *default*."""
        request = self.request
        plain = request.plain_cookies()
        if plain is not None:  # PERF: builds neither headers nor the standard library's cookies
            value = find_cookie(plain, name)
            return default if value is None else value
        if not request.has_cookie_objects and name.encode("latin-1", "replace") not in request.cookie_header():
            return default
        return super().get_cookie(name, default)

    def header_fields(self) -> dict[str, str]:
        """Return the fields set so far by name; the server's only once `_headers` was read. For hooks and tests."""
        if self._full_headers is not None:
            return dict(self._full_headers)
        fields = dict(self._fields)
        for name, value in self._added or ():
            fields[name] = f"{fields[name]},{value}" if name in fields else value
        return fields

    def set_missing_headers(self, fields: Mapping[str, str]) -> None:
        """Set those of *fields* that the response lacks; used by hooks that add the same fields to many responses.

        Args:
            fields: ASCII text by names in Http-Header-Case; they are not checked again.
        """
        if self._response_state.is_finished and not self._may_change():
            return
        if self._full_headers is None and not self._added:
            own = self._fields
            self._fields = {**own, **fields, **own}
            return
        full = self._full_headers
        for name, value in fields.items():
            is_servers = name == "Server" and full is not None and full.get(name) == SERVER_NAME
            if is_servers or not self._has_header(name):
                self.set_header(name, value)

    @property
    def _headers(self) -> httputil.HTTPHeaders:
        full = self._full_headers
        if full is None:
            full = httputil.HTTPHeaders()
            full["Server"] = SERVER_NAME
            for name, value in self._fields.items():
                full[name] = value
            full["Date"] = self._fields.get("Date") or format_timestamp(time.time())
            for name, value in self._added or ():
                full.add(name, value)
            self._full_headers = full
        return full

    @_headers.setter
    def _headers(self, headers: httputil.HTTPHeaders) -> None:
        self._full_headers = headers

    @property
    def _field_count(self) -> int:
        """Number of header fields set by `set_header`, without added ones and those of the server."""
        full = self._full_headers
        return len(self._fields) if full is None else len([name for name in full if name not in ADDED_BY_THE_SERVER])

    def _has_header(self, name: str) -> bool:
        if self._full_headers is not None:
            return name in self._full_headers
        return name in self._fields or any(pair[0] == name for pair in self._added or ())

    def _all_fields(self) -> Iterable[tuple[str, str]]:
        """Return the fields to send, including added ones and cookies."""
        fields = [*self._fields.items(), *(self._added or ())]
        cookies: dict[str, Any] = self._new_cookie or {}
        for cookie in cookies.values():
            fields.append(("Set-Cookie", cookie.OutputString(None)))  # noqa: PERF401
        return fields

    def _may_change(self) -> bool:
        """Return whether this code is a response hook, or a thread that renders: they may change a settled response."""
        owner = self._hooks_owner
        return owner is not None and (owner is ANY_TASK or self._is_in_hook() or _is_in_thread())

    def _is_in_hook(self) -> bool:
        """Return whether the caller is called by the response hooks: while they wait, their coroutine does not run."""
        owner = self._hooks_owner
        return owner is not None and owner is not ANY_TASK and owner.cr_running

    def _while_changing(self, change: Callable[[], None]) -> None:
        """Run *change* on a response that is already settled."""
        owner, self._hooks_owner = self._hooks_owner, ANY_TASK
        try:
            change()
        finally:
            self._hooks_owner = owner

    def _note_interrupt(self, exc: BaseException) -> None:
        """Keep a KeyboardInterrupt, to be raised again after the response."""
        if isinstance(exc, KeyboardInterrupt):
            self._interrupt = exc


def _is_in_thread() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


@functools.lru_cache(1024)
def _name(name: str) -> str:
    if not is_token(name):
        raise ValueError(f"{name!r} is not a header name.")
    return header_case(name)


def _value(handler: RequestHandler, value: Any) -> str:
    if isinstance(value, LazyText):
        value = str(value)
    if type(value) is str and _SAFE_VALUE(value) is not None:
        return value
    if type(value) is int:
        return str(value)
    if isinstance(value, str) and not is_latin(value):
        raise ValueError(
            f"The header value {value[:80]!r} cannot be sent: it holds a character beyond Latin-1. Quote it with "
            "`urllib.parse.quote`; the name of a download goes as `filename*=UTF-8''` and the quoted name (RFC 6266)."
        )
    return header_text(handler, value)


def _chunk_error(chunk: object) -> TypeError:
    if inspect.iscoroutine(chunk):
        chunk.close()
        return TypeError("write() was given a coroutine: await it first, as in `self.write(await ...)`.")
    if inspect.isawaitable(chunk):
        return TypeError(f"write() was given {type(chunk).__name__}, an awaitable: await it first.")
    hint = " A list is refused for the sake of old browsers: wrap it in a dict." if is_list(chunk) else ""
    return TypeError(f"write() accepts bytes, str or dict, not {type(chunk).__name__}.{hint}")
