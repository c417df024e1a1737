"""CORS: permission for scripts of other sites to read responses, as in the Fetch standard.

    OPTIONS with Origin and Access-Control-Request-Method   a preflight: answered here, the handler does not run
    a request with an allowed Origin                        the response, even an error, has CORS headers
    any other request                                       no CORS headers: browsers keep the response from scripts

CORS does not protect against requests: those without preflight are executed from any site (use `xsrf_cookies`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from tornado.web import RequestHandler

from torngas_aio.exception import ConfigError, Fault
from torngas_aio.handler import BaseHandler
from torngas_aio.settings_manager import settings
from torngas_aio.utils.hosts import parse_address, parse_host
from torngas_aio.utils.kinds import Check, boolean, either, fault, regular_expression, table, whole
from torngas_aio.utils.narrowing import is_list_or_tuple, is_mapping, is_set
from torngas_aio.utils.text import is_token

__all__ = ["CORS_DEFAULTS", "CORSMiddleware"]

_Clear = Callable[[], None]

CORS_DEFAULTS: dict[str, Any] = {
    "allow_origins": (),  # 'https://app.example.com', 'https://*.example.com', 'null', or '*' for all
    "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": (),  # request headers besides those that are always allowed; '*' for all
    "expose_headers": (),  # response headers that scripts may read, besides the default ones
    "allow_credentials": False,  # whether requests may include cookies; not together with '*' or 'null'
    "max_age": 600,  # seconds that a browser may cache a preflight response
    "paths": None,  # a regular expression searched in the path; None: everywhere
}

# SPEC: Fetch 3.3; these need no permission, but some clients request it
_SAFE_HEADERS = ("accept", "accept-language", "content-language", "content-type", "range")
_PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class CORSMiddleware:
    """A middleware that answers preflights and adds CORS headers for allowed origins; put it before access checks.

    Plain Tornado handlers get no headers. An `Access-Control-Allow-Origin` set by the handler is kept.

    Args:
        options: Override the defaults above; without any, settings.CORS does.

    Raises:
        ConfigError: All faults of the options; `*` or `null` together with credentials is one.
    """

    before_body = True

    def __init__(self, **options: Any) -> None:
        given: Mapping[str, Any] = options or settings.CORS
        ConfigError.gather(_faults(given), code="TGA304")
        chosen = {**CORS_DEFAULTS, **given}
        origins = [_as_sent(origin) for origin in _listed(chosen["allow_origins"])]
        self._any_origin = "*" in origins
        self._origins = frozenset(origin for origin in origins if "*" not in origin)
        self._patterns = tuple(_pattern(origin) for origin in origins if "*" in origin and origin != "*")
        self._methods = frozenset(method.upper() for method in _listed(chosen["allow_methods"]))
        headers = [name.lower() for name in _listed(chosen["allow_headers"])]
        self._any_header = "*" in headers
        self._allowed_headers = frozenset([*_SAFE_HEADERS, *headers])
        self._expose = ", ".join(_listed(chosen["expose_headers"]))
        self._credentials: bool = chosen["allow_credentials"]
        self._max_age = str(chosen["max_age"])
        self._path = re.compile(chosen["paths"]) if chosen["paths"] else None

    async def process_request(self, handler: BaseHandler, clear: _Clear) -> bool:
        """Answer a preflight and return True, which ends the stage: the method does not run."""
        request = handler.request
        if request.method != "OPTIONS" or not self._covers(request.path):
            return False
        origin = request.headers.get("Origin")
        method = request.headers.get("Access-Control-Request-Method")
        if not origin or not method:
            return False
        handler.set_header("Vary", _PREFLIGHT_VARY)
        wanted = _wanted_headers(request.headers.get("Access-Control-Request-Headers", ""))
        if not self._allows(origin) or method not in self._methods or not self._allows_headers(wanted):
            handler.set_status(403)
            handler.finish()
            return True
        handler.set_header("Access-Control-Allow-Methods", ", ".join(sorted(self._methods)))
        if wanted:
            handler.set_header("Access-Control-Allow-Headers", ", ".join(wanted))
        handler.set_header("Access-Control-Max-Age", self._max_age)
        handler.set_status(204)
        handler.finish()
        return True

    async def process_response(self, handler: BaseHandler, clear: _Clear, chunk: list[bytes]) -> None:
        request = handler.request
        if not self._covers(request.path):
            return
        present = handler.header_fields()
        if not self._is_public:
            _vary_by_origin(handler, present.get("Vary", ""))
        origin = request.headers.get("Origin")
        if not origin or not self._allows(origin) or "Access-Control-Allow-Origin" in present:
            return
        handler.set_header("Access-Control-Allow-Origin", "*" if self._is_public else origin)
        if self._credentials:
            handler.set_header("Access-Control-Allow-Credentials", "true")
        if self._expose:
            handler.set_header("Access-Control-Expose-Headers", self._expose)

    @property
    def _is_public(self) -> bool:
        return self._any_origin and not self._credentials

    def _covers(self, path: str) -> bool:
        return self._path is None or self._path.search(path) is not None

    def _allows(self, origin: str) -> bool:
        if self._any_origin:
            return True
        lowered = origin.lower()
        return lowered in self._origins or any(pattern.fullmatch(lowered) for pattern in self._patterns)

    def _allows_headers(self, wanted: list[str] | None) -> bool:
        if wanted is None:
            return False
        return self._any_header or self._allowed_headers.issuperset(wanted)


def _wanted_headers(text: str) -> list[str] | None:
    """Return the header names that a preflight requests, in lower case; None if one is not a valid name."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    return names if all(map(is_token, names)) else None


