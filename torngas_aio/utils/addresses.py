"""IP addresses and the networks they are in, as settings write them.

    "10.1.2.3"   "10.0.0.0/8"   "2001:db8::/32"   "::1"   "::ffff:10.0.0.0/104"

An IPv4 address written the IPv6 way (`::ffff:10.1.2.3`, as a socket for both families gives it) is that IPv4
address, on either side. An address has no zone: `::1%eth0` is none. Begin with `Networks`; `parse_address` is the one
parser of text from outside.
"""

import ipaddress
from collections.abc import Iterable

from torngas_aio.exception import ConfigError
from torngas_aio.utils.numbers import parse_whole

__all__ = [
    "FORWARDED_HEADERS",
    "MAX_ADDRESS_LENGTH",
    "Networks",
    "is_loopback",
    "parse_address",
    "parse_listener",
    "parse_network",
]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "X-Scheme", "Forwarded")
"""Headers in which a proxy can name the address or scheme of its client."""

MAX_ADDRESS_LENGTH = 45
"""Of an IPv6 address that ends in an IPv4 one."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class Networks:
    """A set of addresses and networks; `"10.1.2.3" in networks` asks for an address.

    Raises:
        ConfigError: With every entry that is neither; a network whose host bits are set is one of them.
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
        """Whether *address*, as text, is listed; what is no address is not."""
        read = parse_address(address) if isinstance(address, str) else None
        return read is not None and any(read in network for network in self._networks)

    def __repr__(self) -> str:
        return f"Networks({[str(network) for network in self._networks]!r})"


def parse_network(entry: object, *, takes_host_bits: bool = False) -> _Network:
    """Return the network, or the single address, that *entry* of a setting is.

    Args:
        takes_host_bits: Whether `10.0.0.1/8` means `10.0.0.0/8`, rather than being an error.

    Raises:
        ValueError: It is not text, or neither an address nor a network.
    """
    if not isinstance(entry, str):  # the standard library would take a number or bytes for an address
        raise ValueError(f"it is of type {type(entry).__name__}, not text")
    if "%" in entry:  # no address that is looked up has one, so it would match nothing
        raise ValueError("a zone cannot be given")
    return _unmapped(ipaddress.ip_network(entry, strict=not takes_host_bits))


def parse_address(text: str) -> _Address | None:
    """Return the address that *text* is; None for anything else, zone ids and surrounding space included."""
    if len(text) > MAX_ADDRESS_LENGTH or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_listener(text: str, named: str = "") -> tuple[str, int] | str:
    """Return host and port of `host:port`, the path of `unix:/path`: where MANAGEMENT says to listen.

    Args:
        named: How an error calls *text*: the option that it was given with; by default the setting.

    Raises:
        ConfigError: *text* is neither.
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
    """Whether *address* is one of this machine's loopback addresses or `localhost`."""
    found = parse_address(address)
    return address == "localhost" if found is None else found.is_loopback


def _unmapped(network: _Network) -> _Network:
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        address = network.network_address.ipv4_mapped
        assert address is not None
        return ipaddress.IPv4Network((address, network.prefixlen - 96))
    return network
