"""Every exception class of torngas_aio.

    BaseError
    ├── ArgumentError         (TypeError)      an invalid argument of a call
    │   └── InvalidCursor                      a page was requested with an invalid cursor
    ├── NotCallableError      (TypeError)      an argument is not callable
    ├── ConfigError           (ValueError)     invalid settings or hooks; lists every fault
    │   ├── UrlError                           invalid URL tables
    │   ├── UnknownLanguage                    no language has this code
    │   └── UnknownSetting    (AttributeError) no setting has this name
    ├── OutsideRequest        (LookupError)    the current request was read where there is none
    ├── UnknownAlias          (LookupError)    no such cache, database or connection name
    ├── Unavailable           (ConnectionError)  a store did not respond in time
    │   ├── CacheUnavailable
    │   └── DatabaseUnavailable
    │       └── OutcomeUnknown              a COMMIT got no response: whether it took effect is unknown
    ├── PoolExhausted         (TimeoutError)   every connection or thread stayed in use
    ├── ConcurrentUse         (RuntimeError)   one database session was used from two tasks at once
    ├── InvalidKey            (ValueError)     a cache key that the store cannot represent safely
    ├── SerializationError    (ValueError)     a value that the serializer cannot write or read
    │   └── InvalidSignature                   stored bytes that were not signed with a secret of ours
    ├── ValueTooLarge         (ValueError)     a value beyond the store's limit
    ├── InvalidJson           (ValueError)     a request body that is not JSON, too large or too deep
    ├── JobFailed             (RuntimeError)   the job whose result was requested has failed
    ├── SessionError          (RuntimeError)   an impossible use of a session
    ├── NotLoaded             (RuntimeError)   an attribute of a model that must be loaded with await first
    ├── Unawaited             (RuntimeError)   a coroutine that was never awaited
    ├── TemplateNotFound      (FileNotFoundError)  no such template in the template directory
    └── TemplateSyntaxError   (SyntaxError)    a template that cannot be parsed; has its file and line

    tornado.web.HTTPError
    └── HTTPError                              with headers; below 500 its text is shown to the client
        └── Http404 400 403 405 500            short names of torngas 1.8

Errors of configuration and misuse have a `code`, which `torngas_aio.codes` lists and docs/reference/codes.md explains.
Each class also derives from the builtin in parentheses: `except ConnectionError` catches an unreachable store.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import tornado.web

from torngas_aio._former_names import former_names

__all__ = [
    "ArgumentError",
    "BaseError",
    "CacheUnavailable",
    "ConcurrentUse",
    "ConfigError",
    "DatabaseUnavailable",
    "Fault",
    "HTTPError",
    "Http404",
    "Http500",
    "HttpBadRequestError",
    "HttpForbiddenError",
    "HttpNotAllowError",
    "InvalidCursor",
    "InvalidJson",
    "InvalidKey",
    "InvalidSignature",
    "NotCallableError",
    "NotLoaded",
    "OutcomeUnknown",
    "OutsideRequest",
    "PoolExhausted",
    "SerializationError",
    "SessionError",
    "TemplateNotFound",
    "TemplateSyntaxError",
    "Unavailable",
    "Unawaited",
    "UnknownAlias",
    "UnknownLanguage",
    "UnknownSetting",
    "UrlError",
    "ValueTooLarge",
    "coded",
    "coded_fault",
]


class BaseError(Exception):
    """The base class: `except BaseError` catches every error of torngas_aio.

    Attributes:
        code: The entry of `torngas_aio.codes` that explains it; empty for other errors than configuration and misuse.
    """

    code = ""


class ArgumentError(BaseError, TypeError):
    """An invalid argument of a call."""

    code = "TGA701"


class InvalidCursor(ArgumentError):
    """A keyset page was requested with a cursor that no page of the query has returned.

    Attributes:
        status_code: Of the response to a request that does not catch it.
    """

    code = ""
    status_code = 400


class NotCallableError(BaseError, TypeError):
    """An argument that must be callable is not."""

    code = "TGA702"


class Fault(str):
    """One fault of settings, hooks or URL tables, as a sentence.

    Attributes:
        code: The entry of `torngas_aio.codes` that explains it.
        cause: A text that faults of the same origin share, such as a missing library; of these only one is listed.
        path: The place in the settings, such as `CACHES['default']['TIMEOUT']`; empty if it is not a single place.
        target: The faulty dotted path at that place; empty if there is none.
    """

    __slots__ = ("cause", "code", "path", "target")

    cause: str
    code: str
    path: str
    target: str

    def __new__(cls, sentence: str, *, code: str = "", cause: str = "", path: str = "", target: str = "") -> "Fault":
        fault = super().__new__(cls, sentence)
        fault.code = code
        fault.cause = cause
        fault.path = path
        fault.target = target
        return fault

    @classmethod
    def each(cls, sentences: Iterable[str], code: str) -> Iterator["Fault"]:
        """Yield *sentences* as faults with *code*; those that have a code keep it."""
        for sentence in sentences:
            fault = sentence if isinstance(sentence, Fault) else cls(sentence)
            yield fault.with_(code=fault.code or code)

    def with_(self, sentence: str = "", *, code: str = "", path: str = "") -> "Fault":
        """Return this fault with another sentence, code or path; empty arguments change nothing."""
        return Fault(
            sentence or str(self),
            code=code or self.code,
            cause=self.cause,
            path=path or self.path,
            target=self.target,
        )

    def is_at(self, path: str) -> bool:
        """Return whether the fault is at *path* of the settings, or at a place inside it."""
        return self.path == path or self.path.startswith(f"{path}[")


class ConfigError(BaseError, ValueError):
    """Invalid settings, hooks or URL tables, found before the first request.

    Args:
        faults: Sentences, or faults with their own codes.
        code: For those without one.

    Attributes:
        faults: One sentence for each fault, in the order found; a single message is one fault.
        code: The code of the first fault.
    """

    code = "TGA100"

    def __init__(self, *faults: str, code: str = "") -> None:
        self.faults: tuple[Fault, ...] = _distinct(Fault.each(faults, code or self.code))
        self.code = self.faults[0].code if self.faults else self.code
        super().__init__(_listed(self.faults))

    @classmethod
    def gather(cls, faults: Iterable[str], *, code: str = "") -> None:
        """Raise one error that lists all of *faults*, if there are any."""
        found = tuple(faults)
        if found:
            raise cls(*found, code=code)


class UrlError(ConfigError):
    """Invalid URL tables: a missing table, a duplicate name, a bad pattern."""

    code = "TGA201"


class OutsideRequest(BaseError, LookupError):
    """The current request was read by code that runs outside of any request."""

    code = "TGA703"


class UnknownLanguage(ConfigError):
    """A language that does not exist was to be remembered for a visitor; its code may have come from a client.

    Attributes:
        status_code: Of the response to a request that does not catch it.
    """

    code = "TGA602"
    status_code = 400


class UnknownSetting(ConfigError, AttributeError):
    """No setting has this name; also an AttributeError, so that `getattr` with a default and `hasattr` work."""

    code = "TGA102"


class UnknownAlias(BaseError, LookupError):
    """No cache, database or connection is configured under this name."""

    code = "TGA706"


class Unavailable(BaseError, ConnectionError):
    """A store did not return a usable response within its deadline.

    Attributes:
        status_code: Of the response to a request that does not catch it.
    """

    status_code = 503


class CacheUnavailable(Unavailable):
    """A cache server is down, unreachable or too slow; the message names alias and address."""


class DatabaseUnavailable(Unavailable):
    """A database server is down, unreachable or too slow; the message never contains a password."""


class OutcomeUnknown(DatabaseUnavailable):
    """A COMMIT got no response in time, or its connection broke: whether it took effect is unknown.

    The framework never retries it, since that could repeat the work.
    """


class PoolExhausted(BaseError, TimeoutError):
    """Every pooled connection stayed in use for the whole allowed wait, or too many calls wait for a thread.

    Attributes:
        status_code: Of the response to a request that does not catch it.
    """

    status_code = 503


class ConcurrentUse(BaseError, RuntimeError):
    """One database session was used from two tasks at the same time; each task needs its own."""

    code = "TGA705"


class InvalidKey(BaseError, ValueError):
    """A cache key that is too long or contains characters that the store could misinterpret."""

    code = "TGA707"


class SerializationError(BaseError, ValueError):
    """A value that the serializer cannot write, or stored bytes that it refuses to read."""

    code = "TGA708"


class InvalidSignature(SerializationError):
    """Stored bytes without a valid signature: written by others, for another key, or with a retired secret."""


class ValueTooLarge(BaseError, ValueError):
    """A serialized value above the store's limit."""

    code = "TGA709"


