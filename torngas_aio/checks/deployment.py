"""Settings that a site which other machines reach should change: `torngas-aio check --deploy`.

Each is a caution: a proxy in front may do what the settings do not. Begin with `deploy_cautions_of`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torngas_aio.checks.references import SESSION_MIDDLEWARE, uses

__all__ = ["deploy_cautions_of"]

HEADERS_MIDDLEWARE = "torngas_aio.middleware.security.SecurityHeadersMiddleware"
HOSTS_MIDDLEWARE = "torngas_aio.middleware.security.AllowedHostsMiddleware"
HSTS = "strict-transport-security"
HSTS_SECONDS = 86_400


def deploy_cautions_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each setting that is fit for development only."""
    if values.get("DEBUG"):
        yield "DEBUG is on: error pages show source and settings, and files are watched. Set DEBUG = False."
    yield from _cookie_cautions(values)
    yield from _header_cautions(values)
    if values.get("XHEADERS") and values.get("TRUSTED_PROXY_HEADERS") is None:
        yield (
            "TRUSTED_PROXY_HEADERS is not set and XHEADERS is on: X-Forwarded-For and X-Forwarded-Proto are believed. "
            "Name the headers that your proxy sets, and let it clear the others."
        )
    if not uses(values, HOSTS_MIDDLEWARE) or "*" in values.get("ALLOWED_HOSTS", ()):
        yield (
            f"Any Host header is answered. Add {HOSTS_MIDDLEWARE!r} to MIDDLEWARE_CLASSES and write ALLOWED_HOSTS, "
            "unless a proxy refuses other hosts."
        )


def _cookie_cautions(values: Mapping[str, Any]) -> Iterator[str]:
    session, tornado = values.get("SESSION", {}), values.get("TORNADO_CONF", {})
    if uses(values, SESSION_MIDDLEWARE):
        if not session.get("secure"):
            yield "SESSION['secure'] is False: the session cookie travels over plain HTTP. Set it to True."
        if not session.get("httponly", True):
            yield "SESSION['httponly'] is False: scripts can read the session cookie. Set it to True."
    if not tornado.get("xsrf_cookies"):
        yield "TORNADO_CONF['xsrf_cookies'] is off: forms can be forged by other sites. Set it to True."
    elif not (tornado.get("xsrf_cookie_kwargs") or {}).get("secure"):
        yield "TORNADO_CONF['xsrf_cookie_kwargs'] lacks 'secure': True: its cookie travels over plain HTTP. Add it."


def _header_cautions(values: Mapping[str, Any]) -> Iterator[str]:
    headers = {str(name).lower(): value for name, value in values.get("SECURITY_HEADERS", {}).items()}
    policy = headers.get(HSTS)
    if not uses(values, HEADERS_MIDDLEWARE) or not policy:
        yield (
            "No Strict-Transport-Security header: browsers may come back over plain HTTP. Add "
            f"{HEADERS_MIDDLEWARE!r} to MIDDLEWARE_CLASSES and SECURITY_HEADERS = {{'Strict-Transport-Security': "
            "'max-age=31536000; includeSubDomains'}, unless the proxy sends it."
        )
    elif _max_age(str(policy)) < HSTS_SECONDS:
        yield f"SECURITY_HEADERS['Strict-Transport-Security'] = {policy!r}: a max-age of a year (31536000) is usual."


def _max_age(policy: str) -> int:
    for directive in policy.split(";"):
        name, _, seconds = directive.strip().partition("=")
        if name.strip().lower() == "max-age" and seconds.strip(' "').isdecimal():
            return int(seconds.strip(' "')[:12])
    return 0
