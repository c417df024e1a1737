"""Hosts and addresses are read in one way only; which of them patterns and networks mean."""

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.utils.hosts import Host, Networks, is_host_allowed, is_loopback, parse_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("example.com", Host("example.com", None)),
        ("EXAMPLE.com.:80", Host("example.com", 80)),
        ("a_b.example", Host("a_b.example", None)),
        ("127.0.0.1:8000", Host("127.0.0.1", 8000)),
        ("[::1]", Host("::1", None)),
        ("[2001:DB8:0::1]:443", Host("2001:db8::1", 443)),
        ("x", Host("x", None)),
    ],
)
def test_a_host_is_read_with_its_port(text: str, host: Host) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a b", "a\tb", "a,b", "a/b", "a\\b", "a@b", "a:b", "a:", "a:1:2", "a:123456", "a:65536",
        "a:-1", "a:+80", "a:٣", "-a",
        "a-", "a..b", ".a", "a%00", "[::1", "[::1]x", "[::1]:", "[::1]:x", "[::1%eth0]", "[127.0.0.1]",
        "::1", "a\n", "é.com",
        "a" * 254, "a?b", "a#b", "*", "*.a", "[]", "[v1.x]",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_not_exactly_one_host_is_none(text: str) -> None:
    assert parse_host(text) is None


@pytest.mark.parametrize(
    ("text", "patterns", "allowed"),
    [
        ("example.com:8000", ["example.com"], True),
        ("example.com:8000", ["EXAMPLE.com:8000"], True),
        ("example.com:8001", ["example.com:8000"], False),
        ("example.com", ["example.com:80"], False),
        ("sub.example.com", ["example.com"], False),
        ("sub.example.com", [".example.com"], True),
        ("example.com", [".example.com"], True),
        ("example.com", ["*.example.com"], True),
        ("badexample.com", [".example.com"], False),
        ("anything", ["*"], True),
        ("[::1]:8000", ["::1"], True),
        ("[::1]", ["[::1]"], True),
        ("[::1]", ["127.0.0.1", "a b", "."], False),
        ("example.com", [], False),
    ],
)
def test_a_pattern_means_its_hosts_and_no_other(text: str, patterns: list[str], allowed: bool) -> None:
    host = parse_host(text)
    assert host is not None
    assert is_host_allowed(host, patterns) is allowed


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
