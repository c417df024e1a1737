"""A headless Chromium, driven through the DevTools protocol. Begin with `chromium`."""

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.polling import until

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --hide-scrollbars --remote-debugging-port=0"
)


class Page:
    """A tab.

    Attributes:
        complaints: Errors in the page's console: uncaught exceptions, violations of its security policy.
        asked: URLs that it has requested.
    """

    def __init__(self, socket: Any) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        async with asyncio.timeout(30):
            return await answer

    async def read(self) -> None:
        """Dispatch the browser's messages until its connection closes."""
        async for text in self._socket:
            message = json.loads(text)
            params = message.get("params", {})
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message.get("result", message.get("error")))
            elif message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
            elif message["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                self.complaints.append(params["entry"]["text"])
            elif message["method"] == "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])

    async def look(self, width: int, height: int, *, is_dark: bool = False) -> None:
        """Set the size of the viewport, in pixels, and the colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[feature])

    async def go(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def value(self, script: str) -> Any:
        """Return the value of a JavaScript expression; promises are awaited."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def shows(self, *words: str) -> None:
        """Return once the page shows all of *words*."""
        text = ""

        async def is_so() -> bool:
            nonlocal text
            text = await self.value("document.body ? document.body.innerText : ''")
            return all(word in text for word in words)

        try:
            await until(is_so, 20)
        except TimeoutError:
            raise AssertionError(f"{words} do not appear in:\n{text}\n{self.complaints}") from None

    async def press(self, key: str) -> None:
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """Return a screenshot as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """Yield a tab of a new browser with a temporary profile."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed (Debian: chromium)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port, path = await _address(Path(profile, "DevToolsActivePort"))
            async with websockets.connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
                page = await _tab(socket, port)
                async with page:
                    yield page.page
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class _Tab:
    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> "_Tab":
        self._socket = await websockets.connect(self._url, max_size=None, proxy=None)
        self.page = Page(self._socket)
        self._reading = asyncio.create_task(self.page.read())
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.page.call(f"{domain}.enable")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._reading


async def _tab(socket: Any, port: str) -> _Tab:
    await socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    found = json.loads(await socket.recv())["result"]["targetInfos"]
    target = next(each["targetId"] for each in found if each["type"] == "page")
    return _Tab(f"ws://127.0.0.1:{port}/devtools/page/{target}")


async def _address(file: Path) -> tuple[str, str]:
    await until(lambda: file.exists() and len(file.read_text().split()) >= 2, 60)
    lines = file.read_text().split()
    return lines[0], lines[1]
