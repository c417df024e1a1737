"""The blog in a real browser: headless Chromium, driven through chromedriver's WebDriver interface."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.examples.serving import served
from tests.polling import until
from tests.services.process import free_port

PASSWORD = "only for this test"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync"
)


class Browser:
    """A window of the browser."""

    def __init__(self, client: httpx2.AsyncClient, session: str, home: str) -> None:
        self._client = client
        self._session = session
        self._home = home

    async def call(self, path: str, **body: Any) -> Any:
        answer = await self._client.post(f"/session/{self._session}/{path}", json=body)
        return answer.raise_for_status().json()["value"]

    async def go(self, path: str) -> None:
        await self.call("url", url=self._home + path)

    async def element(self, css: str) -> str:
        found: dict[str, str] = await self.call("element", using="css selector", value=css)
        return next(iter(found.values()))

    async def type(self, css: str, text: str) -> None:
        await self.call(f"element/{await self.element(css)}/value", text=text)

    async def click(self, css: str) -> None:
        await self.call(f"element/{await self.element(css)}/click")

    async def shows(self, *words: str) -> None:
        """Return once the page shows all of *words*."""

        async def is_so() -> bool:
            text = await self.call("execute/sync", script="return document.body.innerText", args=[])
            return all(word in text for word in words)

        await until(is_so)


@asynccontextmanager
async def browser(home: str) -> AsyncIterator[Browser]:
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("chromedriver is not installed (Debian: chromium-driver)")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        driver, f"--port={port}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        with tempfile.TemporaryDirectory() as profile:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                options = {"args": [*FLAGS.split(), f"--user-data-dir={profile}"]}
                wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
                session = (await opened(client, wanted))["sessionId"]
                yield Browser(client, session, home)
                await client.delete(f"/session/{session}")
    finally:
        process.kill()
        await process.wait()


async def opened(client: httpx2.AsyncClient, wanted: dict[str, Any]) -> Any:
    async def answer() -> Any:
        return (await client.post("/session", json=wanted)).raise_for_status().json()["value"]

    return await until(answer, 60, accepts=(httpx2.ConnectError,))


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_an_author_writes_pages_through_and_logs_out_in_a_browser(tmp_path: Path) -> None:
    environment = {"BLOG_SQLITE": str(tmp_path / "blog.db"), "BLOG_ADMIN_PASSWORD": PASSWORD}
    async with served("blog", **environment) as client, browser(str(client.base_url)) as window:
        await window.go("/admin/new")
        await window.shows("Authors only")
        await window.type("[name=name]", "admin")
        await window.type("[name=password]", PASSWORD)
        await window.click("main button")
        await window.shows("Welcome, admin")
        for number in range(1, 8):
            await window.go("/admin/new")
            await window.type("[name=title]", f"Post {number}")
            await window.type("[name=text]", "Typed by hand, <b>escaped</b>.")
            await window.click("main button")
            await window.shows("Saved.", "<b>escaped</b>")
        await window.go("/")
        await window.shows("Post 7", "Older")
        await window.click("a[rel=next]")
        await window.shows("Post 1", "Newer")
        await window.click("#logout")
        await window.shows("See you soon", "Log in")
        await window.go("/admin")
        await window.shows("Authors only")
