"""Whose word is taken for who the client is."""

import socket

import pytest

from tests.http.conftest import Start
from tests.http.wire import Direct, get
from torngas_aio.http.base import Exchange
from torngas_aio.http.proxies import Peer, TrustedProxies
from torngas_aio.http.request import Request


def client_of(trusted: list[str], peer_ip: str, *lines: str, headers: list[str] | None = None) -> Peer:
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", *lines, "")).encode("latin-1")
    return TrustedProxies(trusted, headers).client_of(Peer.of_socket((peer_ip, 1), socket.AF_INET, "http"), head)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
        (["X-Forwarded-For: 6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (["X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7"], "1.2.3.4"),
        (["X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 1.2.3.4,10.0.0.7"], "1.2.3.4"),
        (["X-Forwarded-For: 10.0.0.9, 10.0.0.7"], "10.0.0.9"),
        (["X-Forwarded-For: 6.6.6.6, unknown"], "10.0.0.1"),
        (["X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.7"], "10.0.0.7"),
        (["X-Forwarded-For: "], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4:5678"], "1.2.3.4"),
        (["X-Forwarded-For: [2001:db8::1]:5678"], "2001:db8::1"),
        (["X-Forwarded-For: 2001:DB8:0::1"], "2001:db8::1"),
        (["X-Forwarded-For: ::1%x"], "10.0.0.1"),
        (["X-Forwarded-For: fe80::1%eth0, 10.0.0.7"], "10.0.0.7"),
        (['X-Forwarded-For: fe80::1% - root "GET /'], "10.0.0.1"),
        (["X-Forwarded-For: [::1%x]:80"], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4 x"], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4\xa0"], "10.0.0.1"),
        (["X-Forwarded-For: \x851.2.3.4"], "10.0.0.1"),
        (["X-Forwarded-For: 6.6.6.6,\x1f1.2.3.4, 10.0.0.7"], "10.0.0.7"),
        (["X-Forwarded-For: \t 1.2.3.4\t "], "1.2.3.4"),
        (["X-Forwarded-For: ::ffff:1.2.3.4"], "1.2.3.4"),
        (["X-Forwarded-For: 1.2.3.4, ::FFFF:10.0.0.7"], "1.2.3.4"),
        (["X-Forwarded-For: [::ffff:102:304]:80"], "1.2.3.4"),
        (["X-Forwarded-For: 1.2.3.4:http"], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4:_http"], "1.2.3.4"),
        (["X-Forwarded-For: 1.2.3.4:"], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4:_"], "10.0.0.1"),
        (["X-Forwarded-For: 1.2.3.4:123456"], "10.0.0.1"),
        (["X-Forwarded-For: [1.2.3.4]"], "10.0.0.1"),
        (["X-Forwarded-For: [1.2.3.4]:80"], "10.0.0.1"),
        (["X-Forwarded-For: [::ffff:1.2.3.4]"], "1.2.3.4"),
        (["X-Forwarded-For: [::1"], "10.0.0.1"),
        (["X-Forwarded-For: [10.0.0.7], 6.6.6.6, 10.0.0.8"], "6.6.6.6"),
        (["X-Forwarded-For: 127.1"], "10.0.0.1"),
        (["X-Forwarded-For: \xb2.2.3.4"], "10.0.0.1"),
        (["X-Forwarded-For: 9.9.9.9," + "10.0.0.7," * 200], "10.0.0.7"),
        (["X-Forwarded-For: 1.2.3.4", "Forwarded: for=6.6.6.6"], "1.2.3.4"),
        (["Forwarded: for=6.6.6.6"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_hop_that_is_not_trusted(lines: list[str], expected: str) -> None:
    assert client_of(["10.0.0.0/8"], "10.0.0.1", *lines).remote_ip == expected


def test_a_peer_that_is_not_trusted_is_not_believed() -> None:
    peer = client_of(["10.0.0.0/8"], "1.1.1.1", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    assert (peer.remote_ip, peer.protocol) == ("1.1.1.1", "http")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-Proto: http, HTTPS"], "https"),
        (["X-Forwarded-Proto: gopher"], "http"),
        (["X-Forwarded-Proto: https\xa0"], "http"),
        (["X-Forwarded-Proto: https", "Forwarded: proto=http"], "https"),
        (["Forwarded: proto=https"], "http"),
    ],
)
def test_the_scheme_is_what_the_last_proxy_says(lines: list[str], expected: str) -> None:
    assert client_of(["10.0.0.0/8"], "10.0.0.1", *lines).protocol == expected


@pytest.mark.parametrize(
    ("headers", "lines", "expected"),
    [
        (["X-Real-IP"], ["X-Real-IP: 1.2.3.4", "X-Forwarded-For: 6.6.6.6"], "1.2.3.4 http"),
        (["x-real-ip", "X-SCHEME"], ["X-Real-IP: 1.2.3.4", "X-Scheme: https"], "1.2.3.4 https"),
        (["X-Real-IP"], ["X-Real-IP: 6.6.6.6", "X-Real-IP: 1.2.3.4"], "1.2.3.4 http"),
        (["X-Real-IP"], ["X-Real-IP: nobody"], "10.0.0.1 http"),
        (["X-Real-IP"], ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"], "10.0.0.1 http"),
        (["X-Scheme"], ["X-Scheme: https", "X-Forwarded-Proto: http"], "10.0.0.1 https"),
        (["X-Forwarded-For"], ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"], "1.2.3.4 http"),
        (["X-Forwarded-For", "X-Real-IP"], ["X-Real-IP: 1.2.3.4", "X-Forwarded-For: 5.5.5.5"], "5.5.5.5 http"),
        (["X-Real-IP", "X-Forwarded-For"], ["X-Real-IP: 1.2.3.4", "X-Forwarded-For: 5.5.5.5"], "1.2.3.4 http"),
        ([], ["X-Forwarded-For: 6.6.6.6"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=1.2.3.4;proto=https;by=10.0.0.1"], "1.2.3.4 https"),
        (["Forwarded"], ["forwarded: For=6.6.6.6, FOR=1.2.3.4;Proto=HTTPS"], "1.2.3.4 https"),
        (["Forwarded"], ['Forwarded: for="[2001:db8::1]:4711"'], "2001:db8::1 http"),
        (["Forwarded"], ["Forwarded: for=1.2.3.4;proto=https, for=10.0.0.9;proto=http"], "1.2.3.4 https"),
        (["Forwarded"], ["Forwarded: for=6.6.6.6", "Forwarded: for=1.2.3.4"], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for="evil, for=1.2.3.4'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for="a, b", for=1.2.3.4'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for=1.2.3.4;host="x;for=6.6.6.6;proto=https"'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for=6.6.6.6;x=", for=1.2.3.4;host="a\\"b"'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for=6.6.6.6, for=1.2.3.4;host="a\\\\";proto=https'], "1.2.3.4 https"),
        (["Forwarded"], ['Forwarded: for=6.6.6.6;x=", for=1.2.3.4;host="a, b;\\" c"'], "1.2.3.4 http"),
        (["Forwarded"], ["Forwarded: for=6.6.6.6\\", "Forwarded: for=1.2.3.4"], "1.2.3.4 http"),
        (["Forwarded"], ["Forwarded: for=1.2.3.4;for=6.6.6.6"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=6.6.6.6;For=1.2.3.4;proto=https"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=1.2.3.4;proto=http;proto=https"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=1.2.3.4\xa0"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: \xa0for=1.2.3.4"], "10.0.0.1 http"),
        (["X-Real-IP"], ["X-Real-IP: 1.2.3.4\xa0"], "10.0.0.1 http"),
        (["X-Scheme"], ["X-Scheme: https\xa0"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=1.2.3.4;;proto=https; , ,"], "1.2.3.4 https"),
        (["Forwarded"], ['Forwarded: for="1.2.3.4\\:80"'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for=""1.2.3.4""'], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=6.6.6.6, " + "for=10.0.0.7," * 200], "10.0.0.7 http"),
        (["Forwarded"], ['Forwarded: for="6.6.6.6, ' + "\\" * 10_000 + '", for=1.2.3.4'], "1.2.3.4 http"),
        (["Forwarded"], [f'Forwarded: for=6.6.6.6;x="{"a" * 9000}", for=10.0.0.7'], "10.0.0.7 http"),
        (["Forwarded"], ["Forwarded: for=6.6.6.6" + ";" * 60_000 + ", for=10.0.0.7"], "10.0.0.7 http"),
        (["Forwarded"], ["Forwarded: " + "for=9.9.9.9;x=1," * 3000 + "for=1.2.3.4"], "1.2.3.4 http"),
        (["Forwarded"], ["Forwarded: " + "," * 60_000 + "for=1.2.3.4;proto=https"], "1.2.3.4 https"),
        (["Forwarded"], ["Forwarded: for=_hidden;proto=https"], "10.0.0.1 https"),
        (["Forwarded"], ['Forwarded: for="1.2.3.4:_gazonk"'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for="[2001:db8::1]:_a.b-c"'], "2001:db8::1 http"),
        (["Forwarded"], ['Forwarded: for=6.6.6.6, for="1.2.3.4:_x", for="10.0.0.7:_y"'], "1.2.3.4 http"),
        (["Forwarded"], ['Forwarded: for="[1.2.3.4]"'], "10.0.0.1 http"),
        (["Forwarded"], ['Forwarded: for="1.2.3.4:_a b"'], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: for=unknown, for=10.0.0.9"], "10.0.0.9 http"),
        (["Forwarded"], ["Forwarded: for=::1%x"], "10.0.0.1 http"),
        (["Forwarded"], ["Forwarded: " + '"' * 1000], "10.0.0.1 http"),
        (["Forwarded"], ["X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Scheme: https"], "10.0.0.1 http"),
    ],
)
def test_only_the_named_headers_are_believed(headers: list[str], lines: list[str], expected: str) -> None:
    peer = client_of(["10.0.0.0/8"], "10.0.0.1", *lines, headers=headers)
    assert f"{peer.remote_ip} {peer.protocol}" == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["X-Real-IP: 1.2.3.4"], "10.0.0.1 http"),
        (["X-Real-IP: nobody", "X-Forwarded-For: 1.2.3.4"], "10.0.0.1 http"),
        (["X-Real-IP: 6.6.6.6", "X-Forwarded-For: 1.2.3.4"], "10.0.0.1 http"),
        (["X-Scheme: https"], "10.0.0.1 http"),
        (["X-Scheme: http", "X-Forwarded-Proto: https", "X-Forwarded-For: 1.2.3.4"], "10.0.0.1 http"),
    ],
)
def test_headers_that_contradict_the_believed_ones_make_the_peer_count(
    lines: list[str], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning names the setting."""
    proxies = TrustedProxies(["10.0.0.0/8"])
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", *lines, "")).encode()
    for _ in range(3):
        peer = proxies.client_of(Peer.of_socket(("10.0.0.1", 1), socket.AF_INET, "http"), head)
        assert f"{peer.remote_ip} {peer.protocol}" == expected
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Set TRUSTED_PROXY_HEADERS" in caplog.text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["X-Real-IP: 1.2.3.4", "X-Forwarded-For: 1.2.3.4"], "1.2.3.4 http"),
        (["X-Real-IP: 10.0.0.7", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7"], "1.2.3.4 http"),
        (["X-Real-IP: 1.2.3.4", "X-Forwarded-For: 1.2.3.4, 10.0.0.7"], "1.2.3.4 http"),
        (["X-Real-IP: 10.0.0.1"], "10.0.0.1 http"),
        (["X-Scheme: https", "X-Forwarded-Proto: https"], "10.0.0.1 https"),
        (["X-Scheme: http"], "10.0.0.1 http"),
    ],
)
def test_headers_that_agree_with_the_believed_ones_change_nothing(
    lines: list[str], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = client_of(["10.0.0.0/8"], "10.0.0.1", *lines)
    assert f"{peer.remote_ip} {peer.protocol}" == expected
    assert not caplog.records


def test_an_unknown_header_cannot_be_trusted() -> None:
    with pytest.raises(ValueError, match=r"'X-Client-IP' cannot be a trusted header: known are X-Forwarded-For"):
        TrustedProxies(headers=["X-Client-IP"])


def test_the_peer_s_own_address_has_no_zone() -> None:
    peer = Peer.of_socket(("fe80::1%eth0", 1, 0, 2), socket.AF_INET6, "http")
    assert peer.remote_ip == "fe80::1"


def test_the_path_of_a_client_s_socket_is_one_field_of_a_log_line() -> None:
    assert str(Peer.of_socket(b"\0x y\n", socket.AF_UNIX, "http")) == "\\x00x\\x20y\\n"


def test_peers_on_unix_sockets_are_trusted_by_name() -> None:
    peer = Peer.of_socket("", socket.AF_UNIX, "http")
    head = b"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    assert TrustedProxies().client_of(peer, head).remote_ip == "1.2.3.4"
    assert TrustedProxies(["127.0.0.1"]).client_of(peer, head) is peer
    assert str(peer) == ""
    assert str(Peer.of_socket(b"/run/x", socket.AF_UNIX, "http")) == "/run/x"


def test_an_address_of_ipv4_in_ipv6_is_the_address() -> None:
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert proxies.trusts("::ffff:10.1.2.3")
    assert not proxies.trusts("::ffff:11.1.2.3")
    assert not proxies.trusts("nobody")


def test_a_trusted_proxy_must_be_an_address() -> None:
    with pytest.raises(ValueError, match=r"'proxy\.local' cannot be a trusted proxy"):
        TrustedProxies(["proxy.local"])


def test_what_is_remembered_stays_small() -> None:
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert not any(proxies.trusts(f"11.0.{number // 256}.{number % 256}") for number in range(3000))
    assert len(proxies._verdicts) <= 1025


async def test_only_named_proxies_are_believed(start: Start) -> None:
    async def who(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, "OK", [], str(request.remote_ip).encode(), is_head=False)

    served = await start(Direct(who), xheaders=True, trusted_downstream=["192.0.2.1"])
    assert (await served.ask(get("/", "X-Forwarded-For: 1.2.3.4"))).body == b"127.0.0.1"
