"""Every error that torngas_aio raises by a name of its own.

    BaseError
    ├── ArgumentError         (TypeError)      a call was given what it cannot use
    │   └── InvalidCursor                      a page was asked for after an invalid cursor
    ├── NotCallableError      (TypeError)      a callable was wanted
    ├── ConfigError           (ValueError)     settings or hooks that cannot work; lists every fault
    │   ├── UrlError                           the URL tables cannot work
    │   ├── UnknownLanguage                    no language has this code
    │   └── UnknownSetting    (AttributeError) no setting has this name
    ├── OutsideRequest        (LookupError)    the current request was asked for where there is none
    ├── UnknownAlias          (LookupError)    no such cache, database or connection name
    ├── Unavailable           (ConnectionError)  a store did not answer in time
    │   ├── CacheUnavailable
    │   └── DatabaseUnavailable
    │       └── OutcomeUnknown              a COMMIT had no answer: kept or not, only the server knows
    ├── PoolExhausted         (TimeoutError)   every connection or thread stayed in use
    ├── ConcurrentUse         (RuntimeError)   one database session was used from two tasks at once
    ├── InvalidKey            (ValueError)     a cache key that the store could not hold safely
    ├── SerializationError    (ValueError)     a value that the serializer cannot write or read
    │   └── InvalidSignature                   stored bytes that were not signed with a secret of ours
    ├── ValueTooLarge         (ValueError)     a value beyond what the store takes
    ├── InvalidJson           (ValueError)     a request body that is no JSON, too large or too deep
    ├── JobFailed             (RuntimeError)   the job whose result was asked for has failed
    ├── SessionError          (RuntimeError)   a session was used in a way it cannot honour
    ├── NotLoaded             (RuntimeError)   an attribute of a model was not loaded, and cannot be without await
    ├── Unawaited             (RuntimeError)   a coroutine was made and never awaited
    ├── TemplateNotFound      (FileNotFoundError)  no such template below the template directory
    └── TemplateSyntaxError   (SyntaxError)    a template that does not parse; has its file and line

    tornado.web.HTTPError
    └── HTTPError                              with headers; its text is shown to the client below 500
        └── Http404 400 403 405 500            short names of 1.8 for answers

Errors of configuration and misuse have a `code`, which `torngas_aio.codes` lists and docs/reference/codes.md explains.
Each class is also the builtin it is, so `except ConnectionError` catches an unreachable store.
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
    """The root of the tree: `except BaseError` catches whatever torngas_aio raises by name.

    Attributes:
        code: The entry of `torngas_aio.codes` that explains it; empty for what is neither configuration nor misuse.
    """

    code = ""


class ArgumentError(BaseError, TypeError):
    """A call was given an argument that it cannot use."""

    code = "TGA701"


class InvalidCursor(ArgumentError):
    """A keyset page was asked for after a cursor that no page of the query has given.

    Attributes:
        status_code: What a request is answered that does not catch it.
    """

    code = ""
    status_code = 400


class NotCallableError(BaseError, TypeError):
    """A callable was wanted and something else was given."""

    code = "TGA702"


class Fault(str):
    """One fault of settings, hooks or URL tables, as a sentence.

    Attributes:
        code: The entry of `torngas_aio.codes` that explains it.
        cause: What faults of one origin have in common, such as a library that is missing; such are listed once.
        path: The place in the settings, such as `CACHES['default']['TIMEOUT']`; empty where it is not one place.
        target: The dotted path that stands there and is at fault; empty where there is none.
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
        """Yield *sentences* as faults; those that have a code keep it."""
        for sentence in sentences:
            fault = sentence if isinstance(sentence, Fault) else cls(sentence)
            yield fault.with_(code=fault.code or code)

    def with_(self, sentence: str = "", *, code: str = "", path: str = "") -> "Fault":
        """Return this fault with another sentence, code or path; what is empty stays."""
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
    """Settings, hooks or URL tables that cannot work, found before the first request.

    Args:
        faults: Sentences, or faults with codes of their own.
        code: For those without.

    Attributes:
        faults: One sentence a fault, in the order found; a single message is one fault.
        code: That of the first fault.
    """

    code = "TGA100"

    def __init__(self, *faults: str, code: str = "") -> None:
        self.faults: tuple[Fault, ...] = _distinct(Fault.each(faults, code or self.code))
        self.code = self.faults[0].code if self.faults else self.code
        super().__init__(_listed(self.faults))

    @classmethod
    def gather(cls, faults: Iterable[str], *, code: str = "") -> None:
        """Raise one error that lists all of *faults*; do nothing when there is none."""
        found = tuple(faults)
        if found:
            raise cls(*found, code=code)


class UrlError(ConfigError):
    """The URL tables cannot work: a missing table, a duplicate name, a bad pattern."""

    code = "TGA201"


class OutsideRequest(BaseError, LookupError):
    """The current request was asked for by code that runs for none."""

    code = "TGA703"


class UnknownLanguage(ConfigError):
    """A visitor was to be remembered with a language that there is not; its code may have come from a client.

    Attributes:
        status_code: What a request is answered that does not catch it.
    """

    code = "TGA602"
    status_code = 400


class UnknownSetting(ConfigError, AttributeError):
    """No setting has this name; an AttributeError too, so `getattr` with a default and `hasattr` work."""

    code = "TGA102"


class UnknownAlias(BaseError, LookupError):
    """No cache, database or connection is configured under this name."""

    code = "TGA706"


class Unavailable(BaseError, ConnectionError):
    """A store did not give a usable answer within its deadline.

    Attributes:
        status_code: What a request is answered that does not catch it.
    """

    status_code = 503


