"""The client's address: the peer of the connection, or the client named by a trusted proxy.

    peer trusted?  the headers that are trusted by default
                       X-Forwarded-For     from the right, up to the first hop that is not a trusted proxy
                       X-Forwarded-Proto   the last value, http or https
                   others if configured: X-Real-IP, X-Scheme, Forwarded (RFC 7239)
    else           the peer, and every header is ignored

A proxy sets some of these headers and forwards the client's values of the others, so the trusted ones are configured.
If they are not, and X-Real-IP or X-Scheme contradicts the default headers, the peer's address is used and one
warning is logged.
"""

import logging
import re
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import islice
from typing import Any

from torngas_aio.utils.bounded import BoundedCache
from torngas_aio.utils.hosts import FORWARDED_HEADERS, MAX_ADDRESS_LENGTH, parse_address, parse_network
from torngas_aio.utils.text import quote_field

__all__ = ["DEFAULT_HEADERS", "DEFAULT_TRUSTED", "Peer", "TrustedProxies"]

logger = logging.getLogger("torngas_aio.http")

DEFAULT_TRUSTED = ("127.0.0.0/8", "::1", "unix")
"""Peers that `xheaders` trusts by default: this machine."""

DEFAULT_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto")
"""Headers that are trusted by default."""

MAX_HOPS = 64
"""Most entries of a forwarded header that are read, from the right."""

MAX_FORWARDED_LENGTH = 8192
"""Most characters of `Forwarded` that are read, from the right; an entry that begins further left is ignored."""

_KNOWN = frozenset(name.lower().encode() for name in FORWARDED_HEADERS)
_ADDRESS_HEADERS = frozenset({b"x-forwarded-for", b"x-real-ip", b"forwarded"})
_SCHEME_HEADERS = frozenset({b"x-forwarded-proto", b"x-scheme", b"forwarded"})

_forwarding = re.compile(
    rb"\r\n(x-forwarded-for|x-real-ip|x-forwarded-proto|x-scheme|forwarded):[ \t]*([^\r]*)", re.IGNORECASE
).findall
_marks_backwards = re.compile(r'"\\*|[,;]').finditer  # a quotation mark with the backslashes before it
_quoted_pair = re.compile(r"\\(.)").sub
# SPEC: RFC 7239 6: brackets are for IPv6, and a port may be obfuscated
_PORT = r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)"
_with_port = re.compile(rf"\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]+)\](?:{_PORT})?|([0-9.]+){_PORT}").fullmatch

_SPACE = " \t"
"""Characters that are stripped around a value; all others, such as a no-break space, are part of it."""

_NO_ADDRESS = "0.0.0.0"  # noqa: S104  what Tornado says of peers on unix sockets; nothing is bound to it

_Fields = dict[bytes, list[str]]


class Peer:
    """The client of a connection or, behind a proxy, of one request: `connection.context` to handlers.

    Attributes:
        address: The address of the socket's peer.
        address_family: `AF_INET`, `AF_INET6`, `AF_UNIX`; None when unknown.
        remote_ip: The client's address without a zone; "0.0.0.0" on a unix socket, as in Tornado.
        protocol: "http" or "https", as used by the client.
    """

    __slots__ = ("address", "address_family", "protocol", "remote_ip")

    def __init__(self, address: object, address_family: int | None, remote_ip: str, protocol: str) -> None:
        self.address = address
        self.address_family = address_family
        self.remote_ip = remote_ip
        self.protocol = protocol

    @classmethod
    def of_socket(cls, address: Any, family: int | None, protocol: str) -> "Peer":
        """Return the peer at the other end of a socket."""
        is_ip = family in (socket.AF_INET, socket.AF_INET6) and bool(address)
        return cls(address, family, address[0].partition("%")[0] if is_ip else _NO_ADDRESS, protocol)

    def __str__(self) -> str:
        if self.address_family in (socket.AF_INET, socket.AF_INET6):
            return self.remote_ip
        # The path of a client's unix socket is chosen by the client: untrusted text.
        text = self.address.decode("utf-8", "replace") if isinstance(self.address, bytes) else str(self.address)
        return quote_field(text)


