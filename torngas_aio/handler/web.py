"""`BaseHandler`: the methods of a project's handlers, to call or override; `execution` runs them.

finish        settles the response; `completing` completes it
render        render hooks > template > finish
send_error    write_error > exception_response, the project's page, or the built-in one
"""

# pyright: reportPrivateUsage=false

import asyncio
import functools
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from tornado import locale
from tornado.escape import utf8
from tornado.locale import Locale
from tornado.web import HTTPError, OutputTransform, RequestHandler, UIModule
from tornado.websocket import WebSocketHandler as TornadoWebSocketHandler

from torngas_aio._compat.tornado import cross_origin_fault
from torngas_aio.context import RequestScope, scope_of
from torngas_aio.exception import CacheUnavailable, NotLoaded
from torngas_aio.handler.completing import (
    COMPLETED,
    Completion,
    answers_unawaited,
    has_left,
    has_work,
    plan,
    run_response_stage,
    settle,
    take_unawaited,
)
from torngas_aio.handler.downloads import send_file
from torngas_aio.handler.failure import hook_headers, reason_of, set_error_headers, write_error_page
from torngas_aio.handler.host import HostApplication
from torngas_aio.handler.lifecycle import OPEN, RETURNED, RUNNING, STREAMING, require_changeable
from torngas_aio.handler.placeholders import FlashPart, SessionPart
from torngas_aio.handler.recovery import cut_off
from torngas_aio.handler.rendering import (
    begin_with_modules,
    ensure_loader,
    find_loader,
    module_call,
    render_hooked,
    render_later,
    render_plain,
    ui_of,
    values_for,
    with_embeds,
)
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.handler.sending import send_last, send_part
from torngas_aio.handler.time_limit import check_time_limit
from torngas_aio.http.base import ClientGone
from torngas_aio.http.request import Request
from torngas_aio.http.response import BODILESS
from torngas_aio.http.uploads import UploadedFile, uploads_of
from torngas_aio.i18n import find_locale, user_locale
from torngas_aio.logger import OutageLog, outage_key, request_summary
from torngas_aio.pipeline import IDLE
from torngas_aio.routing import Resolved
from torngas_aio.settings_manager import settings
from torngas_aio.template import TemplateLoader, create_loader, handler_namespace
from torngas_aio.template.position import callers
from torngas_aio.utils.kinds import Check, boolean, either, seconds, whole

if TYPE_CHECKING:
    from torngas_aio.session.session import Session

__all__ = ["PLAIN_METHODS", "BaseHandler", "WebHandler"]

_INITIALIZE = RequestHandler.initialize
_ON_FINISH = RequestHandler.on_finish
_COMPUTE_ETAG = RequestHandler.compute_etag
_DECODE_ARGUMENT = RequestHandler.decode_argument
_METHOD_NAMES = {name: name.lower() for name in RequestHandler.SUPPORTED_METHODS}
_NO_TRANSFORMS: list[OutputTransform] = []
_Form = TypeVar("_Form")

PLAIN_METHODS = {
    **dict.fromkeys((
        "check_etag_header", "check_origin", "check_xsrf_cookie", "compute_etag", "create_template_loader",
        "decode_argument", "get_browser_locale", "get_compression_options", "get_login_url", "get_template_namespace",
        "get_template_path", "get_user_locale", "initialize", "log_exception", "select_subprotocol",
        "set_default_headers", "xsrf_form_html",
    ), "`prepare`"),
    "on_connection_close": "`application.background`",
    "on_finish": "`complete_finish`",
}  # fmt: skip
"""Methods that Tornado calls without awaiting them, and where asynchronous code belongs instead.

A coroutine would never run, or count as a true value.
"""

logger = logging.getLogger("torngas_aio.handler")
_outages = OutageLog(logger)


