"""Who the client is: the peer of the connection, or whom a trusted proxy says it speaks for.

    peer trusted?  X-Forwarded-For, from the right, up to the first hop that is not trusted itself
                   X-Real-Ip where there is no X-Forwarded-For
                   X-Scheme or X-Forwarded-Proto: the last value, http or https
    else           the peer, whatever it sends

Tornado lets `X-Real-Ip` win over `X-Forwarded-For`. Most proxies add to the latter and pass the former on
as the client sent it, so here it is the other way round. Begin with `TrustedProxies.client_of`.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

__all__ = ["DEFAULT_TRUSTED", "Peer", "TrustedProxies"]

DEFAULT_TRUSTED = ("127.0.0.0/8", "::1", "unix")
"""Whom `xheaders` believes unless told otherwise: this machine."""

_forwarding = re.compile(
    rb"\r\n(x-forwarded-for|x-real-ip|x-forwarded-proto|x-scheme):[ \t]*([^\r]*)", re.IGNORECASE
).findall
_with_port = re.compile(r"\[([^\]]+)\](?::\d+)?|([0-9.]+):\d+").fullmatch

_NO_ADDRESS = "0.0.0.0"  # noqa: S104  what Tornado says of peers on unix sockets; nothing is bound to it


class Peer:
    """The client of a connection or, behind a proxy, of one request: `connection.context` to handlers.

    Attributes:
        address: The socket's address of the other side.
        address_family: `AF_INET`, `AF_INET6`, `AF_UNIX`; None when unknown.
        remote_ip: The client's address; "0.0.0.0" on a unix socket, as in Tornado.
        protocol: "http" or "https", as the client speaks it.
    """

    __slots__ = ("address", "address_family", "protocol", "remote_ip")

    def __init__(self, address: Any, address_family: int | None, remote_ip: str, protocol: str) -> None:
        self.address = address
        self.address_family = address_family
        self.remote_ip = remote_ip
        self.protocol = protocol

    @classmethod
    def of_socket(cls, address: Any, family: int | None, protocol: str) -> "Peer":
        """Return the peer at the other end of a socket."""
        is_ip = family in (socket.AF_INET, socket.AF_INET6) and bool(address)
        return cls(address, family, address[0] if is_ip else _NO_ADDRESS, protocol)

    def __str__(self) -> str:
        if self.address_family in (socket.AF_INET, socket.AF_INET6):
            return self.remote_ip
        return self.address.decode("utf-8", "replace") if isinstance(self.address, bytes) else str(self.address)


class TrustedProxies:
    """The proxies that are believed.

    Args:
        trusted: Addresses, networks such as "10.0.0.0/8", and "unix" for peers on unix sockets.

    Raises:
        ValueError: One of them is none of these.
    """

    def __init__(self, trusted: Iterable[str] = DEFAULT_TRUSTED) -> None:
        self._trusts_unix = False
        self._networks: list[IPv4Network | IPv6Network] = []
        self._verdicts: dict[str, bool] = {}
        for name in trusted:
            if name == "unix":
                self._trusts_unix = True
                continue
            try:
                self._networks.append(ip_network(name, strict=False))
            except ValueError:
                raise ValueError(
                    f"{name!r} cannot be a trusted proxy: write an address, a network such as '10.0.0.0/8', or 'unix'."
                ) from None

    def client_of(self, peer: Peer, raw_head: bytes) -> Peer:
        """Return whom the request with *raw_head* comes from; *peer* itself unless that is trusted."""
        if not self._trusts_peer(peer):
            return peer
        said: dict[bytes, list[str]] = {}
        for name, value in _forwarding(raw_head):
            said.setdefault(name.lower(), []).extend(
                part.strip() for part in value.decode("latin-1").split(",") if part.strip()
            )
        if not said:
            return peer
        remote_ip = self._client_ip(said, peer.remote_ip)
        schemes = said.get(b"x-scheme") or said.get(b"x-forwarded-proto") or [""]
        scheme = schemes[-1].lower()
        protocol = scheme if scheme in ("http", "https") else peer.protocol
        return Peer(
            peer.address, peer.address_family if remote_ip == peer.remote_ip else socket.AF_INET, remote_ip, protocol
        )

    def _client_ip(self, said: dict[bytes, list[str]], peer_ip: str) -> str:
        found = peer_ip
        for hop in reversed(said.get(b"x-forwarded-for") or said.get(b"x-real-ip", [])[-1:]):
            address = _address_in(hop)
            if address is None:  # what stands further left was not written by anybody who is trusted
                return found
            found = address
            if not self.trusts(address):
                return found
        return found

    def _trusts_peer(self, peer: Peer) -> bool:
        if peer.address_family == socket.AF_UNIX:
            return self._trusts_unix
        return self.trusts(peer.remote_ip)

    def trusts(self, ip: str) -> bool:
        """Whether *ip* is one of the trusted addresses."""
        verdict = self._verdicts.get(ip)
        if verdict is None:
            if len(self._verdicts) > 1024:
                self._verdicts.clear()
            verdict = self._verdicts[ip] = self._look_up(ip)
        return verdict

    def _look_up(self, ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks if network.version == address.version)


def _address_in(hop: str) -> str | None:
    """The address in one entry of X-Forwarded-For, which may carry a port; None when there is none."""
    found = _with_port(hop)
    text = (found[1] or found[2]) if found else hop
    try:
        return str(ip_address(text))
    except ValueError:
        return None
