"""Host names and IP addresses sent by clients, and the patterns and networks of settings that match them.

    "example.com"     this name on any port        "example.com:8443"   on this port only
    ".example.com"    it and every name below it   "*"                  every well-formed host

    "10.1.2.3"   "10.0.0.0/8"   "2001:db8::/32"   "::1"   "::ffff:10.0.0.0/104"

An IPv4-mapped IPv6 address (`::ffff:10.1.2.3`, as dual-stack sockets report it) equals its IPv4 address, in settings
and requests. Zones are refused: `::1%eth0` is invalid.
`parse_host` and `parse_address` are strict: a host that two programs interpret differently can be used for attacks.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from torngas_aio.exception import ConfigError
from torngas_aio.utils.numbers import parse_whole

__all__ = [
    "FORWARDED_HEADERS",
    "LOCAL_HOSTS",
    "MAX_ADDRESS_LENGTH",
    "Host",
    "Networks",
    "is_host_allowed",
    "is_loopback",
    "parse_address",
    "parse_host",
    "parse_listener",
    "parse_network",
]

LOCAL_HOSTS = ("localhost", ".localhost", "127.0.0.1", "[::1]")
"""Names of this machine: allowed when DEBUG is on and ALLOWED_HOSTS is empty."""

# SPEC: RFC 3986 3.2.2, without percent-encoding and sub-delimiters, which DNS names cannot contain; underscores are not
# in RFC 1123 but are used in practice.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True)
class Host:
    """A host as it was sent: lower-case name without trailing dot or brackets, and its port if any."""

    name: str
    port: int | None


def parse_host(text: str) -> Host | None:
    """Return the host and port in *text*, a Host header or a URL's authority.

    Returns None if it is invalid: with user names, white space, percent signs, empty or invalid ports.
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
    """Return whether one of *patterns* matches *host*; an invalid pattern matches nothing."""
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
    if "%" in name:  # zones are local to the sender
        return False
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "X-Scheme", "Forwarded")
"""Headers by which a proxy forwards the address or scheme of its client."""

MAX_ADDRESS_LENGTH = 45
"""Length of the longest form: an IPv6 address that ends in an IPv4 address."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class Networks:
    """A set of addresses and networks; `"10.1.2.3" in networks` checks an address.

    Raises:
        ConfigError: Entries are neither, or are networks with host bits set; lists all of them.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        faults: list[str] = []
        found: list[_Network] = []
        for entry in entries:
            try:
                found.append(parse_network(entry))
            except ValueError as exc:
                faults.append(f"{entry!r} is no address or network: {exc}. Write such as '10.1.2.3' or '10.0.0.0/8'.")
        ConfigError.gather(faults, code="TGA103")
        self._networks = tuple(found)

    def __contains__(self, address: object) -> bool:
        """Return whether the str *address* is in the set; False for anything else."""
        read = parse_address(address) if isinstance(address, str) else None
        return read is not None and any(read in network for network in self._networks)

    def __repr__(self) -> str:
        return f"Networks({[str(network) for network in self._networks]!r})"


def parse_network(entry: object, *, takes_host_bits: bool = False) -> _Network:
    """Return *entry* of a setting as a network; a single address is a network of one.

    Args:
        takes_host_bits: Whether to read `10.0.0.1/8` as `10.0.0.0/8` instead of raising.

    Raises:
        ValueError: The entry is not a str, or neither an address nor a network.
    """
    if not isinstance(entry, str):  # the standard library would accept numbers and bytes as addresses
        raise ValueError(f"it is of type {type(entry).__name__}, not text")
    if "%" in entry:  # checked addresses have no zone, so it would never match
        raise ValueError("a zone cannot be given")
    return _unmapped(ipaddress.ip_network(entry, strict=not takes_host_bits))


def parse_address(text: str) -> _Address | None:
    """Return *text* as an address; None if it is invalid, has a zone or surrounding space."""
    if len(text) > MAX_ADDRESS_LENGTH or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_listener(text: str, named: str = "") -> tuple[str, int] | str:
    """Return host and port of `host:port`, or the path of `unix:/path`: an address to listen on, as in MANAGEMENT.

    Args:
        named: Name of *text* in error messages, such as a command line option; by default the setting.

    Raises:
        ConfigError: *text* has neither form.
    """
    host, _, port = text.rpartition(":")
    if text.startswith("unix:") and text != "unix:":
        return text.removeprefix("unix:")
    if not host or not (number := parse_whole(port)) or number > 65535:
        raise ConfigError(
            f"{named or f'MANAGEMENT = {text!r}'}: write host:port, such as '127.0.0.1:9100', or unix: and a path.",
            code="TGA801",
        )
    return host.strip("[]"), number


def is_loopback(address: str) -> bool:
    """Return whether *address* is a loopback address or `localhost`."""
    found = parse_address(address)
    return address == "localhost" if found is None else found.is_loopback


def _unmapped(network: _Network) -> _Network:
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        address = network.network_address.ipv4_mapped
        assert address is not None
        return ipaddress.IPv4Network((address, network.prefixlen - 96))
    return network