def _vary_by_origin(handler: RequestHandler, vary: str) -> None:
    names = {name.strip().lower() for name in vary.split(",")}
    if "origin" not in names and "*" not in names:
        handler.set_header("Vary", f"{vary}, Origin" if vary else "Origin")


def _listed(value: object) -> list[Any]:
    if is_list_or_tuple(value) or is_set(value):
        return list(value)
    return [value]


def _as_sent(origin: str) -> str:
    """Return *origin* as browsers send it: in lower case, without the default port of its scheme."""
    lowered = origin.lower()
    return lowered.removesuffix({"https": ":443", "http": ":80"}.get(lowered.partition(":")[0], ""))


def _pattern(origin: str) -> re.Pattern[str]:
    """Return the expression for an origin such as `https://*.example.com`: the star matches one or more labels."""
    return re.compile(re.escape(origin).replace(r"\*", r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?"))


def _each(check: Check) -> Check:
    """Return a check for one value that *check* accepts, or for a list, tuple or set of them."""

    def combined(path: str, value: object) -> Iterator[Fault]:
        for item in _listed(value):
            yield from check(path, item)

    return combined


def _origin(path: str, value: object) -> Iterator[Fault]:
    if not _is_origin(value):
        yield fault(
            path,
            value,
            "must be an origin: 'https://example.com', 'https://*.example.com' (the star above a domain of at least "
            "two labels) or '*'.",
        )


def _name(path: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, str) or not is_token(value):
        yield fault(path, value, "must be the name of a method or header, or several in a list.")


_options: Check = table(
    {},
    {
        "allow_origins": _each(_origin),
        **dict.fromkeys(("allow_methods", "allow_headers", "expose_headers"), _each(_name)),
        "allow_credentials": boolean,
        "max_age": whole(0),
        "paths": either(None, regular_expression),
    },
    is_closed=True,
)


def _faults(given: object) -> Iterator[Fault]:
    yield from _options("CORS", given)
    if is_mapping(given) and given.get("allow_credentials"):
        for origin in ("*", "null"):
            if origin in _listed(given.get("allow_origins", ())):
                yield Fault(
                    f"CORS: 'allow_credentials' with {origin!r} would let every site act as the visitor. Name the "
                    "origins that you trust, or leave the credentials out."
                )


def _is_origin(origin: object) -> bool:
    if not isinstance(origin, str):
        return False
    if origin in {"*", "null"}:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as 'https://[::1'
        return False
    host = parse_host(parts.netloc.removeprefix("*."))
    if host is not None and parts.netloc.startswith("*.") and not _is_domain(host.name):
        return False
    return host is not None and origin == f"{parts.scheme}://{parts.netloc}" and bool(parts.scheme)


def _is_domain(name: str) -> bool:
    """Return whether subdomains of *name* have one owner: it has at least two labels and is not an address."""
    return "." in name and parse_address(name) is None
