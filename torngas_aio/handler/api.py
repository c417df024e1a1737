"""`ApiHandler`: responses in the format that the client requests, errors as JSON problem details.

    get_format      json | jsonp, from `?format=` or Accept
    write_api       obj -> JSON, or a script that calls `?callback=` with it
    get_json_body   the request's body, bounded and checked

A method may return its response value, optionally with a status and headers:

    return Created(task, headers={"Location": url})       201, the value as JSON
    return NoContent()                                    204, no body
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeGuard, TypeVar

from tornado.web import HTTPError, RequestHandler

from torngas_aio import _json
from torngas_aio.exception import ArgumentError
from torngas_aio.handler.web import BaseHandler
from torngas_aio.http.forms import check_coding
from torngas_aio.utils.kinds import Check, whole

__all__ = ["Accepted", "ApiHandler", "Created", "NoContent", "Reply", "is_reply"]

logger = logging.getLogger("torngas_aio.api")

T = TypeVar("T")


class Reply(Generic[T]):
    """A response value with its status and headers.

    Args:
        value: Same as a plain returned value.
        status: The response's status code; None: the class's own.
        headers: Set on the response.
    """

    status_code = 200

    def __init__(self, value: T, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.value = value
        self.status = self.status_code if status is None else status
        self.headers = headers or {}


class Created(Reply[T]):
    """201: the value describes the created resource; set its URL in a `Location` header."""

    status_code = 201


class Accepted(Reply[T]):
    """202: the work continues after the response."""

    status_code = 202


class NoContent(Reply[None]):
    """204: success, without a body."""

    status_code = 204

    def __init__(self, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(None, headers=headers)


def is_reply(value: object) -> TypeGuard[Reply[object]]:
    """Return whether *value* carries a status and headers."""
    return isinstance(value, Reply)


class ApiHandler(BaseHandler):
    """A handler for programs. A class may inherit from `ApiHandler` and `WebHandler`, in either order.

    The return value of a method is the response, written as by `write_api`: `return {"id": 7}`.
    """

    max_json_bytes = _json.MAX_BODY_BYTES
    """The largest body that `get_json_body` accepts."""

    max_json_depth = _json.MAX_DEPTH
    """Maximum nesting of arrays and objects."""

    _attribute_checks: ClassVar[Mapping[str, Check]] = {"max_json_bytes": whole(0), "max_json_depth": whole(1)}

    declared_output: Any = None
    """The declared output of the method being run, an `api.output.Output`."""

    if TYPE_CHECKING:  # parameters and results depend on the method; Tornado's return None
        get: Callable[..., Any]
        head: Callable[..., Any]
        post: Callable[..., Any]
        put: Callable[..., Any]
        patch: Callable[..., Any]
        delete: Callable[..., Any]
        options: Callable[..., Any]

    def get_format(self, params_name: str = "format") -> str:
        """Return the requested format in lower case: the argument *params_name*, else the format of Accept.

        The latter is "jsonp" if Accept names JavaScript, else "json".
        """
        request = self.request
        # PERF: most requests have neither such an argument nor "javascript" in a header: nothing is parsed then
        has_own = type(self).get_argument is not RequestHandler.get_argument
        if has_own or request.may_have_argument(params_name):
            wanted: str | None = self._read_argument(params_name, None)
            if wanted:
                return wanted.lower()
        if not request.may_mention(b"javascript"):
            return "json"
        return "jsonp" if "javascript" in request.headers.get("Accept", "") else "json"

    def write_api(
        self, obj: Any = None, nofail: bool = False, ensure_ascii: bool = True, fmt: str | None = None
    ) -> None:
        """Write *obj* in the format that the client requests; None is written as `{}`.

        Args:
            obj: Types that `json` accepts, and dataclasses, enums, dates, UUIDs, decimals, sets.
            nofail: Write JSON if the format is unknown or `callback` is invalid, instead of raising.
            ensure_ascii: Escape other characters as `\\uXXXX`.
            fmt: "json" or "jsonp"; None: `get_format()`.

        Raises:
            HTTPError: 400: an unknown format, or `callback` is not a path of JavaScript identifiers.
            SerializationError: A part of *obj* cannot be written; the message names it.
        """
        self._write_json(_json.dumps({} if obj is None else obj, ensure_ascii=ensure_ascii), nofail, fmt)

    def _write_json(self, body: bytes, nofail: bool = False, fmt: str | None = None) -> None:
        wanted, kind = (fmt or self.get_format()).lower(), "json"
        if wanted == "jsonp":
            try:
                body, kind = _json.jsonp(self._read_argument("callback", "callback"), body), "javascript"
            except ArgumentError as exc:
                if not nofail:
                    raise HTTPError(400, "%s", exc, reason="Invalid callback") from exc
        elif wanted != "json" and not nofail:
            raise HTTPError(400, "Unknown response format requested: %r", wanted, reason="Unknown format")
        self.set_header("Content-Type", f"application/{kind}; charset=UTF-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.write(body)

    def _read_argument(self, name: str, default: str | None) -> Any:
        """Return an argument of the request; only of its query until the body has been read."""
        request = self.request
        ask = self.get_query_argument if request.is_body_ahead else self.get_argument
        return ask(name, default)

    def get_json_body(self) -> Any:
        """Return the value of the request's JSON body.

        Raises:
            InvalidJson: 400: not JSON, or nested too deeply; 413: larger than `max_json_bytes`.
        """
        request = self.request
        check_coding(request.body_fields)
        if request.spool is not None:
            _json.check_size(request.spool.size, self.max_json_bytes)
        return _json.parse_json(request.body, max_bytes=self.max_json_bytes, max_depth=self.max_json_depth)

    @property
    def has_answer(self) -> bool:
        """Whether a response was written, sent or finished."""
        return bool(self._finished or self._headers_written or self._write_buffer)

    def _use_result(self, value: object) -> bool:
        return not self.has_answer and self._respond_with(value)

    def declare_output(self, output: Any) -> None:
        """Set the declared output for the method's return value, an `api.output.Output`."""
        self.declared_output = output
        self.set_status(output.status)

    def _respond_with(self, value: object) -> bool:
        if is_reply(value):
            self.set_status(value.status)
            for name, text in value.headers.items():
                self.set_header(name, text)
            value = value.value
        status, output = self._status_code, self.declared_output
        if output is not None and status not in output.kinds and self.application.settings.get("debug"):
            logger.warning(
                "%s responds with %d, which is not in the OpenAPI document. Declare it too, as in "
                "@returns(TaskOut | Created[TaskOut]).",
                output.name, status,
            )  # fmt: skip
        if status == 204:
            return value is None
        if output is None:  # the method has completed: an invalid `?format=` must not fail it
            self.write_api(value, nofail=True)
        elif body := output.encode(value, status):
            self._write_json(body, nofail=True)
        return True

    def _error_accept(self) -> str:
        return "application/problem+json"
