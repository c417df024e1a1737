"""Hosts are read in one way only."""

import pytest

from torngas_aio.utils.hosts import Host, is_host_allowed, parse_host


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
