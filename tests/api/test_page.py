"""The page that shows the OpenAPI document: complete, from this site only, and nothing else of its package."""

import re
from typing import Any

import pytest

from torngas_aio import Application
from torngas_aio.api import page
from torngas_aio.middleware.security import SecurityHeadersMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.fixture
async def client() -> Any:
    class Strict(SecurityHeadersMiddleware):
        def __init__(self) -> None:
            super().__init__({"Content-Security-Policy": "default-src 'none'"})

    async with TestClient(Application(page.page_rules(), middlewares=[Strict])) as opened:
        yield opened


async def test_everything_on_the_page_is_of_this_site(client: TestClient) -> None:
    with settings.override(OPENAPI={"title": "<A & B>", "path": '/"api".json'}):
        shown = await client.get("/-/docs/")
    assert "<title>&lt;A &amp; B&gt;</title>" in shown.text
    assert 'data-url="/&quot;api&quot;.json"' in shown.text
    names = re.findall(r'(?:src|href)="([^"]*)"', shown.text)
    assert len(names) == 4
    for name in names:
        found = await client.get(f"/-/docs/{name}")
        assert found.status_code == 200
        assert found.content
        assert found.headers["x-content-type-options"] == "nosniff"
    policy = shown.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert not re.search(r"unsafe|\*|https?:", policy)
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", shown.text)


async def test_the_version_shows_openapi_3_1(client: TestClient) -> None:
    script = (await client.get("/-/docs/swagger-ui-bundle.js")).text
    version = re.search(r'PACKAGE_VERSION:"(\d+)\.', script)
    assert version is not None
    assert int(version[1]) >= 5


async def test_an_unchanged_file_is_not_sent_again(client: TestClient) -> None:
    first = await client.get("/-/docs/swagger-ui.css")
    again = await client.get("/-/docs/swagger-ui.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["swagger-editor.js", "LICENSE", "..", "..%2f__init__.py", "x", "start.js.map", "a/b"])
async def test_other_files_of_the_package_are_404(client: TestClient, name: str) -> None:
    assert (await client.get(f"/-/docs/{name}")).status_code == 404


async def test_the_address_without_its_slash_leads_there(client: TestClient) -> None:
    answer = await client.get("/-/docs", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/-/docs/")
    assert (await client.head("/-/docs/")).status_code == 200


@pytest.mark.parametrize(("path", "asked"), [("/api", "/api/"), ("/a.b/", "/a.b/start.js"), ("/", "/start.js")])
async def test_the_page_has_the_address_of_the_settings(path: str, asked: str) -> None:
    with settings.override(OPENAPI={"page": path}):
        rules = page.page_rules()
    async with TestClient(Application(rules)) as client:
        assert (await client.get(asked)).status_code == 200
        assert (await client.get("/aXb/start.js")).status_code == 404


def test_without_the_package_or_an_address_there_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    with settings.override(OPENAPI={"page": None}):
        assert page.page_rules() == []
    monkeypatch.setattr(page, "_static_folder", lambda: None)
    assert page.page_rules() == []
