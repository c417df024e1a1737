"""A redirect stays on the site, however its target was written."""

from urllib.parse import quote

import pytest

from torngas_aio.utils import is_safe_redirect, safe_redirect_target

HOSTS = ("example.com", ".shop.example.net", "local:8000", "[::1]:8443")

OWN = [
    "/", "/inbox", "/inbox?page=2#top", "?page=2", "#top", "inbox/2", "./inbox", "../inbox", "/a:b",
    "/?next=//evil.com",
    "/search?q=a%0Ab&u=https://evil.com", "/用户/资料", "/a%20b", "/?q=a\\b", "/..//evil.com",
]  # fmt: skip

ABROAD = [
    "", " ", "//evil.com", "///evil.com", "////evil.com", "/\\evil.com", "\\/evil.com", "\\\\evil.com",
    "/a\\..\\\\evil.com",
    "\t//evil.com", "/\t/evil.com", "\n//evil.com", "//evil.com\n", " //evil.com", "\x00//evil.com",
    "/\x7f/evil.com", "/a\u2028b",
    "/%2fevil.com", "/%2Fevil.com", "%2f%2fevil.com", "/%5cevil.com", "/%09/evil.com", "/%252fevil.com",
    "/%25252fevil.com",
    "/a%0d%0aSet-Cookie:x=1", "/%00", "/\uff0fevil.com", "/\uff3cevil.com", "\uff0f\uff0fevil.com", "/\ud800",
    "javascript:alert(1)", "JavaScript:alert(1)", "java%73cript:alert(1)", "data:text/html,x", "vbscript:x",
    "mailto:a@b.c",
    "http:evil.com", "https:/evil.com", "https:///evil.com", "https:\\\\evil.com", "https://evil.com",
    "ftp://example.com/",
    "https://example.com@evil.com/", "https://evil.com#@example.com", "https://evil.com\\@example.com/",
    "https://example.com:x/",
    "https://example.com:99999/", "https://example.com%2eevil.com/", "https://example.com.evil.com/",
    "https://evilexample.com/",
    "https://evilshop.example.net/", "https://exam\uff50le.com/", "http://local/", "http://local:8001/",
    "https://[::1]/",
    "https://[::1", "https://[::1%25eth0]:8443/", "https://exam ple.com/", "/" + "a" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("url", OWN)
def test_a_path_of_this_site_is_safe(url: str) -> None:
    assert is_safe_redirect(url)
    assert safe_redirect_target(url, default="/home") == url


@pytest.mark.parametrize("url", ABROAD, ids=ascii)
def test_whatever_may_be_read_as_another_place_is_refused(url: str) -> None:
    assert not is_safe_redirect(url, HOSTS)
    assert safe_redirect_target(url, HOSTS, "/home") == "/home"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "https://EXAMPLE.com./x", "http://example.com:81/x?y",
        "https://shop.example.net/",
        "https://a.b.shop.example.net/", "http://local:8000/", "https://[::1]:8443/",
        "https://[0:0::1]:8443/",
    ],
)  # fmt: skip
def test_an_allowed_host_is_safe_in_every_spelling(url: str) -> None:
    assert is_safe_redirect(url, HOSTS)


def test_http_can_be_refused_where_https_is_wanted() -> None:
    assert not is_safe_redirect("http://example.com/", HOSTS, require_https=True)
    assert is_safe_redirect("https://example.com/", HOSTS, require_https=True)


def test_no_layer_of_encoding_brings_a_host_past_the_check() -> None:
    url = "//evil.com"
    for _ in range(6):
        url = "/" + quote(url, safe="")
        assert not is_safe_redirect(url), url


def test_bytes_and_nothing_are_taken_as_they_come() -> None:
    assert safe_redirect_target(b"/inbox") == "/inbox"
    assert safe_redirect_target(b"//evil.com") == "/"
    assert safe_redirect_target(None, default="/home") == "/home"
    assert not is_safe_redirect(None)