class InvalidJson(BaseError, ValueError):
    """A body that is not the expected JSON; the message contains nothing of it and may be shown.

    Attributes:
        status_code: Of the response: 400, or 413 if the body is too large.
    """

    def __init__(self, message: str, status_code: int = 400) -> None:
        self.status_code = status_code
        super().__init__(message)


class JobFailed(BaseError, RuntimeError):
    """A job whose result was requested has failed permanently; the message is that of its last error."""


class SessionError(BaseError, RuntimeError):
    """A visitor's session was used in an impossible way, such as after the response was sent."""

    code = "TGA704"


class NotLoaded(BaseError, RuntimeError):
    """An attribute of a model's object, or `current_user`, was read before it was loaded; reading it cannot await."""

    code = "TGA711"


class Unawaited(BaseError, RuntimeError):
    """A coroutine or statement was created and never awaited, so it has not run."""

    code = "TGA710"


class TemplateNotFound(BaseError, FileNotFoundError):
    """No template of this name exists in the template directory."""

    code = "TGA604"


class TemplateSyntaxError(BaseError, SyntaxError):
    """A template cannot be parsed.

    Attributes:
        filename: The template's file.
        lineno: The line, counted from 1.
    """

    code = "TGA605"

    def __init__(self, message: str, filename: str | None, lineno: int, text: str | None = None) -> None:
        super().__init__(message, (filename, lineno, None, text))


Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_MAX_TEXT = 200
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that change the direction of the surrounding text."""


class HTTPError(tornado.web.HTTPError):
    """A response with an error status: Tornado's class, with headers.

    Below 500 the text is shown to the client: on the page, and as `detail` of problem details.

    Args:
        status_code: The status of the response.
        log_message: The text, or an object converted by `str`, with `%` places for *args*; logged, and shown below 500.
        headers: Sent with the response; pairs if a name occurs twice.
        kwargs: `reason`: the status line's phrase.

    Attributes:
        headers: Names and values, in order.
        shows_text: Whether the text is shown to the client.
    """

    shows_text = True

    problem_members: Mapping[str, Any] = MappingProxyType({})
    """Additional members of the problem details for it. SPEC: RFC 9457 3.2"""

    def __init__(
        self,
        status_code: int = 500,
        log_message: object = None,
        *args: Any,
        headers: Headers | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(status_code, None if log_message is None else str(log_message), *args, **kwargs)
        self.headers: tuple[tuple[str, str], ...] = tuple(
            cast(Mapping[str, str], headers).items() if isinstance(headers, Mapping) else headers or ()
        )

    @property
    def public_text(self) -> str:
        """The text for the client, formatted, at most 200 characters; "" if there is none to show.

        Control characters are replaced.
        """
        if not self.shows_text or self.status_code >= 500:
            return ""
        try:
            text = self.get_message() or ""
        except (TypeError, ValueError):  # arguments that do not match the format
            return ""
        text = text[: _MAX_TEXT + 1].encode("utf-8", "replace").decode()
        text = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text).strip()
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def error_headers(exc: BaseException | None) -> tuple[tuple[str, str], ...]:
    """Return the headers for the response to *exc*; no Retry-After for a COMMIT that may have taken effect."""
    if isinstance(exc, Unavailable | PoolExhausted) and not isinstance(exc, OutcomeUnknown):
        return (("Retry-After", "1"),)
    return exc.headers if isinstance(exc, HTTPError) else ()


class _StatusError(HTTPError):
    """An `HTTPError` whose class determines its status."""

    status = 500

    def __init__(self, log_message: object = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(self.status, log_message, *args, **kwargs)


class HttpBadRequestError(_StatusError):
    """A 400 response: the request is malformed."""

    status = 400


class HttpForbiddenError(_StatusError):
    """A 403 response: the request is refused."""

    status = 403


class Http404(_StatusError):
    """A 404 response: there is nothing at this URL."""

    status = 404


class HttpNotAllowError(_StatusError):
    """A 405 response: the URL exists, but not for this method."""

    status = 405


class Http500(_StatusError):
    """A 500 response: an error of the server."""

    status = 500


def coded(error: BaseException) -> str:
    """Return the message of *error*, with the code after each fault, as programs show it.

    The general code of `ConfigError` is omitted.
    """
    if isinstance(error, ConfigError):
        return _listed(tuple(map(coded_fault, error.faults)))
    code = getattr(error, "code", "")
    return f"{error} [{code}]" if isinstance(error, BaseError) and code else str(error)


def coded_fault(fault: Fault) -> str:
    """Return *fault* followed by its code, as in `coded`."""
    return fault if fault.code in ("", ConfigError.code) else f"{fault} [{fault.code}]"


def _distinct(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return *faults* without those whose cause an earlier one has."""
    kept: dict[str, Fault] = {}
    for fault in faults:
        kept.setdefault(fault.cause or fault, fault)
    return tuple(kept.values())


def _listed(faults: tuple[str, ...]) -> str:
    if len(faults) == 1:
        return faults[0]
    lines = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(faults, 1))
    return f"{len(faults)} faults:\n{lines}"


__getattr__ = former_names(__name__)