class BaseHandler(ResponseHandler):
    """A `tornado.web.RequestHandler` under the pipeline; the base of all our handlers.

    Define `async def get(self)` and so on; a plain `def` that only writes works too. `finish`, `render`, `redirect`,
    `flush` and `send_error` may be awaited.
    """

    cancel_on_disconnect = False
    """Cancel the method, and roll back, when the client leaves; otherwise it runs to its end."""

    request_timeout: float | None = None
    """Seconds until the response's first byte, without the body's arrival; None: the application's, 0: no limit."""

    max_body_size: int | None = None
    """The largest body in bytes, above which the response is 413; None: the server's limit, 10 MiB by default."""

    spool_body = False
    """Keep bodies above 1 MiB in a temporary file: `request.spool`, and a `SpooledFile` for each file of a form."""

    session: "Session" = cast(Any, SessionPart())
    """The visitor's session; SessionMiddleware sets it, and `set_expire`, before the method.

    Access raises `CacheUnavailable` while the session's store is down.
    """

    set_expire: Callable[[float], None] = cast(Any, SessionPart())

    flash: Callable[..., None] = cast(Any, FlashPart())
    get_flashed_messages: Callable[..., list[Any]] = cast(Any, FlashPart())

    uses_session = True
    """Whether requests open the visitor's session; otherwise they need no round trip to its store."""

    _url_kwargs: dict[str, Any]
    """The route's keywords: those of `Url(...)` updated by the route's own; a separate dict for each request."""

    path_args: list[str]
    path_kwargs: dict[str, str]
    _auto_finish = True
    _prepared_future = None
    _reads_body = True
    _task: asyncio.Task[Any] | None = None  # the request's task, if `cancel_on_disconnect` is set
    _overrides_prepare = False  # `prepare` is overridden, by the class or a mixin
    _has_prepare_step = False  # `prepare` or `on_prepare` is overridden
    _session_error: CacheUnavailable | None = None
    _awaits_user = False  # `get_current_user` is `async def`

    # Observers of requests replace these by variants.
    _send_last = send_last
    _send_part = send_part
    _settle = settle

    take_unawaited = take_unawaited

    _serves_sockets = False  # True for our WebSocketHandler, which completes the handshake after the response hooks

    _attribute_checks: ClassVar[Mapping[str, Check]] = {
        "cancel_on_disconnect": boolean,
        "request_timeout": either(None, seconds),
        "max_body_size": either(None, whole(0)),
        "spool_body": boolean,
        "uses_session": boolean,
    }
    """Attributes that a class may set, checked when it is defined; each base adds its own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_class(cls)
        cls._has_own_etag = cls.compute_etag is not _COMPUTE_ETAG
        cls._awaits_user = inspect.iscoroutinefunction(cls.get_current_user)
        cls._has_own_namespace = cls.get_template_namespace is not BaseHandler.get_template_namespace
        cls._has_finish_hooks = (
            cls.on_finish is not _ON_FINISH or cls.complete_finish is not BaseHandler.complete_finish
        )
        cls._overrides_prepare = any(
            "prepare" in vars(base) for base in cls.__mro__ if base not in {BaseHandler, RequestHandler}
        )
        cls._has_prepare_step = cls._overrides_prepare or cls.on_prepare is not BaseHandler.on_prepare

    def __init__(self, application: HostApplication, request: Request, **kwargs: Any) -> None:
        # Not super().__init__: Tornado's builds objects that most requests never use.
        self.application = application
        self.request = request
        self._response_state = OPEN
        self._method_phase = RUNNING
        self._run = IDLE
        self._completion = self._hooks_owner = self._deferred = self._new_cookie = None
        self._timer = self._interrupt = self._finish_waiter = None
        self._url_kwargs = kwargs
        request.handler = self  # until the request has ended: translations in lower layers read its locale
        transforms = application.transforms
        self._transforms = [transform(request) for transform in transforms] if transforms else _NO_TRANSFORMS
        self.clear()
        request.connection.set_close_callback(self._on_close)
        initialize = type(self).initialize
        if initialize is not _INITIALIZE:
            names = _keywords_of(initialize)
            if names is not None and not names.issuperset(kwargs):
                kwargs = {key: value for key, value in kwargs.items() if key in names}
            self.initialize(**kwargs)

    # ---------------------------------------------------------------- the end of a response

    def finish(self, chunk: Any = None) -> Completion:  # type: ignore[override]  # a Future in Tornado
        """End the response, with *chunk* as the last part of its body.

        Status, headers and body are settled at this call; only response hooks change them later.

        Returns:
            An awaitable, done when the transport's buffer is below its high-water mark and the endcall hooks
            have run.

        Raises:
            RuntimeError: Called twice, or a body with a status that forbids one.
        """
        if self._response_state.is_finished:  # PERF: no call if it is not
            require_changeable(self, "finish() called twice")
        if chunk is not None:
            self.write(chunk)
        # Settled in any case; sent in this call if nothing must be awaited before the first byte, and ended if
        # nothing follows the last one. The remaining steps are completed later, see `completing`.
        is_complete = False
        state = self._response_state
        if not state.has_head:
            self._response_state = state.after["finish"]
            if self._hooks_owner is not None:
                return Completion(self)  # a hook replaced the response, whose completion is in progress
        if not state.has_head and (
            has_work(self)
            or self._completion is not None
            or (self._method_phase is not RETURNED and answers_unawaited(self))
        ):
            plan(self)
        else:
            try:
                is_complete = self._send_last()
            except BaseException:
                self._response_state = self._response_state.after["reopen"]
                raise
            if self._run.stages.endcall or self._has_finish_hooks:
                self._is_drained, is_complete = is_complete, False
                plan(self)
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
            # PERF: no `Completion` for a part of a stream that was sent at once (benchmarks, events)
            if state is STREAMING and self._completion is None and has_left(written):
                return COMPLETED
        elif state is not OPEN or self._hooks_owner is not None or self._completion is not None or has_work(self):
            self._response_state = state.after["flush"]
            plan(self)
        else:
            self._send_part(include_footers)
        return Completion(self)

    async def complete_response_stage(self) -> None:
        """Run the response hooks and settle the request's resources now, without sending anything."""
        while not self._response_state.has_head and has_work(self):
            await run_response_stage(self)

    def detach(self) -> Any:
        """Leave HTTP: return an IOStream over the connection; the endcall hooks run when the method returns."""
        self._response_state = self._response_state.after["release"]
        return self.request.connection.detach()

    # ---------------------------------------------------------------- steps of a request, to be overridden

    def prepare(self) -> Any:
        """Run after the request hooks, before `on_prepare`; plain or `async def`."""
        result = super().prepare()
        return COMPLETED if result is None else result

    def on_prepare(self) -> Any:
        """Run after the request hooks and `prepare()`, before the method; plain or `async def`."""
        return COMPLETED

    def complete_finish(self) -> Any:
        """Run after the response was sent and `on_finish()`; plain or `async def`."""
        return COMPLETED

    def on_connection_close(self) -> None:
        """Run when the client leaves before the response is finished; override it to clean up."""

    @property
    def current_user(self) -> Any:
        """The user of the request, from `get_current_user` on first access; it may be set.

        Raises:
            NotLoaded: `get_current_user` is `async def`, and `load_current_user` has not been awaited.
        """
        if "_current_user" not in vars(self):
            self._current_user = self._plain_user()
        return self._current_user

    @current_user.setter
    def current_user(self, value: Any) -> None:
        self._current_user = value

    def get_current_user(self) -> Any:
        """Return the user of the request, None for none; override it, plain or `async def`."""

    async def load_current_user(self) -> Any:
        """Return `current_user`, after awaiting an `async def get_current_user`; it is called once a request."""
        if "_current_user" not in vars(self):
            user = self.get_current_user()
            self._current_user = await user if inspect.isawaitable(user) else user
        return self._current_user

    @property
    def xsrf_token(self) -> bytes:
        """The token against cross-site requests, as in Tornado; a user who is not loaded counts as none."""
        if not self._awaits_user or "_current_user" in vars(self):
            return super().xsrf_token
        self._current_user = None  # Tornado reads it, to choose the cookie's lifetime
        try:
            return super().xsrf_token
        finally:
            del self._current_user

    def _plain_user(self) -> Any:
        user = self.get_current_user()
        if not inspect.isawaitable(user):
            return user
        if inspect.iscoroutine(user):
            user.close()
        raise NotLoaded(
            f"{type(self).__qualname__}.get_current_user is `async def`, and an attribute cannot await it. "
            "Write `await self.load_current_user()` before, as in `prepare`, or instead of `current_user`; in a "
            "middleware or an HTTP module `await handler.load_current_user()`. "
            "In place of `tornado.web.authenticated` use `torngas_aio.auth.login_required`."
        )

    @property
    def scope(self) -> RequestScope:
        """The request's resources, created on first access."""
        return scope_of(self.request)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an uncaught error; a store that is down or overloaded is logged once a second, without a traceback."""
        key = outage_key(value)
        if key is not None:
            _outages.report(key, "%s failed: %s", self._request_summary(), value)
        elif isinstance(value, HTTPError) and value.status_code == 429:
            logger.debug("%s: %s", self._request_summary(), value)  # the access log already has it
        else:
            super().log_exception(typ, value, tb)

    def _call_method(self) -> Any:
        """Call the method of the request, such as `get`, and return its result; observers replace this by a variant."""
        name: Any = self.request.method
        method = getattr(self, _METHOD_NAMES.get(name) or name.lower())
        path_args, path_kwargs = self.path_args, self.path_kwargs
        # PERF: a call without * is 0.3 % faster (benchmarks, plain)
        return method(*path_args, **path_kwargs) if path_args or path_kwargs else method()

    def _take_arguments(self, resolved: Resolved) -> None:
        texts = resolved.texts
        if texts is None or type(self).decode_argument is not _DECODE_ARGUMENT:
            self._decode_arguments(resolved.path_args, resolved.path_kwargs)
        else:  # PERF: same as Tornado's, without a call for each
            self.path_args, self.path_kwargs = [*texts], {}

    def _decode_arguments(self, args: Any, kwargs: Any) -> None:
        self.path_args = [self.decode_argument(arg) for arg in args]
        self.path_kwargs = {key: self.decode_argument(arg, key) for key, arg in kwargs.items()}

    def _use_result(self, value: object) -> bool:
        """Respond with *value*, the method's result; return whether that was done, as in an `ApiHandler`."""
        return False

    def _not_allowed(self) -> HTTPError:
        return HTTPError(405)

    def _check_origin(self) -> None:
        """Refuse cross-site requests if `cross_origin_protection` is set; needs no body."""
        if self.application.settings.get("cross_origin_protection"):
            error = cross_origin_fault(self)
            if error is not None:
                raise HTTPError(403, "%s", error)

    def _check_time_limit(self, task: asyncio.Task[Any], now: float) -> float:
        """Cancel *task* if its time is over; called by the server's sweep, or a timer. See `time_limit`."""
        return check_time_limit(self, self._time_limit(), task, now)

    def _time_limit(self) -> float | None:
        seconds = self.request_timeout
        if seconds is None:
            seconds = self.application.request_timeout
        return seconds

    def _on_close(self) -> None:
        """Handle a client that leaves before the response is finished; called by the server."""
        try:
            self.on_connection_close()
        except BaseException as exc:  # a boundary: called from the server
            self._note_interrupt(exc)
            logger.exception("on_connection_close() of %s failed.", type(self).__qualname__)
        if self._finish_waiter is not None and not self._finish_waiter.done():
            self._finish_waiter.set_exception(ClientGone("The client closed the connection."))
        if self._task is not None and self._method_phase is not RETURNED:
            self._task.cancel()

    # ---------------------------------------------------------------- pages

    @functools.cached_property
    def ui(self) -> Any:  # type: ignore[override]  # a plain attribute in Tornado, built for each request
        """UI methods and modules, by name, as in Tornado."""
        return ui_of(self)

    def render(self, template_name: str, **kwargs: Any) -> Completion:  # type: ignore[override]  # a Future in Tornado
        """Finish the response with a rendered template; raises and returns as `finish`.

        Args:
            template_name: Relative to the template directory.
            kwargs: Values for the template; awaitable ones are awaited.
        """
        require_changeable(self, "Cannot render() after finish()")
        loader = None if self._run.stages.render else find_loader(self)
        template = None if loader is None else loader.find(template_name)
        if template is None:
            make_page = functools.partial(render_hooked, self, template_name, kwargs)
            return self._finish_with(functools.partial(self._render_later, make_page, callers(sys._getframe(1))))
        values = values_for(self, template, kwargs)
        page = begin_with_modules(self, template, values)
        if not isinstance(page, bytes):  # it must wait, or is long
            return self._finish_with(functools.partial(self._render_later, page, callers(sys._getframe(1))))
        return self.finish(with_embeds(self, page))

    def render_string(self, template_name: str, **kwargs: Any) -> Any:
        """Return the rendered template, as an awaitable of bytes; the render hooks run each time.

        Inside a UI module, which cannot await, it returns the bytes and runs no hooks.
        """
        if self._module_depth:
            template = ensure_loader(self).load(template_name)
            return template.generate(**values_for(self, template, kwargs))
        return render_hooked(self, template_name, kwargs)

    def get_template_namespace(self) -> dict[str, Any]:
        """Return the names available in every template; an override, which adds some, makes all of them be built."""
        return handler_namespace(self, None, settings)

    def create_template_loader(self, template_path: str) -> TemplateLoader:  # type: ignore[override]  # ours is compatible
        """Return the loader for *template_path*; cached by the application.

        It is the application's `template_loader` if set, as in Tornado; else the engine of `TEMPLATE_CONFIG`.
        """
        given: TemplateLoader | None = self.application.settings.get("template_loader")
        return (
            given if given is not None else create_loader(settings.TEMPLATE_CONFIG, template_path, debug=self._is_debug)
        )

    def get_template_path(self) -> str | None:
        """Return the template directory: the application's `template_path`, else that of the handler's file."""
        path = self.application.settings.get("template_path")
        return path or str(Path(inspect.getfile(type(self))).parent)

    def get_user_locale(self) -> Locale | None:
        """Return the visitor's locale according to `TRANSLATIONS_CONF`; None: use the browser's."""
        return user_locale(self, settings.TRANSLATIONS_CONF) if settings.TRANSLATIONS else None

    def get_browser_locale(self, default: str = "") -> Locale:
        """Return the best language for the browser's `Accept-Language`, see `i18n.find_locale`.

        Args:
            default: The language if none fits; by default `locale_default` of `TRANSLATIONS_CONF`.
        """
        return find_locale(self.request.headers.get("Accept-Language", "")) or locale.get(default)

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> Completion:  # type: ignore[override]  # a Future in Tornado
        """Finish the response with a redirect to *url*; returns as `finish`.

        Args:
            permanent: 301 in place of 302.
            status: Another status between 300 and 399.

        Raises:
            RuntimeError: The head of the response has been sent.
            ValueError: *status* is not a redirection.
        """
        if self._response_state.has_head:
            raise RuntimeError("Cannot redirect after headers have been written")
        status = status or (301 if permanent else 302)
        if not 300 <= status <= 399:
            raise ValueError(f"redirect(status={status!r}): the status must be between 300 and 399.")
        self.set_status(status)
        self.set_header("Location", utf8(url))
        return self.finish()

    def reverse_url(self, name: str, *args: Any) -> str:
        """Return the URL of the route *name*, below the path where an ASGI server has mounted the application."""
        return self.request.root_path + super().reverse_url(name, *args)

    def static_url(self, path: str, include_host: bool | None = None, **kwargs: Any) -> str:
        """Return the URL of the static file *path*, with its version; mounted as `reverse_url`."""
        root: str = self.request.root_path
        if not root:
            return super().static_url(path, include_host, **kwargs)
        url = super().static_url(path, include_host=False, **kwargs)
        is_local = url.startswith("/") and not url.startswith("//")
        wants_host = getattr(self, "include_host", False) if include_host is None else include_host
        host = f"{self.request.protocol}://{self.request.host}" if wants_host else ""
        return f"{host}{root}{url}" if is_local else url

    # ---------------------------------------------------------------- forms and files

    @functools.cached_property
    def files(self) -> dict[str, list[UploadedFile]]:
        """The files of a form by field; with `spool_body` they are in a temporary file until the request ends."""
        return uploads_of(self.request.files)

    async def load_form(self, form_class: type[_Form], obj: Any = None, **kwargs: Any) -> _Form:
        """Return a form of *form_class*, a `wtforms.Form`, filled from *obj* and the request. Extra `forms`.

        For POST, PUT, PATCH and DELETE it holds the submitted values and is validated, also by asynchronous validators;
        `form.errors` is empty if everything is valid.

        Args:
            obj: Its attributes are used for fields without a value in the request.
            kwargs: Passed to the form: `data`, `prefix`, `meta`, values of fields.

        Raises:
            HTTPError: 400: a value is not UTF-8, or the name of a field is malformed.
        """
        from torngas_aio.forms import load_form

        return await load_form(self, form_class, obj, **kwargs)

    async def send_file(
        self,
        name: str,
        *,
        root: str | os.PathLike[str],
        filename: str | None = None,
        inline: bool | None = None,
        content_type: str | None = None,
    ) -> None:
        """Respond with the file *name* below the folder *root*: ranges, conditional requests, `sendfile`.

        Sets `Cache-Control: private, no-cache` unless the handler has set another.

        Args:
            name: A relative path with `/`, which may come from a client.
            filename: The name under which browsers save it; by default the last part of *name*.
            inline: Whether browsers show the file or save it. None: images, audio, video, plain text and PDF are shown.
                Types that may contain scripts, such as HTML and SVG, are only shown if True, and in a sandbox.
            content_type: By default that of *filename*'s suffix.

        Raises:
            HTTPError: 404: no such file, or the name is outside *root*, uses a symbolic link, or is not a regular file.
        """
        await send_file(self, name, root, filename=filename, inline=inline, content_type=content_type)

    # ---------------------------------------------------------------- errors

    def send_error(self, status_code: int = 500, **kwargs: Any) -> Completion:  # type: ignore[override]  # None in Tornado
        """Finish the response with the error page of *status_code*; what was written so far is dropped.

        A status without a body, such as 204, gets none.

        Args:
            kwargs: Passed to `write_error`; `exc_info` is the error, whose `headers` are sent if it is one of ours,
                `reason` the status line's phrase.
        """
        if self._response_state.has_head:
            logger.error("Cannot send an error page after the header was sent: the connection is cut.")
            cut_off(self)
            return Completion(self)
        kept = hook_headers(self) if self._run.has_responded else None
        self.clear()
        self._deferred = None
        self.set_status(status_code, reason_of(kwargs))
        set_error_headers(self, kwargs.get("exc_info"))
        if kept:
            self.set_missing_headers(kept)
        if status_code in BODILESS:
            return self.finish()
        result = self.write_error(status_code, **kwargs)
        if result is not None and not isinstance(result, Completion):
            return self._finish_with(lambda: result)
        return Completion(self) if self._response_state.is_finished else self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> Any:
        """Write the error page; override it, plain or `async def`, to respond to errors differently.

        With DEBUG off, `exception_response` is called instead if the handler defines it.
        """
        if not self._is_debug and type(self).exception_response is not BaseHandler.exception_response:
            return self.exception_response(status_code, **kwargs)
        if type(self).get_error_html is not BaseHandler.get_error_html:
            error = (kwargs.get("exc_info") or (None, None))[1]
            return self.finish(self.get_error_html(status_code, exception=error))
        # Created when the response is completed, so that an override may simply call this one.
        self._deferred = functools.partial(write_error_page, self, status_code, kwargs.get("exc_info"))
        return COMPLETED

    def get_error_html(self, status_code: int, **kwargs: Any) -> str:
        """Return a short page for an error; define it to replace the built-in page, as in torngas 1.8.

        Args:
            kwargs: `exception`: the error, None if none was raised.
        """
        return f"<html><title>{status_code}: {self._reason}</title><body>{status_code}: {self._reason}</body></html>"

    def _request_summary(self) -> str:
        return request_summary(self.request)

    def exception_response(self, status_code: int, **kwargs: Any) -> Any:
        """Respond to an error with DEBUG off; define it to replace the built-in page, plain or `async def`."""
        return COMPLETED

    def _error_accept(self) -> str:
        """Return the media types accepted for an error response."""
        return str(self.request.headers.get("Accept", ""))

    @property
    def _is_debug(self) -> bool:
        return bool(self.application.settings.get("debug"))

    def _finish_with(self, make_body: Callable[[], Awaitable[Any]]) -> Completion:
        """Settle the response now; *make_body* creates its body when it is completed."""
        self._deferred = make_body
        return self.finish()

    # Observers of requests replace these by variants, too.
    _render_later = render_later
    _render_plain = render_plain

    def _ui_module(self, name: str, module: type[UIModule]) -> Callable[..., str]:
        return module_call(self, name, module)


