"""Settings and URLs in messages: user and host are shown, passwords never."""

from typing import Any

import pytest

from torngas_aio._masking import MASK, mask_text, mask_url, show_setting

URLS = [
    "redis://:s3cret@host:6379/0",
    "redis://:s3cret@/0",
    "redis://user:s3cret@",
    "redis+cluster://u:s3cret@h1:7000,h2:7001",
    "redis://u:a@s3cret/b#s3cret?s3cret@host/0",
    "redis://u:12/s3cret@host/0",
    "mysql+aiomysql://app:s3cret@[::1]:3306/shop",
    "unix://:s3cret@/run/redis.sock",
    "u:s3cret@host:11211",
    ":s3cret@host",
    "//u:s3cret@host",
    "redis:/u:s3cret@host",
    "redis:u:s3cret@host",
    "redis://host/0?password=s3cret&db=1",
    "postgres:///shop?user=u&sslpassword=s3cret",
    "redis://u:s3cret\n@host",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_shows_no_password(url: str) -> None:
    assert "s3cret" not in mask_url(url)
    assert MASK in mask_url(url)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("wrap", [list, tuple, lambda chars: {"LOCATION": chars}, lambda chars: [{"urls": chars}]])
def test_a_setting_shows_no_password_at_any_depth(url: str, wrap: Any) -> None:
    shown = show_setting(wrap([url]))
    assert "s3cret" not in shown
    assert MASK in shown


@pytest.mark.parametrize("url", [url for url in URLS if "://" in url and "?" not in url and ":12/" not in url])
def test_text_that_holds_a_url_shows_no_password(url: str) -> None:
    assert "s3cret" not in mask_text(f"cannot open {url!r}, nor ({url!r})")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://app:pw@db:3306/blog", f"mysql://app:{MASK}@db:3306/blog"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("[::1]:11211", "[::1]:11211"),
        ("10.0.0.1:11211", "10.0.0.1:11211"),
        ("http://host:80/a/b?page=2", "http://host:80/a/b?page=2"),
        ("/run/redis.sock", "/run/redis.sock"),
        ("", ""),
    ],
)
def test_what_is_no_secret_stays(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("value", "name", "shown"),
    [
        ({"PASSWD": "pw", "HOST": "db", "pw": b"x"}, None, f"{{'PASSWD': {MASK}, 'HOST': 'db', 'pw': {MASK}}}"),
        (("a", 3, None), None, "('a', 3, None)"),
        (("redis://:pw@h",), "LOCATION", f"('redis://:{MASK}@h',)"),
        (12345, "PASSWD", MASK),
        (None, "PASSWORD", "None"),
        (6379, "PORT", "6379"),
    ],
)
def test_settings_are_shown_as_written(value: Any, name: str | None, shown: str) -> None:
    assert show_setting(value, name) == shown


def test_hostile_text_takes_linear_time() -> None:
    mask_text("a://:" * 100_000)
    mask_url("a:" * 500_000)
    mask_url("?a=" * 300_000)
