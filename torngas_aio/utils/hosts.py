"""Host names as clients send them, and the patterns by which settings mean them.

    "example.com"     this name on any port        "example.com:8443"   on this port only
    ".example.com"    it and every name below it   "*"                  every well-formed host

Begin with `parse_host`; it is strict, because a host that two programs read in two ways is an attack.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from torngas_aio.utils.numbers import parse_whole

__all__ = ["LOCAL_HOSTS", "Host", "is_host_allowed", "parse_host"]

LOCAL_HOSTS = ("localhost", ".localhost", "127.0.0.1", "[::1]")
"""Names of this machine: allowed when DEBUG is on and ALLOWED_HOSTS is empty."""

# SPEC: RFC 3986 3.2.2, less percent-encoding and sub-delimiters, which no DNS name holds; underscores are
# not in RFC 1123 but in the wild.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True)
class Host:
    """A host as it was sent: lower-case name without trailing dot or brackets, and its port if any."""

    name: str
    port: int | None


def parse_host(text: str) -> Host | None:
    """Return the host and port in *text*, as a Host header or a URL's authority has them.

    None for whatever is not exactly one: user names, white space, percent signs, empty or wrong ports.
    """
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        port = _port_of(rest[1:]) if rest.startswith(":") else None
        if not bracket or (rest and port is None) or not _is_ipv6(name):
            return None
        return Host(ipaddress.IPv6Address(name).compressed, port)
    name, colon, digits = text.partition(":")
    port = _port_of(digits) if colon else None
    if colon and port is None:
        return None
    name = name.lower().removesuffix(".")
    return Host(name, port) if _NAME.fullmatch(name) else None


def is_host_allowed(host: Host, patterns: Iterable[str]) -> bool:
    """Whether one of *patterns* means *host*; a pattern that is no host at all means none."""
    return any(_matches(host, pattern.strip().lower()) for pattern in patterns)


def _matches(host: Host, pattern: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        pattern = pattern[1:]
    if pattern.startswith("."):
        wanted = parse_host(pattern[1:])
        fits = wanted is not None and (host.name == wanted.name or host.name.endswith(f".{wanted.name}"))
    else:
        wanted = parse_host(pattern if pattern.count(":") < 2 or pattern.startswith("[") else f"[{pattern}]")
        fits = wanted is not None and host.name == wanted.name
    return fits and wanted is not None and wanted.port in {None, host.port}


def _port_of(digits: str) -> int | None:
    port = parse_whole(digits, max_digits=5)
    return port if port is not None and port <= 65535 else None


def _is_ipv6(name: str) -> bool:
    if "%" in name:  # a zone is the sender's own business and means nothing here
        return False
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True
