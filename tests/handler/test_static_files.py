"""Static files from memory and by `sendfile`: what is kept, codings beside a file, files that change meanwhile."""

import asyncio
import gzip
import os
import socket
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.handler.conftest import BIG, SMALL, OpenClient, settle
from tests.http.wire import Client
from tests.polling import until
from torngas_aio.exception import ConfigError
from torngas_aio.handler import StaticFileHandler
from torngas_aio.handler.compression import accepted_codings
from torngas_aio.handler.static_files import FileCache, StaticFile


def route(folder: Path, **keywords: Any) -> Any:
    return ("/s/(.*)", StaticFileHandler, {"path": str(folder), **keywords})


@pytest.fixture
def thread_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what worker threads were asked to do."""
    calls: list[str] = []
    run_sync = anyio.to_thread.run_sync

    async def counted(function: Any, *args: Any, **keywords: Any) -> Any:
        asked = args[0] if function.__name__ == "_guarded" else function  # `run_in_thread`'s
        calls.append(getattr(asked, "__name__", "?"))
        return await run_sync(function, *args, **keywords)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
    return calls


async def settled() -> None:
    await asyncio.sleep(0.05)  # longer than a tick of the file system's clock


async def test_a_kept_file_needs_no_thread(open_client: OpenClient, folder: Path, thread_calls: list[str]) -> None:
    await settled()
    client = await open_client([route(folder)])
    first = await client.get("/s/a.txt")
    thread_calls.clear()
    assert (await client.get("/s/a.txt")).headers["etag"] == first.headers["etag"]
    assert (await client.get("/s/a.txt", headers={"Range": "bytes=2-5"})).content == SMALL[2:6]
    assert (await client.head("/s/a.txt")).headers["content-length"] == str(len(SMALL))
    assert (await client.get("/s/a.txt", headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    assert thread_calls == []


async def test_a_big_file_is_not_read_for_304_or_head(
    open_client: OpenClient, folder: Path, thread_calls: list[str]
) -> None:
    await settled()
    client = await open_client([route(folder)])
    first = await client.get("/s/big.bin")
    assert first.content == BIG
    thread_calls.clear()
    assert (await client.get("/s/big.bin", headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    since = {"If-Modified-Since": first.headers["last-modified"]}
    assert (await client.get("/s/big.bin", headers=since)).status_code == 304
    assert (await client.head("/s/big.bin")).headers["content-length"] == str(len(BIG))
    assert thread_calls == []


@pytest.mark.parametrize("in_threads", [False, True])
@pytest.mark.parametrize("name", ["a.txt", "big.bin"])
async def test_in_threads_every_look_is_a_threads(
    open_client: OpenClient, folder: Path, thread_calls: list[str], name: str, in_threads: bool
) -> None:
    await settled()
    client = await open_client([route(folder)], static_in_threads=in_threads)
    content = (folder / name).read_bytes()
    assert (await client.get(f"/s/{name}")).content == content
    thread_calls.clear()
    assert (await client.get(f"/s/{name}", headers={"Range": "bytes=7-"})).content == content[7:]
    assert ("_look_up" in thread_calls) == in_threads


async def test_nothing_is_kept_with_a_cache_of_no_bytes(open_client: OpenClient, folder: Path) -> None:
    await settled()
    client = await open_client([route(folder)], static_cache_bytes=0)
    for _ in range(2):
        assert (await client.get("/s/a.txt")).content == SMALL


@pytest.mark.parametrize("size", [-1, "1", None, 1.5, True])
async def test_a_size_that_is_none_is_refused(open_client: OpenClient, size: Any) -> None:
    with pytest.raises(ConfigError, match="static_cache_bytes"):
        await open_client([], static_cache_bytes=size)


def test_the_cache_is_bounded_in_bytes(tmp_path: Path) -> None:
    cache = FileCache(100_000)
    for number in range(50):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * 1_000)
        cache.keep(number, StaticFile.read(str(path), cache.max_content))
        assert cache.used_bytes <= 100_000
    assert cache.get(0) is None
    assert cache.get(49) is not None
    cache.keep(49, StaticFile.read(str(tmp_path / "1"), cache.max_content))
    kept = cache.used_bytes
    cache.keep(49, StaticFile.read(str(tmp_path / "2"), cache.max_content))
    assert cache.used_bytes == kept
    cache.clear()
    assert cache.used_bytes == 0


def test_a_file_in_use_outlives_those_that_are_not(tmp_path: Path) -> None:
    cache = FileCache(100_000)
    (tmp_path / "a").write_bytes(b"x" * 1_000)
    for number in range(200):
        cache.keep(number, StaticFile.read(str(tmp_path / "a"), cache.max_content))
        assert cache.get(0) is not None
    assert cache.get(1) is None
    assert cache.used_bytes <= 100_000


async def test_roundabout_names_are_not_kept(open_client: OpenClient, folder: Path) -> None:
    (folder / "sub").mkdir()
    await settled()
    client = await open_client([route(folder)])
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        for path in ("sub/../a.txt", "./a.txt", "sub/.././a.txt"):
            answer = await wire.ask(f"GET /s/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (answer.status, answer.body) == (200, SMALL)
    assert client.application.static_files.used_bytes == 0


async def test_a_folder_is_redirected_though_its_page_is_kept(open_client: OpenClient, folder: Path) -> None:
    (folder / "index.html").write_text("index")
    await settled()
    client = await open_client(
        [("/s/?(.*)", StaticFileHandler, {"path": str(folder), "default_filename": "index.html"})]
    )
    for _ in range(2):
        assert (await client.get("/s/")).text == "index"
        assert (await client.get("/s")).headers["location"] == "/s/"


# Files that change


@pytest.mark.parametrize("name", ["a.txt", "big.bin"])
@pytest.mark.parametrize("change", ["written", "replaced", "removed", "unreadable", "folder", "same size and time"])
async def test_a_kept_file_that_changes(open_client: OpenClient, folder: Path, name: str, change: str) -> None:
    await settled()
    client = await open_client([route(folder)])
    path = folder / name
    first = await client.get(f"/s/{name}")
    new = b"9" * len(first.content)
    if change == "written":
        path.write_bytes(new)
    elif change == "removed":
        path.unlink()
    elif change == "unreadable":
        path.chmod(0)
    elif change == "folder":
        path.unlink()
        path.mkdir()
    else:
        (folder / "other").write_bytes(new)
        if change == "same size and time":
            settle(folder / "other")
        (folder / "other").replace(path)
    response = await client.get(f"/s/{name}", headers={"If-None-Match": first.headers["etag"]})
    if change == "removed":
        assert response.status_code == 404
    elif change == "folder":
        assert response.status_code == 403
    elif change == "unreadable":
        assert response.status_code == (304 if os.geteuid() == 0 else 403)
    else:
        assert (response.status_code, response.content) == (200, new)
        assert response.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("where", ["file", "folder"])
async def test_a_kept_name_that_becomes_a_link_out_is_refused(
    open_client: OpenClient, tmp_path: Path, folder: Path, where: str
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b.txt").write_text("secret")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("public")
    await settled()
    client = await open_client([route(folder)])
    assert (await client.get("/s/sub/b.txt")).text == "public"
    (folder / "sub" / "b.txt").unlink()
    if where == "file":
        (folder / "sub" / "b.txt").symlink_to(tmp_path / "secret" / "b.txt")
    else:
        (folder / "sub").rmdir()
        (folder / "sub").symlink_to(tmp_path / "secret")
    assert (await client.get("/s/sub/b.txt")).status_code == 403


async def test_a_link_that_turns_to_another_file(open_client: OpenClient, folder: Path) -> None:
    (folder / "one").write_text("one")
    (folder / "two").write_text("two")
    (folder / "current").symlink_to("one")
    await settled()
    client = await open_client([route(folder)])
    assert (await client.get("/s/current")).text == "one"
    (folder / "next").symlink_to("two")
    (folder / "next").replace(folder / "current")
    assert (await client.get("/s/current")).text == "two"


async def test_a_big_file_replaced_before_it_is_opened(
    open_client: OpenClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled()
    client = await open_client([route(folder)])
    etag = (await client.get("/s/big.bin")).headers["etag"]
    opened = StaticFileHandler._open
    new = b"new" * 700_000
    (folder / "other").write_bytes(new)

    def replace_before(handler: Any, span: Any) -> Any:
        (folder / "other").replace(folder / "big.bin")
        return opened(handler, span)

    monkeypatch.setattr(StaticFileHandler, "_open", replace_before)
    response = await client.get("/s/big.bin")
    assert response.content == new
    assert response.headers.get("etag") != etag


@pytest.mark.parametrize("is_framed", ["whole", "range"])
async def test_a_file_cut_short_while_it_is_sent_breaks_the_answer_off(
    open_client: OpenClient, folder: Path, is_framed: str, caplog: pytest.LogCaptureFixture
) -> None:
    size = 40_000_000
    with (folder / "huge").open("wb") as file:
        file.truncate(size)
    client = await open_client([route(folder)])
    loop = asyncio.get_running_loop()
    with slow_socket(client.port) as sock:
        span = f"Range: bytes=5-{size - 2}\r\n" if is_framed == "range" else ""
        await loop.sock_sendall(sock, f"GET /s/huge HTTP/1.1\r\nHost: a\r\n{span}\r\n".encode())
        assert (await loop.sock_recv(sock, 1000)).startswith(b"HTTP/1.1 20")
        os.truncate(folder / "huge", 1_000_000)
        received = 0
        try:
            while chunk := await loop.sock_recv(sock, 1 << 20):
                received += len(chunk)
        except ConnectionResetError:
            pass
    assert received < size - 10


async def test_a_client_that_leaves_while_a_file_is_sent_leaves_nothing(open_client: OpenClient, folder: Path) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(40_000_000)
    client = await open_client([route(folder)])
    before = open_descriptors()
    loop = asyncio.get_running_loop()
    for _ in range(5):
        with slow_socket(client.port) as sock:
            await loop.sock_sendall(sock, b"GET /s/huge HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await loop.sock_recv(sock, 1000)).startswith(b"HTTP/1.1 200")
    await until(lambda: open_descriptors() <= before)
    assert (await client.get("/s/a.txt")).content == SMALL


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def slow_socket(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


# Codings


CODINGS = [
    ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, br", "br"), ("gzip, deflate, br, zstd", "br"),
    ("br;q=0, gzip", "gzip"), ("br;q=0.5, gzip;q=0.8", "gzip"), ("gzip;q=0.5, zstd;q=0.5", "zstd"), ("*", "br"),
    ("*;q=0", None), ("br;q=0, *", "zstd"), ("identity, gzip;q=0.5", None), ("identity;q=0.5, gzip", "gzip"),
    ("x-gzip", "gzip"), ("", None), ("deflate", None), ("GZIP", "gzip"), ("gzip;q=2", None), ("identity;q=0", None),
]  # fmt: skip


@pytest.mark.parametrize(("accepted", "coding"), CODINGS)
async def test_the_client_chooses_the_coding(
    open_client: OpenClient, packed: Path, accepted: str, coding: str | None
) -> None:
    client = await open_client([route(packed)])
    suffix = {"gzip": ".gz", "br": ".br", "zstd": ".zst", None: ""}[coding]
    content = (packed / f"a.txt{suffix}").read_bytes()
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        for _ in range(2):  # read, then remembered
            answer = await wire.ask(f"GET /s/a.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n\r\n".encode())
            assert (answer.status, answer.body) == (200, content)
            headers = answer.headers
            assert headers.get("content-encoding") == coding
            assert headers["vary"] == "Accept-Encoding"
            assert headers["content-type"] == "text/plain"


async def test_each_coding_has_its_etag_and_its_ranges(open_client: OpenClient, packed: Path) -> None:
    (packed / "a.txt.br").write_bytes(SMALL)  # the same bytes are another representation all the same
    settle(packed / "a.txt.br")
    client = await open_client([route(packed)])
    etags = {}
    for accepted in ("identity", "br", "gzip"):
        response = await client.head("/s/a.txt", headers={"Accept-Encoding": accepted})
        etags[accepted] = response.headers["etag"]
        for other in ("identity", "br", "gzip"):
            headers = {"Accept-Encoding": other, "If-None-Match": etags[accepted]}
            again = await client.get("/s/a.txt", headers=headers)
            assert again.status_code == (304 if other == accepted else 200)
            assert again.headers["vary"] == "Accept-Encoding"
            etags.setdefault(other, again.headers["etag"])
    assert len(set(etags.values())) == 3
    raw = (packed / "a.txt.gz").read_bytes()
    async with await Client.connect(("127.0.0.1", client.port)) as wire:
        for etag, status in ((etags["gzip"], 206), (etags["identity"], 200)):
            answer = await wire.ask(
                "GET /s/a.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nRange: bytes=3-8\r\n"
                f"If-Range: {etag}\r\n\r\n".encode()
            )
            assert (answer.status, answer.body) == (status, raw[3:9] if status == 206 else raw)
            assert answer.headers["content-encoding"] == "gzip"


async def test_a_coding_without_a_file_is_none(open_client: OpenClient, folder: Path) -> None:
    client = await open_client([route(folder)])
    for _ in range(2):
        response = await client.get("/s/a.txt", headers={"Accept-Encoding": "gzip, br, zstd"})
        assert response.content == SMALL
        assert not {"content-encoding", "vary"} & set(response.headers)


async def test_a_packed_file_that_comes_changes_ages_and_goes(open_client: OpenClient, folder: Path) -> None:
    await settled()
    client = await open_client([route(folder)])
    path = folder / "a.txt.gz"

    async def served() -> Any:
        response = await client.get("/s/a.txt", headers={"Accept-Encoding": "gzip"})
        return response.headers.get("content-encoding"), response.content

    assert await served() == (None, SMALL)
    path.write_bytes(gzip.compress(b"first"))
    assert await served() == ("gzip", b"first")
    path.write_bytes(gzip.compress(b"second"))
    assert await served() == ("gzip", b"second")
    (folder / "a.txt").write_bytes(b"newer than what is packed")
    settle(path, -1)
    assert await served() == (None, b"newer than what is packed")
    settle(folder / "a.txt", -2)
    assert await served() == ("gzip", b"second")
    path.unlink()
    assert await served() == (None, b"newer than what is packed")


async def test_a_packed_file_is_served_while_nothing_better_is_there(open_client: OpenClient, folder: Path) -> None:
    await settled()
    client = await open_client([route(folder)])

    async def served() -> bytes:
        async with client.stream("GET", "/s/a.txt", headers={"Accept-Encoding": "br, gzip"}) as response:
            return b"".join([part async for part in response.aiter_raw()])

    for name, content in [("gz", b"worse"), ("br", b"better")]:
        (folder / f"a.txt.{name}").write_bytes(content)
        assert await served() == content
    (folder / "a.txt.gz").write_bytes(b"changed")
    assert await served() == b"better"
    (folder / "a.txt.br").unlink()
    assert await served() == b"changed"


@pytest.mark.parametrize("kind", ["link out", "folder", "pipe"])
async def test_what_is_no_file_is_no_packed_file(
    open_client: OpenClient, tmp_path: Path, folder: Path, kind: str
) -> None:
    path = folder / "a.txt.gz"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "secret").write_bytes(gzip.compress(b"secret"))
        path.symlink_to(tmp_path / "secret")
    await settled()
    client = await open_client([route(folder)])
    for _ in range(2):
        response = await client.get("/s/a.txt", headers={"Accept-Encoding": "gzip"})
        assert response.content == SMALL
        assert "content-encoding" not in response.headers


def test_accepted_codings_are_in_order() -> None:
    assert accepted_codings("c, a;q=0.4, b;q=0.9", ("a", "b", "c")) == ["c", "b", "a"]


# What may be kept by others


@pytest.mark.parametrize(("query", "control"), [("?v=1", "max-age=315360000, immutable"), ("", None), ("?w=1", None)])
async def test_versioned_urls_are_immutable(
    open_client: OpenClient, folder: Path, query: str, control: str | None
) -> None:
    client = await open_client([route(folder)])
    for _ in range(2):
        response = await client.get(f"/s/a.txt{query}")
        assert response.headers.get("cache-control") == control
        again = await client.get(f"/s/a.txt{query}", headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.headers.get("cache-control")) == (304, control)


async def test_own_methods_are_asked(open_client: OpenClient, folder: Path) -> None:
    class Own(StaticFileHandler):
        def set_extra_headers(self, path: str) -> None:
            self.set_header("X-Path", path)

        def get_cache_time(self, path: str, modified: Any, mime_type: str) -> int:
            return 60

    class Typed(Own):
        def get_content_type(self) -> str:
            return "text/x-own"

    keywords = {"path": str(folder)}
    client = await open_client([("/o/(.*)", Own, keywords), ("/t/(.*)", Typed, keywords)])
    for prefix, kind in (("o", "text/plain"), ("t", "text/x-own")):
        for _ in range(2):
            response = await client.get(f"/{prefix}/a.txt")
            assert response.content == SMALL
            assert response.headers["content-type"] == kind
            assert (response.headers["x-path"], response.headers["cache-control"]) == ("a.txt", "max-age=60")
