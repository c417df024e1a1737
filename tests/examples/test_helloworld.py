"""The demo of torngas 1.8: pages, modules turned on and off, an API, flash messages, an error page; on both servers."""

import pytest

from tests.examples.serving import served, token

pytestmark = pytest.mark.parametrize("door", ["torngas_aio", "tornado"])


async def test_a_visitor_becomes_a_member_and_writes(door: str) -> None:
    async with served("helloworld", "--settings=settings.setting", f"--http_server={door}") as client:
        front = await client.get("/")
        assert "Hello!" in front.text
        assert front.headers["content-language"] == "en"
        assert "total;dur=" in front.headers["server-timing"]

        guarded = await client.get("/guestbook/")
        assert (guarded.status_code, guarded.headers["location"]) == (302, "/login/")
        assert "Members only" in (await client.get("/login")).text

        answer = await client.post("/login", data={"name": "Ann", "_xsrf": await token(client, "/login")})
        assert answer.headers["location"] == "/guestbook/"
        book = await client.get("/guestbook/")
        assert "Welcome back, Ann!" in book.text
        assert "Welcome back, Ann!" not in (await client.get("/guestbook/")).text

        form = {"text": "<b>bold</b>", "_xsrf": await token(client, "/guestbook/")}
        await client.post("/guestbook/", data=form)
        assert "&lt;b&gt;bold&lt;/b&gt;" in (await client.get("/guestbook/1")).text
        assert (await client.get("/guestbook/2")).status_code == 404

        china = await client.get("/china")
        assert "你好, china!" in china.text
        assert china.headers["content-language"] == "zh"


async def test_the_api_has_its_own_modules(door: str) -> None:
    async with served("helloworld", "--settings=settings.setting", f"--http_server={door}") as client:
        found = await client.get("/api/greetings/bob", params={"language": "de"})
        assert found.json()["greeting"] == "Guten Tag, bob!"
        assert found.headers["cache-control"] == "no-store"
        assert "content-language" not in found.headers

        script = await client.get("/api/greetings/bob?format=jsonp&callback=app.greet")
        assert script.text.startswith("/**/app.greet({")
        assert (await client.get("/api/greetings/bob?format=jsonp&callback=alert(1)")).status_code == 400

        missing = await client.get("/api/greetings/bob?language=xx")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert missing.json()["status"] == 404


async def test_errors_show_the_inside_with_debug_on_only(door: str) -> None:
    arguments = (f"--http_server={door}",)
    html = {"Accept": "text/html"}
    async with served("helloworld", "--settings=settings.setting", *arguments) as client:
        await client.post("/login", data={"name": "Ann", "_xsrf": await token(client, "/login")})
        page = await client.get("/trouble", headers=html)
        assert page.status_code == 500
        assert "KeyError" in page.text
        assert "MembersOnlyModule.begin_request" in page.text
    secret = {"HELLO_COOKIE_SECRET": "a secret of 32 characters or more"}
    async with served("helloworld", "--settings=settings.setting_online", *arguments, **secret) as client:
        page = await client.get("/no/such/page", headers=html)
        assert page.status_code == 404
        assert "We could not find that page." in page.text
        assert "Traceback" not in page.text
