"""Listening: ports, unix sockets, certificates."""

import socket
import sys
from pathlib import Path

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.http.unix_sockets import UnixListener
from torngas_aio.webserver.listeners import (
    addresses_of,
    bind,
    bind_for_workers,
    is_reachable,
    tls_context,
)

pytestmark = pytest.mark.timeout(120)


def close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def test_port_0_takes_a_free_one() -> None:
    """The address tells which."""
    sockets = bind(0, "127.0.0.1")
    port = sockets[0].getsockname()[1]
    assert port > 0
    assert addresses_of(sockets) == [f"http://127.0.0.1:{port}/"]
    assert addresses_of(sockets, is_tls=True) == [f"https://127.0.0.1:{port}/"]
    close(sockets)


def test_a_port_in_use_is_a_clear_error() -> None:
    """Address, port, and what to do."""
    sockets = bind(0, "127.0.0.1")
    port = sockets[0].getsockname()[1]
    with pytest.raises(ConfigError, match=rf"Cannot listen on 127.0.0.1:{port}: the port is in use. Stop .* --port"):
        bind(port, "127.0.0.1")
    close(sockets)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_a_clear_error(port: int) -> None:
    """A sentence, whatever the system would have said."""
    with pytest.raises(ConfigError, match=f"Cannot listen on port {port}: give --port a number from 0 to 65535"):
        bind(port, "127.0.0.1")


def test_workers_get_sockets_of_their_own_on_one_port() -> None:
    """The system spreads connections between them; a second server is refused all the same."""
    groups = bind_for_workers(0, "127.0.0.1", 3)
    assert len({each.getsockname() for group in groups for each in group}) == 1
    if sys.platform == "linux":
        assert len({each.fileno() for group in groups for each in group}) == 3
    with pytest.raises(ConfigError, match="the port is in use"):
        bind_for_workers(groups[0][0].getsockname()[1], "127.0.0.1", 2)
    for group in groups:
        close(group)


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
def test_a_foreign_address_is_a_clear_error(address: str) -> None:
    """One that is no address of this machine, or no address at all."""
    with pytest.raises(ConfigError, match="Give an --address of this machine"):
        bind(0, address)


def test_ipv4_only_leaves_ipv6_out() -> None:
    """Without it, every interface means both families, on one port."""
    only = bind(0, None)
    both = bind(0, None, ipv4_only=False)
    assert {each.family for each in only} == {socket.AF_INET}
    if socket.has_ipv6:
        assert len({each.getsockname()[1] for each in both}) == 1
    close([*only, *both])


def test_an_ipv6_address_is_taken_as_asked() -> None:
    """Its URL has brackets."""
    try:
        sockets = bind(0, "::1")
    except ConfigError:
        pytest.skip("no IPv6 loopback here")
    assert addresses_of(sockets)[0].startswith("http://[::1]:")
    assert not is_reachable(sockets)
    close(sockets)


def test_reachable_is_what_is_not_loopback(tmp_path: Path) -> None:
    """A unix socket is not reachable from elsewhere either."""
    everywhere, here = bind(0, "0.0.0.0"), bind(0, "127.0.0.1")
    unix = UnixListener(str(tmp_path / "s"), backlog=8).socket
    assert is_reachable(everywhere)
    assert is_reachable([*here, *everywhere])
    assert not is_reachable([*here, unix])
    assert addresses_of([unix]) == [f"unix:{tmp_path / 's'}"]
    close([*everywhere, *here, unix])


def test_a_certificate_makes_a_context(certificate: tuple[Path, Path]) -> None:
    """Chain and key in two files."""
    chain, key = certificate
    assert tls_context(str(chain), str(key)).get_ca_certs() == []


def test_bad_certificates_are_clear_errors(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """A missing file, no PEM, a key that is not there."""
    chain, key = certificate
    with pytest.raises(ConfigError, match=r"--certfile=.*none.pem: no such file"):
        tls_context(str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"--keyfile=.*none.pem: no such file"):
        tls_context(str(chain), str(tmp_path / "none.pem"))
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(ConfigError, match="Both must be PEM"):
        tls_context(str(tmp_path / "text.pem"), str(key))
    with pytest.raises(ConfigError, match="Both must be PEM"):
        tls_context(str(chain))
