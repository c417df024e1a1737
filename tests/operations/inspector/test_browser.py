"""The inspector's page in headless Chromium: by keyboard, at two widths, dark and light, whatever a request holds."""

import asyncio
from urllib.parse import quote

import pytest

from tests.operations.inspector.site import Statements, made, project
from tests.services.chromium import Page, chromium
from torngas_aio.testing import TestClient

__all__: list[str] = []

HOSTILE = "<img src=x onerror=alert(1)>"
OVERFLOW = "document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


async def colour(page: Page, width: int, *, is_dark: bool) -> str:
    await page.look(width, 800, is_dark=is_dark)
    found: str = await page.value(BACKGROUND)
    return found


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_page_shows_requests_as_they_come_and_is_used_by_keyboard() -> None:
    application, _ = made()
    with project():
        async with TestClient(application) as client, chromium() as page:
            home = f"http://127.0.0.1:{client.port}"
            await page.look(1280, 800)
            await page.go(f"{home}/-/inspector")
            await page.shows("live", "No request yet")
            await client.get("/post/7?page=2&token=abcdef")
            await page.shows("GET /post/7?page=2&token=••••••••", "1 request")
            await client.get(f"/{quote(HOSTILE)}?x={HOSTILE}")
            await page.shows("2 requests")
            await page.press("j")
            await page.shows("404", "Timeline", HOSTILE.replace("<", "%3C").split(" ")[0][:6])
            await page.press("j")
            await page.shows("Slowest:", "Guard.process_request", "Front.get", "send the answer")
            await page.press("/")
            await page.press("7")
            await page.shows("1 of 2")
            await page.go(f"{home}/-/inspector#/requests/1/log")
            await page.shows("The db_password=•••••••• was asked for.", "WARNING")
            for name, words in {
                "requests/1/route": ["Taken: /post/(\\d+)", "after /post/ it wants 1, the path has 7"],
                "requests/1/request": ["Headers", "Host"],
                "routes": ["11 routes", "never reached: /post/(\\d+) comes first"],
                "pipeline/%2Fpost%2F7": ["Guard.process_response"],
                "state": ["0 open sockets"],
                "requests/99": ["not kept any more"],
            }.items():
                await page.value(f"void (location.hash = '#/{name}')")
                await page.shows(*words)
                for width in (1280, 390):
                    assert await colour(page, width, is_dark=False) != await colour(page, width, is_dark=True)
                    assert not await page.value(OVERFLOW), (name, width)
            assert [complaint for complaint in page.complaints if "404" not in complaint] == []
            assert {address.split("/-/")[0] for address in page.asked if address.startswith("http")} == {home}


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_running_request_is_seen_and_its_view_is_drawn_again_when_it_has_ended() -> None:
    application, _ = made()
    going_on = asyncio.Event()

    class Slow(Statements):
        async def get(self) -> None:
            await going_on.wait()
            self.write("done")

    application.add_handlers(".*", [(r"/slow", Slow)])
    with project():
        async with TestClient(application) as client, chromium() as page, asyncio.TaskGroup() as group:
            group.create_task(client.get("/slow"))
            await page.go(f"http://127.0.0.1:{client.port}/-/inspector#/requests/1")
            await page.shows("running")
            going_on.set()
            await page.shows("200", "Slow.get")
