"""Headers that were kept with a file are those that would be set for each request."""

import asyncio
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.handler import StaticFileHandler
from torngas_aio.testing import TestClient

CONTENT = b"body { color: red }\n" * 50
REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "", {}),
    ("HEAD", "", {}),
    ("GET", "?v=1", {}),
    ("GET", "?w=1&v=", {}),
    ("GET", "?other=v", {}),
    ("GET", "", {"Accept-Encoding": "gzip"}),
    ("GET", "?v=1", {"Accept-Encoding": "gzip"}),
    ("GET", "", {"Accept-Encoding": "identity"}),
    ("GET", "", {"Range": "bytes=1-3"}),
    ("GET", "", {"Range": "bytes=1-3", "Accept-Encoding": "gzip"}),
    ("GET", "", {"Range": "bytes=5000-"}),
    ("GET", "", {"If-None-Match": "<etag>"}),
    ("GET", "", {"If-None-Match": 'W/"other", <etag>'}),
    ("GET", "", {"If-None-Match": "*", "Accept-Encoding": "gzip"}),
    ("HEAD", "", {"If-None-Match": "<etag>"}),
    ("GET", "", {"If-Modified-Since": "<date>"}),
    ("GET", "", {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}),
]


class EachTime(StaticFileHandler):
    """Sets each header by itself: it might do something else here."""

    def set_extra_headers(self, path: str) -> None:
        super().set_extra_headers(path)


class Varies:
    async def process_request(self, handler: Any, clear: Callable[[], None]) -> None:
        handler.set_header("Vary", "Origin")
        handler.set_header("Content-Language", "en")


class Adds:
    async def process_request(self, handler: Any, clear: Callable[[], None]) -> None:
        handler.add_header("Link", "</a>; rel=preload")
        handler.add_header("Content-Language", "en")
        handler.set_cookie("seen", "1")


class Looks:
    async def process_request(self, handler: Any, clear: Callable[[], None]) -> None:
        handler._headers["X-Full"] = "1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.css", "page.html"):
        (tmp_path / name).write_bytes(CONTENT)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(CONTENT))
    (tmp_path / "alone.txt").write_bytes(CONTENT)
    for path in tmp_path.iterdir():
        os.utime(path, (1_700_000_000.75, 1_700_000_000.75))
    return tmp_path


async def answers(client: TestClient, prefix: str, name: str) -> list[Any]:
    first = (await client.get(f"{prefix}{name}")).headers
    found: list[Any] = []
    for method, query, asked in REQUESTS:
        headers = {
            key: text.replace("<etag>", first["Etag"]).replace("<date>", first["Last-Modified"])
            for key, text in asked.items()
        }
        async with client.stream(method, f"{prefix}{name}{query}", headers=headers) as answer:
            content = b"".join([part async for part in answer.aiter_raw()])
        fields = [(key, text) for key, text in answer.headers.multi_items() if key not in ("date", "expires")]
        found.append((method, query, headers, answer.status_code, sorted(fields), content))
    return found


@pytest.mark.parametrize("name", ["a.css", "page.html", "alone.txt"])
@pytest.mark.parametrize("middlewares", [[], [Varies], [Adds], [Looks]])
async def test_every_request_has_the_same_headers(name: str, middlewares: list[Any], folder: Path) -> None:
    await asyncio.sleep(0.03)  # a file that has just changed is not kept: two changes may leave the same times
    routes = [
        ("/kept/(.*)", StaticFileHandler, {"path": str(folder)}),
        ("/each/(.*)", EachTime, {"path": str(folder)}),
    ]
    async with TestClient(Application(routes, middlewares=middlewares)) as client:
        kept, each = [await answers(client, prefix, name) for prefix in ("/kept/", "/each/")]
    assert kept == each


async def test_a_file_that_changes_has_its_new_headers_at_once(folder: Path) -> None:
    path = folder / "a.css"
    await asyncio.sleep(0.03)
    async with TestClient(Application([("/(.*)", StaticFileHandler, {"path": str(folder)})])) as client:
        before = [(await client.get("/a.css")).headers for _ in range(3)]
        path.write_bytes(CONTENT + b"x")
        after = (await client.get("/a.css")).headers
    assert before[0]["Etag"] == before[2]["Etag"] != after["Etag"]
    assert before[2]["Last-Modified"] != after["Last-Modified"]


@pytest.mark.parametrize(
    "name",
    [
        *("compute_etag", "get_absolute_path", "get_cache_time", "get_content_size", "get_content_type"),
        *("get_modified_time", "parse_url_path", "set_etag_header", "set_extra_headers", "set_header", "set_headers"),
        *("set_status", "should_return_304", "validate_absolute_path"),
    ],
)
@pytest.mark.parametrize("is_conditional", [False, True])
async def test_an_overridden_method_is_called_for_each_request(name: str, is_conditional: bool, folder: Path) -> None:
    calls: list[str] = []
    own = getattr(StaticFileHandler, name)

    def override(self: Any, *args: Any) -> Any:
        calls.append(name)
        return own(*args) if hasattr(own, "__self__") else own(self, *args)

    await asyncio.sleep(0.03)
    handler = type("Own", (StaticFileHandler,), {name: classmethod(override) if hasattr(own, "__self__") else override})
    async with TestClient(Application([("/(.*)", handler, {"path": str(folder)})])) as client:
        first = await client.get("/a.css")
        asked = {"If-None-Match": first.headers["Etag"]} if is_conditional else {"Range": "bytes=0-3"}
        counts: list[int] = []
        for _ in range(3):
            calls.clear()
            assert (await client.get("/a.css", headers=asked)).status_code == (304 if is_conditional else 206)
            counts.append(len(calls))
    has_size = name != "get_content_size" or not is_conditional  # a 304 needs no size
    assert counts == [counts[0]] * 3
    assert bool(counts[0]) is has_size


@pytest.mark.parametrize("pattern", ["/(.*)", "/(?P<path>.*)"])
async def test_a_path_that_is_not_utf_8_names_no_file_and_an_argument_is_a_bad_request(
    pattern: str, folder: Path
) -> None:
    class Argued(StaticFileHandler):
        async def get(self, path: str, include_body: bool = True) -> None:
            self.get_query_argument("a")
            await super().get(path, include_body)

    async with TestClient(Application([(pattern, Argued, {"path": str(folder)})])) as client:
        assert (await client.get("/%ff?a=1")).status_code == 404
        assert (await client.get("/a.css?a=%ff")).status_code == 400
        assert (await client.get("/a.css?a=1")).status_code == 200