def _check_class(cls: type[BaseHandler]) -> None:
    if issubclass(cls, TornadoWebSocketHandler) and not cls._serves_sockets:
        raise TypeError(
            f"{cls.__qualname__} has both a handler of torngas_aio and Tornado's WebSocketHandler among its bases. "
            "Name torngas_aio.handler.WebSocketHandler in place of Tornado's: it has the session and the hooks."
        )
    for name, instead in PLAIN_METHODS.items():
        if inspect.iscoroutinefunction(getattr(cls, name, None)):
            raise TypeError(
                f"{cls.__qualname__}.{name} is `async def`, but nothing awaits it. "
                f"Make it plain; what waits belongs in {instead}."
            )
    checks = {name: check for base in cls.__mro__ for name, check in vars(base).get("_attribute_checks", {}).items()}
    values = {name: getattr(cls, name) for name in checks}
    faults = [
        each for name, value in values.items() if not hasattr(value, "__get__")  # a property depends on the request
        for each in checks[name](f"{cls.__qualname__}.{name}", value)
    ]  # fmt: skip
    if faults:
        raise TypeError(" ".join(faults))


class WebHandler(BaseHandler):
    """A handler for pages. A class may inherit from `WebHandler` and `ApiHandler`, in either order."""


@functools.lru_cache(None)
def _keywords_of(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the keywords that *function* accepts, None for any."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters)
