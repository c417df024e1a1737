"""Security headers on responses, and validation of the Host header.

SecurityHeadersMiddleware   SECURITY_HEADERS     against sniffing, framing, referrer leaks, plain HTTP, injected scripts
AllowedHostsMiddleware      ALLOWED_HOSTS        against forged Host headers: poisoned links and caches, DNS rebinding
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

from torngas_aio.exception import ConfigError, Fault
from torngas_aio.handler import BaseHandler
from torngas_aio.handler.cookies import is_latin
from torngas_aio.logger import OutageLog
from torngas_aio.settings_manager import settings
from torngas_aio.utils.bounded import BoundedCache
from torngas_aio.utils.hosts import LOCAL_HOSTS, is_host_allowed, parse_host
from torngas_aio.utils.text import header_case, is_token

__all__ = ["SECURITY_HEADERS", "AllowedHostsMiddleware", "SecurityHeadersMiddleware", "csp_nonce"]

_Clear = Callable[[], None]

_refusals = OutageLog(logging.getLogger("torngas_aio.security"), logging.INFO)  # scanners bring many

HSTS = "Strict-Transport-Security"
CSP_NAMES = ("Content-Security-Policy", "Content-Security-Policy-Report-Only")

SECURITY_HEADERS: dict[str, str | None] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    HSTS: None,
    "Content-Security-Policy": None,
}
"""Default headers, which `settings.SECURITY_HEADERS` overrides; None: not sent."""


class SecurityHeadersMiddleware:
    """A middleware that adds SECURITY_HEADERS to each response, errors included, unless the response has set them.

    `Strict-Transport-Security` is sent over https only (SPEC: RFC 6797 7.2). A content policy may contain `{nonce}`,
    which is replaced by `csp_nonce(handler)`.

    Args:
        headers: Headers that override the defaults above, None to omit one; default: settings.SECURITY_HEADERS.

    Raises:
        ConfigError: A name is not a valid header name, or a value is neither None nor valid header text.
    """

    def __init__(self, headers: Mapping[str, str | None] | None = None) -> None:
        own = settings.SECURITY_HEADERS if headers is None else headers
        chosen = {**SECURITY_HEADERS, **{header_case(name): value for name, value in own.items()}}
        ConfigError.gather(
            (
                Fault(
                    f"SECURITY_HEADERS[{header_case(name)!r}] = {value!r}: write one line of Latin-1 text under the "
                    "name of a header, or None to leave it out.",
                    path=f"SECURITY_HEADERS[{name!r}]",
                )
                for name, value in own.items()
                if value is not None and not (is_token(name) and _is_field_value(value))
            ),
            code="TGA304",
        )
        self._headers = {name: value for name, value in chosen.items() if value is not None}
        self._nonced = [name for name in CSP_NAMES if "{nonce}" in self._headers.get(name, "")]
        self._plain = {name: value for name, value in self._headers.items() if name != HSTS}

    async def process_response(self, handler: BaseHandler, clear: _Clear, chunk: list[bytes]) -> None:
        # PERF: all at once: -7 % of a request's bytecodes (benchmarks, delivered)
        headers = self._headers
        if HSTS in headers and handler.request.protocol != "https":
            headers = self._plain
        if self._nonced:
            nonce = csp_nonce(handler)
            headers = headers | {name: headers[name].replace("{nonce}", nonce) for name in self._nonced}
        handler.set_missing_headers(headers)


class AllowedHostsMiddleware:
    """A middleware that responds with 400, before routing, if the Host is not allowed.

    Args:
        hosts: Host patterns: `example.com` on any port, `example.com:8443`, `.example.com` or `*.example.com` with
            all subdomains, `*`; default: settings.ALLOWED_HOSTS. Empty with DEBUG on: this machine's names.

    Raises:
        ConfigError: There are no hosts and DEBUG is off, or a pattern is not a valid host.
    """

    def __init__(self, hosts: tuple[str, ...] | list[str] | None = None) -> None:
        chosen = tuple(settings.ALLOWED_HOSTS if hosts is None else hosts)
        if not chosen and not settings.DEBUG:
            raise ConfigError(
                "ALLOWED_HOSTS is empty, so that AllowedHostsMiddleware would refuse every request. "
                "Write the names this site is reached by, such as ('example.com', '.example.com').",
                code="TGA304",
            )
        ConfigError.gather(
            (
                f"ALLOWED_HOSTS: {pattern!r} is not a host. Write 'example.com', 'example.com:8443' or '.example.com'."
                for pattern in chosen
                if not _is_pattern(pattern)
            ),
            code="TGA304",
        )
        self._hosts = chosen or LOCAL_HOSTS
        self._known: BoundedCache[str, bool] = BoundedCache(max_bytes=64 * 1024, max_key=261)

    async def process_call(self, request: HTTPServerRequest, clear: _Clear) -> None:
        """Accept requests for the hosts of ALLOWED_HOSTS.

        Raises:
            HTTPError: 400: the host is another one.
        """
        host = request.host
        if not self._is_allowed(host):
            _refusals.report("host", "The host %r is not among ALLOWED_HOSTS.", host[:300])
            raise HTTPError(400)

    def _is_allowed(self, text: str) -> bool:
        allowed = self._known.get(text)
        if allowed is None:
            host = parse_host(text)
            allowed = host is not None and is_host_allowed(host, self._hosts)
            if allowed:  # refused hosts are not cached: they would evict valid ones
                self._known.keep(text, True)
        return allowed


def csp_nonce(handler: RequestHandler) -> str:
    """Return the nonce of *handler*'s request for `<script nonce="…">`: 128 random bits, constant for a request."""
    request: Any = handler.request
    nonce: str | None = request.__dict__.get("csp_nonce")
    if nonce is None:
        nonce = request.csp_nonce = secrets.token_urlsafe(16)
    return nonce


def _is_field_value(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and is_latin(value)


def _is_pattern(pattern: object) -> bool:
    if not isinstance(pattern, str):
        return False
    if pattern == "*":
        return True
    name = pattern[1:] if pattern.startswith("*.") else pattern
    name = name.removeprefix(".")
    return parse_host(name) is not None or parse_host(f"[{name}]") is not None
