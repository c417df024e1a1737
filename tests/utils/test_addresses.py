"""Which addresses a list of networks means."""

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.utils.addresses import Networks, is_loopback

LISTED = Networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:172.16.0.0/108", "fe80::/10"])


@pytest.mark.parametrize(
    "address",
    [
        "10.255.0.1", "192.0.2.7", "::ffff:10.1.2.3", "::FFFF:0a01:0203", "2001:DB8::5", "::1",
        "172.31.255.255",
        "fe80::1", "0:0:0:0:0:0:0:1",
    ],
)  # fmt: skip
def test_a_listed_address_is_known_in_every_spelling(address: str) -> None:
    assert address in LISTED


@pytest.mark.parametrize(
    "address",
    [
        "11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "127.0.0.1", "::ffff:11.0.0.1", "172.32.0.0",
        "010.0.0.1", "10.1",
        "10.0.0.1 ", " 10.0.0.1", "10.0.0.1,1.2.3.4", "", "unknown", "0x0a000001",
        "167772161", None, 167772161, b"\n\0\0\1",
        "::10.0.0.1",
        "::1%x", "::1%", "fe80::1%eth0", "10.0.0.1%1", "::ffff:10.1.2.3%eth0", "1" * 100_000, "\u0661\u0660.0.0.1",
    ],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_not(address: object) -> None:
    assert address not in LISTED


def test_nothing_listed_is_nobody() -> None:
    assert "127.0.0.1" not in Networks([])
    assert repr(Networks(["::ffff:10.0.0.0/104"])) == "Networks(['10.0.0.0/8'])"


def test_every_wrong_entry_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        Networks(["10.0.0.1/8", "10.0.0.0/8", "example.com", "10.0.0.0/33"])
    assert len(caught.value.faults) == 3
    assert "has host bits set" in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_is_recognised_by_address_or_by_its_one_name(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "x", "", "::1%lo", "localhost.example"])
def test_anything_else_is_no_loopback(address: str) -> None:
    assert not is_loopback(address)
