"""Hosts on one machine: network namespaces on a bridge, with addresses of their own.

    this process ──┐
    host, host ────┴── bridge     a host that is cut off receives and sends nothing: no reset, no "unreachable"

Needs root and Linux. Begin with `Network`.
"""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Host", "Network", "NoNetworkError"]

_numbers = itertools.count(1)
_BLOCKED, _FORWARDING = "0", "3"  # states of a bridge's port
_NOWHERE = "02:00:00:00:ff:ff"


class NoNetworkError(Exception):
    """Namespaces cannot be made here; the message says why."""


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        raise NoNetworkError(f"{' '.join(words)}: {done.stderr.strip()}")


class Host:
    """One host.

    Attributes:
        name: For messages.
        address: Its IPv4 address.
        prefix: What a command line begins with to run on this host.
    """

    def __init__(self, network: "Network", name: str, number: int) -> None:
        self.name = name
        self.address = network.address_of(number)
        self.namespace = f"{network.name}-{number}"
        self.prefix: tuple[str, ...] = ("nsenter", f"--net=/run/netns/{self.namespace}")
        self.port = f"p{number}"
        self.mac = f"02:00:00:00:00:{number:02x}"
        self._network = network

    def read_names_from(self, path: Path) -> None:
        """Let what is started on this host from now on see *path* as /etc/hosts; writing to it moves names."""
        self.prefix += ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(path))

    def cut_off(self) -> None:
        """Let nothing in or out any more; what is sent is lost without a word."""
        self._network.set_port(self.port, _BLOCKED)

    def heal(self) -> None:
        """Undo `cut_off`."""
        self._network.set_port(self.port, _FORWARDING)

    def cut_off_from(self, other: "Host") -> None:
        """Lose what is sent to *other*, which still reaches this host."""
        self._neighbour(other, _NOWHERE)

    def heal_to(self, other: "Host") -> None:
        """Undo `cut_off_from`."""
        self._neighbour(other, other.mac)

    def meet(self, other: "Host") -> None:
        """Know where *other* is, so that a host that is cut off is never reported as unreachable."""
        self._neighbour(other, other.mac)
        other._neighbour(self, self.mac)

    def _neighbour(self, other: "Host", mac: str) -> None:
        words = ("neigh", "replace", other.address, "lladdr", mac, "nud", "permanent", "dev", "eth0")
        _run("ip", "-n", self.namespace, *words)


class Network:
    """A bridge that hosts are added to; this process is on it, too.

    Raises:
        NoNetworkError: On entering: this process may not make namespaces, or the system has none.
    """

    def __init__(self) -> None:
        self._number = next(_numbers)
        self.name = f"tg{os.getpid() % 100_000}{self._number}"
        self._subnet = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self._switch = f"{self.name}-sw"
        self._namespaces: list[str] = []
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _make(self) -> None:
        if os.geteuid() != 0:
            raise NoNetworkError("only root can make network namespaces")
        try:
            self._add_namespace(self._switch)
            _run("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge")
        except FileNotFoundError as exc:
            raise NoNetworkError(f"{exc.filename} is not installed (Debian: iproute2)") from None
        _run("ip", "-n", self._switch, "link", "set", "br0", "up")
        outside = f"{self.name}-o"
        _run("ip", "link", "add", outside, "type", "veth", "peer", "name", "outside", "netns", self._switch)
        _run("ip", "-n", self._switch, "link", "set", "outside", "master", "br0", "up")
        _run("ip", "address", "add", f"{self.address_of(1)}/24", "dev", outside)
        _run("ip", "link", "set", outside, "up")

    def address_of(self, number: int) -> str:
        """Return the address of host *number*; 1 is this process."""
        return f"{self._subnet}.{number}"

    @property
    def outside(self) -> str:
        """This process's own address on the network."""
        return self.address_of(1)

    def add(self, name: str) -> Host:
        """Return a new host."""
        host = Host(self, name, len(self.hosts) + 10)
        self._add_namespace(host.namespace)
        _run(
            "ip", "-n", self._switch, "link", "add", host.port, "type", "veth", "peer", "eth0", "netns", host.namespace
        )
        _run("ip", "-n", self._switch, "link", "set", host.port, "master", "br0", "up")
        inside = ("ip", "-n", host.namespace)
        _run(*inside, "link", "set", "eth0", "address", host.mac)
        _run(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")
        for other in self.hosts:
            host.meet(other)
        self.hosts.append(host)
        return host

    def set_port(self, port: str, state: str) -> None:
        """Set the state of a host's port of the bridge."""
        _run("bridge", "-n", self._switch, "link", "set", "dev", port, "state", state)

    def close(self) -> None:
        """Remove every namespace; twice is harmless. What runs in them should have ended before."""
        for namespace in reversed(self._namespaces):
            with contextlib.suppress(NoNetworkError):
                _run("ip", "netns", "delete", namespace)
        self._namespaces.clear()
        self.hosts.clear()
        with contextlib.suppress(NoNetworkError, FileNotFoundError):
            _run("ip", "link", "delete", f"{self.name}-o")

    def _add_namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._namespaces.append(name)


def run_on(host: Host, words: Sequence[str]) -> list[str]:
    """Return the command line that runs *words* on *host*."""
    return [*host.prefix, *words]