class TrustedProxies:
    """The trusted proxies and the headers that they set.

    Args:
        trusted: Addresses, networks such as "10.0.0.0/8", and "unix" for peers on unix sockets.
        headers: Those of `utils.addresses.FORWARDED_HEADERS` that these proxies set. If several give an address or a
            scheme, the first one present in a request is used. None: `DEFAULT_HEADERS`, unless X-Real-IP or X-Scheme
            contradicts them.

    Raises:
        ValueError: An entry of *trusted* is not an address, or one of *headers* is unknown.
    """

    def __init__(self, trusted: Iterable[str] = DEFAULT_TRUSTED, headers: Iterable[str] | None = None) -> None:
        self._trusts_unix = False
        self._networks: list[IPv4Network | IPv6Network] = []
        self._verdicts: BoundedCache[str, bool] = BoundedCache(256 * 1024, MAX_ADDRESS_LENGTH)
        self._is_default = headers is None
        self._has_warned = False
        names = [_header_name(name) for name in (DEFAULT_HEADERS if headers is None else headers)]
        self._address_headers = [name for name in names if name in _ADDRESS_HEADERS]
        self._scheme_headers = [name for name in names if name in _SCHEME_HEADERS]
        for name in trusted:
            if name == "unix":
                self._trusts_unix = True
                continue
            try:
                self._networks.append(parse_network(name, takes_host_bits=True))
            except ValueError:
                raise ValueError(
                    f"{name!r} cannot be a trusted proxy: write an address, a network such as '10.0.0.0/8', or 'unix'."
                ) from None

    def client_of(self, peer: Peer, raw_head: bytes) -> Peer:
        """Return the client of the request with *raw_head*; *peer* itself unless it is a trusted proxy."""
        if not self._trusts_peer(peer):
            return peer
        found = _forwarding(raw_head)
        return self._read(peer, ((name.lower(), value) for name, value in found)) if found else peer

    def client_of_fields(self, peer: Peer, fields: Iterable[tuple[bytes, bytes]]) -> Peer:
        """Return the same as `client_of`, for header pairs with names in lower case instead of a head."""
        return self._read(peer, fields) if self._trusts_peer(peer) else peer

    def trusts(self, ip: str) -> bool:
        """Return whether *ip* is one of the trusted addresses."""
        verdict = self._verdicts.get(ip)
        if verdict is None:
            address = parse_address(ip)
            if address is None:
                return False
            verdict = any(address in network for network in self._networks if network.version == address.version)
            self._verdicts.keep(ip, verdict)
        return verdict

    def _trusts_peer(self, peer: Peer) -> bool:
        if peer.address_family == socket.AF_UNIX:
            return self._trusts_unix
        return self.trusts(peer.remote_ip)

    def _read(self, peer: Peer, fields: Iterable[tuple[bytes, bytes]]) -> Peer:
        present: _Fields = {}
        for name, value in fields:
            if name in _KNOWN:
                present.setdefault(name, []).append(value.decode("latin-1"))
        if not present:
            return peer
        chain = list(self._chain(present))
        remote_ip = chain[-1] if chain else peer.remote_ip
        protocol = self._scheme(present) or peer.protocol
        if self._is_default and _contradicts(present, chain or [peer.remote_ip], protocol):
            self._warn(peer)
            return peer
        family = peer.address_family if remote_ip == peer.remote_ip else socket.AF_INET
        return Peer(peer.address, family, remote_ip, protocol)

    def _chain(self, present: _Fields) -> Iterator[str]:
        """Yield the hops from the nearest one to the client, the first that is not a trusted proxy."""
        name = next((name for name in self._address_headers if name in present), None)
        if name is None:
            return
        for hop in _hops(name, present[name]):
            address = _address_in(hop)
            if address is None:  # entries further left were not written by a trusted proxy
                return
            yield address
            if not self.trusts(address):
                return

    def _scheme(self, present: _Fields) -> str | None:
        name = next((name for name in self._scheme_headers if name in present), None)
        if name is None:
            return None
        if name == b"forwarded":
            scheme = self._forwarded_scheme(present[name])
        else:
            scheme = present[name][-1].rpartition(",")[2].strip(_SPACE).lower()
        return scheme if scheme in ("http", "https") else None

    def _forwarded_scheme(self, values: list[str]) -> str:
        """Return the scheme of the client's request to the first trusted proxy: `proto` of the client's element."""
        scheme = ""
        for element in _elements(values):
            scheme = element.get("proto", "").lower()
            address = _address_in(element.get("for", ""))
            if address is None or not self.trusts(address):
                break
        return scheme

    def _warn(self, peer: Peer) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        logger.warning(
            "The trusted proxy %s sends X-Real-IP or X-Scheme that contradict X-Forwarded-For or X-Forwarded-Proto: "
            "its own address counts as the client's. Set TRUSTED_PROXY_HEADERS to the headers that your proxy sets, "
            "and let it clear the others.",
            peer,
        )


