"""Cookies are set whole or not at all, zero deletes them, and all that a client sends are seen."""

import datetime as dt
from http.cookies import CookieError
from typing import Any

import pytest

from tests.handler.conftest import OpenClient
from torngas_aio.handler import WebHandler
from torngas_aio.mixins.flash_message import FlashMessageMixIn

DELETES: list[tuple[dict[str, Any], str]] = [
    ({"max_age": 0}, "Max-Age=0"),
    ({"max_age": 0, "value": "é"}, "Max-Age=0"),
    ({"expires": 0}, "expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ({"expires": 0.0, "value": "é"}, "expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ({"expires": 0, "expires_days": 30}, "expires=Thu, 01 Jan 1970 00:00:00 GMT"),
]


@pytest.mark.parametrize(("options", "wanted"), DELETES)
async def test_zero_deletes_a_cookie(open_client: OpenClient, options: dict[str, Any], wanted: str) -> None:
    class Deletes(WebHandler):
        async def get(self) -> None:
            self.set_cookie("a", **{"value": "1", **options})

    client = await open_client([("/", Deletes)])
    assert wanted in (await client.get("/")).headers["set-cookie"]


NO_AGES: list[Any] = ["1_0", "abc", "", " 5", "+5", float("nan"), float("inf"), [], dt.timedelta(1)]
AGES: list[tuple[dict[str, Any], str | None]] = [
    *(({"max_age": age}, "Max-Age=60;") for age in (60, 60.9, "60")),
    ({"max_age": -1}, "Max-Age=-1;"),
    *(({"max_age": age}, None) for age in NO_AGES),
    *(({"expires": time}, None) for time in ("", "tomorrow", 1e30, float("nan"), dt.date(2030, 1, 1))),
    *(({"expires_days": days}, None) for days in (1e10, float("nan"), "1")),
    *(({name: value}, None) for name, value in (("samesite", "a;b"), ("no_such", 1), ("path", "/a\nb"))),
]


@pytest.mark.parametrize("value", ["1", "é"])
@pytest.mark.parametrize(("options", "wanted"), AGES, ids=str)
async def test_a_cookie_is_set_whole_or_not_at_all(
    door: str, open_client: OpenClient, options: dict[str, Any], wanted: str | None, value: str
) -> None:
    class Sets(WebHandler):
        async def get(self) -> None:
            self.set_cookie("kept", "1")
            self.set_cookie("a", "before")
            if wanted is not None:
                self.set_cookie("a", value, **options)
                return
            with pytest.raises((ValueError, CookieError)) as caught:
                self.set_cookie("a", value, **options)
            if isinstance(caught.value, ValueError):
                assert f"{next(iter(options))}={next(iter(options.values()))!r}" in str(caught.value)

    client = await open_client([("/", Sets)])
    response = await client.get("/")
    assert response.status_code == 200, client.errors
    first, second = response.headers.get_list("set-cookie")
    assert first.startswith("kept=1;")
    assert second.startswith("a=before;") if wanted is None else wanted in second


class Cookies(FlashMessageMixIn, WebHandler):
    async def get(self) -> None:
        flashed = self.get_flashed_messages()
        cookies = {name: self.get_cookie(name) for name in ("a", "b")}
        self.write({"flashed": flashed, "signed": str(self.get_signed_cookie("signed")), **cookies})

    async def post(self) -> None:
        self.flash("hello")
        self.set_signed_cookie("signed", "v")


async def test_cookies_in_several_fields_are_all_seen(open_client: OpenClient) -> None:
    client = await open_client([("/", Cookies)], cookie_secret="secret" * 8, xsrf_cookies=False)
    set_cookies = (await client.post("/")).headers.get_list("set-cookie")
    client.cookies.clear()
    headers = [("cookie", line.split(";")[0]) for line in set_cookies]
    response = await client.get("/", headers=[("Cookie", "a=1"), *headers, ("Cookie", "b=2")])
    assert response.json() == {"flashed": [["message", "hello"]], "signed": "b'v'", "a": "1", "b": "2"}


@pytest.mark.parametrize(("size", "is_told"), [(4094, False), (4095, True)])
async def test_a_cookie_that_browsers_drop_is_told(
    open_client: OpenClient, size: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Sets(WebHandler):
        async def get(self) -> None:
            self.set_cookie("ab", "x" * size)

    client = await open_client([("/", Sets)])
    assert "x" * size in (await client.get("/")).headers["set-cookie"]
    assert ("The cookie 'ab' has 4097 bytes" in caplog.text) is is_told
