"""`send_file`: only regular files below the root, whole or in parts, under a name that browsers take."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.handler.conftest import OpenClient
from tests.http.wire import Client
from torngas_aio import ApiHandler, Application, WebHandler
from torngas_aio.handler.downloads import content_disposition
from torngas_aio.handler.static_files import OpenFile
from torngas_aio.testing import TestClient

CONTENT = bytes(range(256)) * 8192  # 2 MiB, sent by the system


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.bin").write_bytes(CONTENT)
    (root / "sub" / "b.txt").write_text("text")
    for name in ("page.html", "image.svg", "image.png", "doc.pdf", "empty.txt", "pack.txt.gz", "odd.xyz9", "x.xhtml"):
        (root / name).write_text("" if name == "empty.txt" else "<script>")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "inner.txt").symlink_to(root / "a.bin")
    (root / "up").symlink_to(tmp_path)
    (root / "same").symlink_to(root / "sub")
    os.mkfifo(root / "pipe")
    return root


def handler_of(root: Path, **options: Any) -> type[WebHandler]:
    class Download(WebHandler):
        async def get(self) -> None:
            await self.send_file(self.get_query_argument("name", strip=False), root=root, **options)

        head = post = get

    return Download


@pytest.fixture(params=["torngas_aio", "tornado"])
async def client(request: pytest.FixtureRequest, root: Path) -> Any:
    routes: list[Any] = [
        ("/", handler_of(root)),
        ("/inline", handler_of(root, inline=True)),
        ("/saved", handler_of(root, inline=False)),
        ("/named", handler_of(root, filename="Überblick\r\n 2026.txt")),
        ("/typed", handler_of(root, content_type="TEXT/HTML", filename="x.png")),
    ]
    async with TestClient(Application(routes), http_server=request.param) as opened:
        yield opened


async def test_a_file_is_sent(client: TestClient) -> None:
    answer = await client.get("/", params={"name": "a.bin"})
    assert answer.status_code == 200
    assert answer.content == CONTENT
    headers = answer.headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == 'attachment; filename="a.bin"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-cache"
    assert headers["content-length"] == str(len(CONTENT))
    assert (await client.get("/", params={"name": "sub/b.txt"})).text == "text"
    assert (await client.get("/", params={"name": "empty.txt"})).content == b""
    head = await client.head("/", params={"name": "a.bin"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(CONTENT)))


NO_FILES = [
    "", ".", "..", "/", "none", "sub", "sub/", "/a.bin", "./a.bin", "sub/../a.bin", "../secret.txt",
    "sub/../../secret.txt",
    "link.txt", "inner.txt", "up/secret.txt", "up/root/a.bin", "same/b.txt", "pipe", "a.bin/", "a.bin/x", "sub//b.txt",
    "a.bin\0", "\0", "a.bin\n", "a\r\n.bin", "\x7f", "a\x85", "x" * 300, "x/" * 3000, "..\\secret.txt", "sub\\b.txt",
    "a.bin\ufffd", "%2e%2e/secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_FILES, ids=lambda name: repr(name[:20]))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_no_file_below_the_root_is_404(client: TestClient, name: str, method: str) -> None:
    answer = await client.request(method, "/", params={"name": name})
    assert answer.status_code == 404
    assert "content-disposition" not in answer.headers


async def test_an_absolute_name_and_a_missing_root_are_404(open_client: OpenClient, root: Path) -> None:
    client = await open_client([("/", handler_of(root)), ("/none", handler_of(root / "none"))])
    assert (await client.get("/", params={"name": str(root / "a.bin")})).status_code == 404
    assert (await client.get("/none", params={"name": "a.bin"})).status_code == 404


async def test_the_root_may_be_a_link(open_client: OpenClient, root: Path) -> None:
    client = await open_client([("/", handler_of(root / "same"))])
    assert (await client.get("/", params={"name": "b.txt"})).text == "text"


async def test_where_folders_cannot_be_opened_paths_are_resolved(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    assert (await client.get("/", params={"name": "sub/b.txt"})).text == "text"
    for name in ("link.txt", "up/secret.txt", "same/b.txt", "none", "pipe"):
        assert (await client.get("/", params={"name": name})).status_code == 404


SIZE = len(CONTENT)


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10), ("bytes=10-", 206, 10, SIZE), ("bytes=-5", 206, SIZE - 5, SIZE),
        (f"bytes=0-{SIZE - 1}", 200, 0, SIZE), (f"bytes=5-{SIZE * 9}", 206, 5, SIZE),
        (f"bytes=-{SIZE * 9}", 200, 0, SIZE),
        ("bytes=0-1,5-6", 200, 0, SIZE), ("bytes=+1-2", 200, 0, SIZE), ("chars=0-9", 200, 0, SIZE),
        (f"bytes={SIZE}-", 416, 0, 0), ("bytes=-0", 416, 0, 0), ("bytes=" + "9" * 5000 + "-", 200, 0, SIZE),
    ],
)  # fmt: skip
async def test_ranges(client: TestClient, wanted: str, status: int, start: int, end: int) -> None:
    answer = await client.get("/", params={"name": "a.bin"}, headers={"Range": wanted})
    assert answer.status_code == status
    assert answer.content == CONTENT[start:end]
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{SIZE}"
    for ignoring in ("POST", "HEAD"):
        whole = await client.request(ignoring, "/", params={"name": "a.bin"}, headers={"Range": wanted})
        assert (whole.status_code, whole.headers["content-length"]) == (200, str(SIZE))


async def test_conditional_requests(client: TestClient, root: Path) -> None:
    first = await client.get("/", params={"name": "a.bin"})
    etag, modified = first.headers["etag"], first.headers["last-modified"]

    async def ask(method: str = "GET", **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, "/", params={"name": "a.bin"}, headers=given)

    for method in ("GET", "HEAD"):
        assert (await ask(method, If_None_Match=etag)).status_code == 304
        assert (await ask(method, If_None_Match=f'"x", W/{etag}')).status_code == 304
        assert (await ask(method, If_Modified_Since=modified)).status_code == 304
    assert (await ask("POST", If_None_Match=etag)).status_code == 200
    assert (await ask(If_None_Match='"other"', If_Modified_Since=modified)).status_code == 200
    for date in ("Mon, 01 Jan 2001 00:00:00 GMT", "junk", "Mon, 99 Jan 2001", "0" * 4000, "Mon, 01 Jan 2001 00:00:00"):
        assert (await ask(If_Modified_Since=date)).status_code == 200
    for validator in (etag, modified):
        assert (await ask(Range="bytes=0-1", If_Range=validator)).status_code == 206
    for validator in (f"W/{etag}", '"old"', "Mon, 01 Jan 2001 00:00:00 GMT"):
        assert (await ask(Range="bytes=0-1", If_Range=validator)).status_code == 200
    (root / "a.bin").write_bytes(b"new")
    answer = await ask(If_None_Match=etag)
    assert (answer.status_code, answer.content) == (200, b"new")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("image.png", True), ("doc.pdf", True), ("sub/b.txt", True), ("page.html", False), ("image.svg", False),
        ("x.xhtml", False), ("a.bin", False), ("odd.xyz9", False), ("pack.txt.gz", False),
    ],
)  # fmt: skip
async def test_what_may_hold_scripts_is_shown_only_when_asked(client: TestClient, name: str, shown: bool) -> None:
    by_default, asked, refused = [
        (await client.get(path, params={"name": name})).headers for path in ("/", "/inline", "/saved")
    ]
    assert by_default["content-disposition"].startswith("inline" if shown else "attachment")
    assert asked["content-disposition"].startswith("inline")
    assert asked.get("content-security-policy") == (None if shown else "sandbox")
    assert refused["content-disposition"].startswith("attachment")


async def test_the_type_decides_not_the_name(client: TestClient) -> None:
    answer = await client.get("/typed", params={"name": "image.png"})
    assert answer.headers["content-disposition"] == 'attachment; filename="x.png"'
    assert answer.headers["content-type"] == "TEXT/HTML"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ("€ rate.txt", "attachment; filename=\"_ rate.txt\"; filename*=UTF-8''%E2%82%AC%20rate.txt"),
        ('a"b.txt', 'attachment; filename="a_b.txt"'),
        ("a\\b/c.txt", 'attachment; filename="a_b_c.txt"'),
        ("a\r\nX: y", 'attachment; filename="a X: y"'),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a'(b)*.txt", 'attachment; filename="a\'(b)*.txt"'),
        ("é'*.txt", "attachment; filename=\"_'*.txt\"; filename*=UTF-8''%C3%A9%27%2A.txt"),
        ("a\u202eb\x00", 'attachment; filename="a_b_"'),
        ("\udcff.txt", 'attachment; filename="_.txt"'),
    ],
)
def test_names_are_encoded(name: str, value: str) -> None:
    assert content_disposition("attachment", name) == value


async def test_a_name_with_line_ends_begins_no_header(client: TestClient) -> None:
    answer = await client.get("/named", params={"name": "a.bin"})
    expected = "inline; filename=\"_berblick 2026.txt\"; filename*=UTF-8''%C3%9Cberblick%202026.txt"
    assert answer.headers["content-disposition"] == expected


async def test_headers_of_the_handler_stay(open_client: OpenClient, root: Path) -> None:
    class Kept(ApiHandler):
        async def get(self) -> None:
            self.set_header("Cache-Control", "public, max-age=60")
            self.set_header("Etag", '"7"')
            self.set_header("Content-Security-Policy", "default-src 'none'")
            return await self.send_file("page.html", root=root, inline=True)

    client = await open_client([("/", Kept)])
    headers = (await client.get("/")).headers
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["content-security-policy"] == "default-src 'none'"
    assert (await client.get("/", headers={"If-None-Match": '"7"'})).status_code == 304


async def test_compression_leaves_downloads_whole(open_client: OpenClient, root: Path) -> None:
    (root / "long.txt").write_text("text" * 5000)
    client = await open_client([("/", handler_of(root))], compress_response=True)
    assert (await client.get("/", params={"name": "long.txt"})).text == "text" * 5000


async def test_a_client_that_leaves_midway_leaves_no_open_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = asyncio.Event()
    close = OpenFile.close

    def close_and_tell(file: OpenFile) -> None:
        close(file)
        closed.set()

    monkeypatch.setattr(OpenFile, "close", close_and_tell)
    (root / "large.bin").write_bytes(b"x" * 20_000_000)
    async with TestClient(Application([("/", handler_of(root))])) as client:
        wire = await Client.connect(("127.0.0.1", client.port))
        async with wire:
            wire.send(b"GET /?name=large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            await wire.reader.readexactly(1000)
        await asyncio.wait_for(closed.wait(), 20)