class CacheUnavailable(Unavailable):
    """A cache server is down, out of reach or too slow; the message names alias and address."""


class DatabaseUnavailable(Unavailable):
    """A database server is down, out of reach or too slow; the message never holds a password."""


class OutcomeUnknown(DatabaseUnavailable):
    """A COMMIT that had no answer in time, or whose connection broke: the server may or may not have kept the work.

    It is never retried by the framework, since that could do the work twice.
    """


class PoolExhausted(BaseError, TimeoutError):
    """Every pooled connection stayed in use for the whole of the allowed wait, or too many calls wait for a thread.

    Attributes:
        status_code: What a request is answered that does not catch it.
    """

    status_code = 503


class ConcurrentUse(BaseError, RuntimeError):
    """One database session was used from two tasks at the same time; each task wants its own."""

    code = "TGA705"


class InvalidKey(BaseError, ValueError):
    """A cache key that is too long or holds characters which the store could misread."""

    code = "TGA707"


class SerializationError(BaseError, ValueError):
    """A value that the chosen serializer cannot write, or stored bytes that it will not read."""

    code = "TGA708"


class InvalidSignature(SerializationError):
    """Stored bytes without a valid signature: written by others, for another key, or with a secret no longer used."""


class ValueTooLarge(BaseError, ValueError):
    """A serialized value beyond the size that the store accepts."""

    code = "TGA709"


class InvalidJson(BaseError, ValueError):
    """A body that is not the JSON it should be; the message holds nothing of it and may be shown.

    Attributes:
        status_code: What to answer: 400, or 413 when the body is too large.
    """

    def __init__(self, message: str, status_code: int = 400) -> None:
        self.status_code = status_code
        super().__init__(message)


class JobFailed(BaseError, RuntimeError):
    """A job whose result was asked for has failed for good; the message is that of its last error."""


class SessionError(BaseError, RuntimeError):
    """A visitor's session was used in a way it cannot honour, such as after the response left."""

    code = "TGA704"


class NotLoaded(BaseError, RuntimeError):
    """An attribute was read that has to be loaded before, of a model's object or `current_user`: it cannot await."""

    code = "TGA711"


class Unawaited(BaseError, RuntimeError):
    """A coroutine or statement was made and never awaited, so what it stands for has not been done."""

    code = "TGA710"


class TemplateNotFound(BaseError, FileNotFoundError):
    """No template of this name lies below the template directory."""

    code = "TGA604"


class TemplateSyntaxError(BaseError, SyntaxError):
    """A template does not parse.

    Attributes:
        filename: The file it is in.
        lineno: The line, counted from 1.
    """

    code = "TGA605"

    def __init__(self, message: str, filename: str | None, lineno: int, text: str | None = None) -> None:
        super().__init__(message, (filename, lineno, None, text))


Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_MAX_TEXT = 200
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of the text around them."""


class HTTPError(tornado.web.HTTPError):
    """An answer with an error status: Tornado's, with headers.

    Below 500 the text is shown to the client: on the page, and as `detail` of problem details.

    Args:
        status_code: The status to answer.
        log_message: The text, or what `str` makes it of, with `%` places for *args*; logged, and shown below 500.
        headers: Sent with the answer; pairs where a name comes twice.
        kwargs: `reason`: the status line's phrase.

    Attributes:
        headers: Names and values, in order.
        shows_text: Whether the client gets to see the text.
    """

    shows_text = True

    problem_members: Mapping[str, Any] = MappingProxyType({})
    """More members of problem details that are answered for it. SPEC: RFC 9457 3.2"""

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
        """The text for the client, formatted, at most 200 characters; "" where there is none to be shown.

        Control characters are replaced.
        """
        if not self.shows_text or self.status_code >= 500:
            return ""
        try:
            text = self.get_message() or ""
        except (TypeError, ValueError):  # arguments that do not fit
            return ""
        text = text[: _MAX_TEXT + 1].encode("utf-8", "replace").decode()
        text = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text).strip()
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def error_headers(exc: BaseException | None) -> tuple[tuple[str, str], ...]:
    """Return the headers that go with the answer to *exc*; not to try again after a COMMIT that may have been kept."""
    if isinstance(exc, Unavailable | PoolExhausted) and not isinstance(exc, OutcomeUnknown):
        return (("Retry-After", "1"),)
    return exc.headers if isinstance(exc, HTTPError) else ()


class _StatusError(HTTPError):
    """An `HTTPError` whose status is its class."""

    status = 500

    def __init__(self, log_message: object = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(self.status, log_message, *args, **kwargs)


class HttpBadRequestError(_StatusError):
    """Answer 400: the request cannot be understood."""

    status = 400


class HttpForbiddenError(_StatusError):
    """Answer 403: understood and refused."""

    status = 403


class Http404(_StatusError):
    """Answer 404: nothing stands at this address."""

    status = 404


class HttpNotAllowError(_StatusError):
    """Answer 405: the address exists, the method is not allowed there."""

    status = 405


class Http500(_StatusError):
    """Answer 500: the fault is the server's."""

    status = 500


def coded(error: BaseException) -> str:
    """Return what *error* says, with the code behind each fault: as programs show it.

    The code of faults that have none of their own tells nothing, and is left out.
    """
    if isinstance(error, ConfigError):
        return _listed(tuple(map(coded_fault, error.faults)))
    code = getattr(error, "code", "")
    return f"{error} [{code}]" if isinstance(error, BaseError) and code else str(error)


def coded_fault(fault: Fault) -> str:
    """Return *fault* with its code, as `coded`."""
    return fault if fault.code in ("", ConfigError.code) else f"{fault} [{fault.code}]"


def _distinct(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """*faults* less those whose cause an earlier one has told."""
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