def _header_name(name: str) -> bytes:
    found = name.lower().encode("ascii", "replace")
    if found not in _KNOWN:
        raise ValueError(f"{name!r} cannot be a trusted header: known are {', '.join(FORWARDED_HEADERS)}.")
    return found


def _contradicts(present: _Fields, chain: list[str], protocol: str) -> bool:
    """Return whether X-Real-IP is not in *chain*, or X-Scheme differs from *protocol*."""
    real_ip, scheme = present.get(b"x-real-ip"), present.get(b"x-scheme")
    if real_ip is not None and _address_in(real_ip[-1].strip(_SPACE)) not in chain:
        return True
    return scheme is not None and scheme[-1].rpartition(",")[2].strip(_SPACE).lower() != protocol


def _hops(name: bytes, values: list[str]) -> Iterator[str]:
    """Yield the entries of a header from the right, unparsed."""
    if name == b"x-real-ip":
        yield values[-1].strip(_SPACE)
    elif name == b"forwarded":
        for element in _elements(values):
            yield element.get("for", "")
    else:
        for part in reversed(",".join(values).rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            if hop := part.strip(_SPACE):
                yield hop


def _elements(values: list[str]) -> Iterator[dict[str, str]]:
    """Yield the elements of `Forwarded` from the right, so that a client's unclosed quotation mark does not
    extend into a proxy's element. SPEC: RFC 7239 4
    """
    elements = (element for element in _split(",".join(values), ",") if element.strip(_SPACE))
    for element in islice(elements, MAX_HOPS):
        pairs = [pair.partition("=") for pair in _split(element, ";") if pair.strip(_SPACE)]
        found = {name.strip(_SPACE).lower(): _unquote(value.strip(_SPACE)) for name, _, value in pairs}
        # SPEC: RFC 7239 4: no parameter occurs twice in an element; otherwise the proxy's value is unknown
        yield found if len(found) == len(pairs) else {}


def _split(text: str, separator: str) -> Iterator[str]:
    """Yield the parts of *text* from the right, split at each *separator* outside of quoted strings."""
    backwards = text[: -MAX_FORWARDED_LENGTH - 1 : -1]
    start, is_quoted = 0, False
    for mark in _marks_backwards(backwards):
        if mark[0] == separator and not is_quoted:
            yield backwards[start : mark.start()][::-1]
            start = mark.end()
        elif mark[0][0] == '"':
            is_quoted ^= len(mark[0]) % 2 == 1  # an odd number of backslashes escapes it
    if not is_quoted and len(backwards) == len(text):
        yield backwards[start:][::-1]


def _unquote(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return _quoted_pair(r"\1", value[1:-1]) if is_quoted else value


def _address_in(hop: str) -> str | None:
    """Return the address in one entry, which may carry a port; None if there is none."""
    if len(hop) > 64:
        return None
    found = _with_port(hop)
    address = parse_address((found[1] or found[2]) if found else hop)
    return None if address is None else str(address)
