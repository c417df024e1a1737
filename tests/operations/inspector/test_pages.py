"""The inspector's own pages over sockets: what they answer, to whom, and what they ask of the browser."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.operations.inspector.site import SECRET, count
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

FILES = {"": "text/html", "/": "text/html", "/inspector.js": "text/javascript", "/inspector.css": "text/css"}


async def test_changes_are_sent_as_they_happen(client: TestClient) -> None:
    async with client.stream("GET", "/-/inspector/events") as answer:
        lines = answer.aiter_lines()

        async def event() -> tuple[str, Any]:
            async with asyncio.timeout(10):
                name = ""
                async for line in lines:
                    if line.startswith("event:"):
                        name = line[7:]
                    elif line.startswith("data:"):
                        return name, json.loads(line[5:])
            raise AssertionError("no event")

        assert await event() == ("all", [])
        await client.get("/")
        status = None
        while status is None:
            name, (summary,) = await event()
            assert (name, summary["url"]) == ("changed", "/")
            status = summary.get("status")
        assert (status, summary["counts"]["log"]) == (200, 2)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_guards_of_the_project_shut_nobody_out_and_own_pages_are_not_recorded(
    client: TestClient, method: str
) -> None:
    answer = await client.request(method, "/-/inspector?no=1")
    assert answer.status_code == (200 if method == "GET" else 405)
    assert (await client.get("/-/inspector/")).status_code == 200
    assert (await client.get("/-/inspector/nothing")).status_code == 404
    assert await count(client) == 0
    assert (await client.get("/?no=1")).status_code == 403


@pytest.mark.parametrize("number", ["2", "0", "-1", "x", "9" * 30, "1/2", "%00"])
async def test_a_request_that_is_not_kept_is_answered_404(client: TestClient, number: str) -> None:
    await client.get("/")
    assert (await client.get(f"/-/inspector/requests/{number}")).status_code == 404


@pytest.mark.parametrize("path", FILES)
async def test_the_page_works_under_a_strict_policy_and_asks_nobody_else(client: TestClient, path: str) -> None:
    answer = await client.get(f"/-/inspector{path}")
    assert answer.headers["content-type"] == f"{FILES[path]}; charset=UTF-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    if path == "":
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert "<script src=" in answer.text
        assert answer.text.count("<script") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "127.0.0.1"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "localhost@evil.example"},
        {"Host": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["", "/inspector.js", "/events", "/requests/1", "/routes", "/state", "/pipeline?of=/"])
async def test_who_may_not_see_it_gets_the_applications_404(
    client: TestClient, headers: dict[str, str], path: str
) -> None:
    await client.get("/")
    with settings.override(TRUSTED_PROXY_HEADERS=("CF-Connecting-IP",)):
        answer = await client.get(f"/-/inspector{path}", headers=headers)
    assert answer.status_code in {400, 404}
    assert "hunter2" not in answer.text
    assert "started_at" not in answer.text


@pytest.mark.parametrize("is_debug", [True, False])
def test_without_debug_nothing_of_it_is_loaded(is_debug: bool, tmp_path: Path) -> None:
    script = f"""
import sys
from torngas_aio.settings_manager import settings
settings.configure(DEBUG={is_debug}, TORNADO_CONF={{"cookie_secret": "{SECRET}"}})
from torngas_aio.webserver.building import build_application
made = build_application(None, [])
names = ("inspector", "observ", "calls")
loaded = [name for name in sys.modules if name.startswith("torngas_aio.operations.") and any(map(name.count, names))]
print("inspector" if loaded else "none", "serve_request" in vars(made))
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == (["inspector", "True"] if is_debug else ["none", "False"]), found.stderr
