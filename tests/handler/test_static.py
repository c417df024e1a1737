"""Static files: names that are none, If-Range, files that change; and compression."""

import gc
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.handler.conftest import OpenClient
from tests.http.wire import Client
from torngas_aio.handler import StaticFileHandler, WebHandler

CONTENT = "0123456789" * 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text(CONTENT)
    (tmp_path / "small.txt").write_text("small")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("index")
    return tmp_path


def route(folder: Path) -> Any:
    return ("/s/(.*)", StaticFileHandler, {"path": str(folder), "default_filename": "index.html"})


NO_FILES = [
    "a.txt%00", "%00", "a%00/b.txt", "sub/%00", "a.txt/", "a.txt//", "a.txt/.", "a.txt/x/..", "a.txt/x",
    "x" * 300, "x" * 300 + "/y", "sub/" + "y/" * 3000, "%ed%a0%80", "%ff", "a.txt%fe", "sub/index.html/", "nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", NO_FILES, ids=lambda path: path[:20])
async def test_what_names_no_file_is_404(open_client: OpenClient, folder: Path, path: str) -> None:
    client = await open_client([route(folder)])
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        answer = await wire.ask(f"GET /s/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.status == 404


@pytest.mark.parametrize(("error", "status"), [(PermissionError, 403), (FileNotFoundError, 404)])
async def test_a_file_that_cannot_be_opened_any_more(
    open_client: OpenClient, folder: Path, error: type[OSError], status: int
) -> None:
    class Unreadable(StaticFileHandler):
        @classmethod
        def get_content(cls, *args: Any, **kwargs: Any) -> Any:
            raise error("no")

    client = await open_client([("/s/(.*)", Unreadable, {"path": str(folder)})])
    assert (await client.get("/s/a.txt")).status_code == status


async def test_what_names_a_file_is_answered(open_client: OpenClient, folder: Path) -> None:
    client = await open_client([route(folder)], static_path=str(folder))
    assert (await client.get("/s/a.txt")).text == CONTENT
    assert (await client.get("/s/sub/")).text == "index"
    assert (await client.get("/s/sub")).headers["location"] == "/s/sub/"


@pytest.mark.parametrize("asked", ["same", "other", "weak", "same date", "older", "newer", "junk", "none"])
async def test_if_range(open_client: OpenClient, folder: Path, asked: str) -> None:
    os.utime(folder / "a.txt", (1_700_000_000, 1_700_000_000))
    client = await open_client([route(folder)])
    whole = await client.get("/s/a.txt")
    validators = {
        "same": whole.headers["etag"], "other": '"other"', "weak": f"W/{whole.headers['etag']}",
        "same date": whole.headers["last-modified"], "older": "Tue, 14 Nov 2023 22:13:19 GMT",
        "newer": "Tue, 14 Nov 2023 22:13:21 GMT", "junk": "yesterday",
    }  # fmt: skip
    headers = {"Range": "bytes=2-5"} | ({"If-Range": validators[asked]} if asked in validators else {})
    response = await client.get("/s/a.txt", headers=headers)
    if asked in {"same", "same date", "none"}:
        assert (response.status_code, response.text) == (206, "2345")
    else:
        assert (response.status_code, response.text) == (200, CONTENT)
        assert "content-range" not in response.headers


@pytest.mark.parametrize("how", ["written", "replaced", "same size", "same time"])
async def test_a_changed_file_gets_its_new_etag_at_once(open_client: OpenClient, folder: Path, how: str) -> None:
    class Page(WebHandler):
        async def get(self) -> None:
            self.write(self.static_url("a.txt"))

    client = await open_client([("/page", Page)], static_path=str(folder), static_url_prefix="/s/")
    before = await client.get("/s/a.txt")
    url = (await client.get("/page")).text
    time = (folder / "a.txt").stat().st_mtime_ns
    new = "9" * len(CONTENT) if how == "same size" else "new"
    target = folder / ("b.txt" if how in {"replaced", "same time"} else "a.txt")
    target.write_text(new)
    if how == "same time":
        os.utime(target, ns=(time, time))
    if target.name == "b.txt":
        target.replace(folder / "a.txt")
    after = await client.get("/s/a.txt", headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.text) == (200, new)
    assert after.headers["etag"] != before.headers["etag"]
    assert (await client.get("/page")).text != url
    assert (await client.get("/s/a.txt", headers={"If-None-Match": after.headers["etag"]})).status_code == 304


async def test_a_part_is_not_compressed(open_client: OpenClient, folder: Path) -> None:
    client = await open_client([route(folder)], compress_response=True)
    headers = {"Range": "bytes=0-2999", "Accept-Encoding": "gzip"}
    response = await client.get("/s/a.txt", headers=headers)
    assert (response.status_code, response.text) == (206, CONTENT[:3000])
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == "3000"


@pytest.mark.parametrize("name", ["a.txt", "small.txt"])
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_head_is_answered_as_get(open_client: OpenClient, folder: Path, name: str, accepted: str) -> None:
    client = await open_client([route(folder)], compress_response=True)
    got = await client.get(f"/s/{name}", headers={"Accept-Encoding": accepted})
    head = await client.head(f"/s/{name}", headers={"Accept-Encoding": accepted})
    assert (head.status_code, head.content) == (200, b"")
    left_out = {"date", "content-length"}
    pairs = [{k: v for k, v in each.headers.items() if k not in left_out} for each in (got, head)]
    assert pairs[0] == pairs[1]
    assert head.headers.get("content-length") in {None, got.headers["content-length"]}
    assert ("content-encoding" in head.headers) == (accepted == "gzip" and name == "a.txt")


async def test_a_compressed_answer_that_never_ends_leaves_no_error(open_client: OpenClient) -> None:
    """Python 3.12 and later write the end of an abandoned gzip file when it is collected, and may not any more."""

    class Endless(WebHandler):
        async def get(self) -> None:
            self.set_header("Content-Type", "text/plain")
            self.write("x" * 5000)
            await self.flush()
            self.circle = self  # found by the collector, in any order
            raise RuntimeError("cut")

    client = await open_client([("/", Endless)], compress_response=True)
    with pytest.raises(httpx2.TransportError):
        await client.get("/", headers={"Accept-Encoding": "gzip"})
    gc.collect()  # an error there would fail this test


ACCEPTED = [
    ("gzip", True), ("gzip;q=0", False), ("gzip; q=0.0", False), ("gzip;q=0.000, identity", False),
    ("deflate, gzip;q=0.5", True), ("*", True), ("*;q=0", False), ("gzip;q=0, *", False), ("GZIP", True),
    ("x-gzip", True), ("", False), ("identity", False), ("gzipped", False), ("gzip;q=2", False), ("br", False),
]  # fmt: skip


@pytest.mark.parametrize(("accepted", "is_compressed"), ACCEPTED)
async def test_accept_encoding_decides(
    open_client: OpenClient, folder: Path, accepted: str, is_compressed: bool
) -> None:
    client = await open_client([route(folder)], compress_response=True)
    response = await client.get("/s/a.txt", headers={"Accept-Encoding": accepted})
    assert response.text == CONTENT
    assert ("content-encoding" in response.headers) == is_compressed
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["etag"].startswith("W/") == is_compressed
    again = await client.get("/s/a.txt", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["none.txt", "../none.txt", "a\0b"])
def test_the_url_of_a_file_that_is_missing_is_told_once(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert StaticFileHandler.make_static_url({"static_path": str(tmp_path)}, name) == f"/static/{name}"
    assert [record.args for record in caplog.records] == [(name, str(tmp_path))]
