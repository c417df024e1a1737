"""Checks for public sites: `torngas-aio check --deploy`.

    settings             warnings only, since a proxy in front may do the same
    deploy/*.service     TimeoutStopSec against --drain_seconds and --graceful_timeout; --workers
    deploy/nginx.conf    client_max_body_size, proxy_read_timeout against REQUEST_TIMEOUT

Only values written in these files are checked, not the defaults of systemd and nginx, except for nginx's body limit.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torngas_aio.checks.references import SESSION_MIDDLEWARE, section, uses

__all__ = ["deploy_cautions_of", "deploy_file_cautions", "workers_of_units"]

HEADERS_MIDDLEWARE = "torngas_aio.middleware.security.SecurityHeadersMiddleware"
HOSTS_MIDDLEWARE = "torngas_aio.middleware.security.AllowedHostsMiddleware"
HSTS = "strict-transport-security"
HSTS_SECONDS = 86_400


def deploy_cautions_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each setting that is suitable for development only."""
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


def _cookie_cautions(values: Mapping[str, object]) -> Iterator[str]:
    session, tornado = section(values, "SESSION"), section(values, "TORNADO_CONF")
    if uses(values, SESSION_MIDDLEWARE):
        if not session.get("secure"):
            yield "SESSION['secure'] is False: the session cookie travels over plain HTTP. Set it to True."
        if not session.get("httponly", True):
            yield "SESSION['httponly'] is False: scripts can read the session cookie. Set it to True."
    if not tornado.get("xsrf_cookies"):
        if not tornado.get("cross_origin_protection"):
            yield "TORNADO_CONF['xsrf_cookies'] is off: forms can be forged by other sites. Set it to True."
    elif not section(tornado, "xsrf_cookie_kwargs").get("secure"):
        yield "TORNADO_CONF['xsrf_cookie_kwargs'] lacks 'secure': True: its cookie travels over plain HTTP. Add it."


def _header_cautions(values: Mapping[str, object]) -> Iterator[str]:
    headers = {str(name).lower(): value for name, value in section(values, "SECURITY_HEADERS").items()}
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


_SPANS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)\s*", re.IGNORECASE)
_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0), **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0), **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}  # fmt: skip
"""Units of systemd and nginx."""
_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def deploy_file_cautions(
    folder: Path,
    *,
    graceful: float,
    shutdown: float,
    request_timeout: float | None,
    max_body: int,
    jobs_wait: bool = False,
) -> Iterator[str]:
    """Yield one sentence for each conflict between the files in *folder* and the settings.

    Args:
        folder: Such as `deploy/`; it need not exist.
        graceful: Default of `--graceful_timeout` in seconds, for units without the option.
        shutdown: Time limit of shutdown hooks and pools, in seconds.
        request_timeout: REQUEST_TIMEOUT in seconds.
        max_body: The server's limit on bodies, in bytes.
        jobs_wait: Whether jobs are in a store, for other processes to run.
    """
    units = sorted(folder.glob("*.service"))
    runs_jobs = any(re.search(r"^ExecStart=.*\bworker\b", _without_comments(unit), re.MULTILINE) for unit in units)
    if jobs_wait and units and not runs_jobs:
        yield f"{folder}: no unit runs `torngas-aio worker`, and JOBS keeps jobs in a store: they wait there. Add one."
    for unit in units:
        text = _without_comments(unit)
        takes = _option(text, "drain_seconds", 0.0) + _option(text, "graceful_timeout", graceful) + shutdown
        given = _seconds(r"^Timeout(?:Stop)?Sec\s*=(.*)", text)[-1:]  # the last one counts
        if given and 0 < given[0] <= takes:
            yield (
                f"{unit}: TimeoutStopSec is {given[0]:g} s, and a stop may take {takes:g} s (drain_seconds, "
                f"graceful_timeout and {shutdown:g} s for hooks and pools): systemd kills it before its end. Raise it."
            )
    for conf in sorted(folder.glob("*nginx*.conf")):
        text = _without_comments(conf)
        waits = min(_seconds(r"\bproxy_read_timeout\s+([^;]*);", text), default=math.inf)
        if request_timeout and waits <= request_timeout:
            yield (
                f"{conf}: proxy_read_timeout is {waits:g} s, and REQUEST_TIMEOUT is {request_timeout:g} s: nginx "
                "answers 504 before the server's own 503. Make it longer than REQUEST_TIMEOUT."
            )
        found = re.search(r"\bclient_max_body_size\s+(\d{1,12})([kmg]?)\s*;", text, re.IGNORECASE)
        allowed = int(found[1]) * _BYTES[found[2].lower()] if found else 1024**2
        if allowed and allowed < max_body:
            yield (
                f"{conf}: client_max_body_size is {allowed} bytes{'' if found else ' (nginx by itself)'}, and the "
                f"server takes {max_body}. Write `client_max_body_size {max_body >> 20}m;`, or lower max_body_size."
            )


def workers_of_units(folder: Path) -> int:
    """Return the largest `--workers` of the units in *folder*; 1 if none has the option."""
    return max([1, *(int(_option(_without_comments(unit), "workers", 1)) for unit in folder.glob("*.service"))])


def _without_comments(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(line.split(" #")[0] for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))


def _option(text: str, name: str, default: float) -> float:
    found = re.search(rf"--{name.replace('_', '[_-]')}[= ](\d{{1,9}}(?:\.\d{{1,9}})?)", text)
    return float(found[1]) if found else default


def _seconds(pattern: str, text: str) -> list[float]:
    """Return the seconds in the group of each match of *pattern*, such as `90`, `1min 30s` or `infinity`."""
    spans = [_SPANS.findall(found) for found in re.findall(pattern, text, re.MULTILINE)]
    return [sum(float(n) * _SECONDS.get(unit, math.inf) for n, unit in each) if each else math.inf for each in spans]
