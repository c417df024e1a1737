"""Bodies in temporary files: bounded memory, and no file is left."""

import asyncio
import gzip
import random
import resource
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.http.wire import Client
from tests.polling import until
from torngas_aio import ApiHandler, Application, WebHandler
from torngas_aio.http.forms import parts_of
from torngas_aio.http.spool import IN_MEMORY, Spool
from torngas_aio.testing import TestClient

LARGE = b"0123456789abcdef" * (3 * IN_MEMORY // 16)
opened: list[Any] = []


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every temporary file that is made."""
    make = tempfile.TemporaryFile

    def made() -> Any:
        opened.append(make())
        return opened[-1]

    opened.clear()
    monkeypatch.setattr(tempfile, "TemporaryFile", made)
    yield
    assert all(file.closed for file in opened)


class Upload(WebHandler):
    spool_body = True
    max_body_size = 100 * IN_MEMORY

    async def post(self) -> None:
        file = self.request.files["file"][0]
        content = await file.read()
        file.seek(1)
        self.write({
            "name": self.get_body_argument("name"), "query": self.get_argument("query", ""), "size": file.size,
            "same": content in {LARGE, b"small"}, "part": (await file.read(3)).decode(), "type": file["content_type"],
            "filename": file.filename, "rest": len(await file.read()), "end": len(await file.read(1)),
        })  # fmt: skip


class Body(Upload):
    async def post(self) -> None:
        errors = []
        for ask in (
            lambda: self.request.body, lambda: self.get_body_argument("a"), lambda: self.get_argument("a"),
            lambda: self.request.files["file"][0].body, lambda: self.request.files["file"][0]["body"],
        ):  # fmt: skip
            try:
                ask()
            except RuntimeError as exc:
                errors.append(str(exc))
            except Exception as exc:  # noqa: BLE001  no such file
                errors.append(type(exc).__name__)
        request: Any = self.request
        self.write({"errors": errors, "size": len(await request.spool.read())})


class Api(ApiHandler):
    spool_body = True

    async def post(self) -> Any:
        return {"size": len(self.get_query_argument("q", ""))}

    async def put(self) -> Any:
        return self.get_json_body()

    async def patch(self) -> Any:
        return self.get_argument("a")


class Waits(Upload):
    arrived = asyncio.Event()

    async def post(self) -> None:
        self.arrived.set()
        await asyncio.Event().wait()


class Fails(Upload):
    async def post(self) -> None:
        raise ValueError


class Plain(WebHandler):
    async def post(self) -> None:
        self.write({"body": isinstance(self.request.files["file"][0].body, bytes), "size": len(self.request.body)})


ROUTES: list[Any] = [
    ("/api", Api), ("/upload", Upload), ("/body", Body), ("/waits", Waits), ("/fails", Fails),
    ("/plain", type("Plain", (Plain,), {"max_body_size": 100 * IN_MEMORY})),
]  # fmt: skip


@pytest.fixture(params=["torngas_aio", "tornado"])
async def client(request: pytest.FixtureRequest) -> Any:
    Waits.arrived = asyncio.Event()
    async with TestClient(Application(ROUTES), http_server=request.param) as opened_client:
        yield opened_client


@pytest.mark.parametrize("content", [LARGE, b"small"], ids=["large", "small"])
async def test_a_file_of_a_form_is_read_from_the_spool(client: TestClient, content: bytes) -> None:
    answer = await client.post("/upload?query=q", data={"name": "n"}, files={"file": ("f.txt", content, "text/plain")})
    assert answer.json() == {
        "name": "n", "query": "q", "size": len(content), "same": True, "part": content[1:4].decode(), "end": 0,
        "type": "text/plain", "filename": "f.txt", "rest": len(content) - 4,
    }  # fmt: skip
    assert len(opened) == (content == LARGE)


async def test_a_body_in_a_file_is_not_had_as_bytes(client: TestClient) -> None:
    raw = (await client.post("/body", content=LARGE)).json()
    assert raw["size"] == len(LARGE)
    assert "await request.spool.read()" in raw["errors"][0]
    assert raw["errors"][1:] == ["MissingArgumentError", "MissingArgumentError", "KeyError", "KeyError"]
    form = (await client.post("/body", data={"a": "1"}, files={"file": LARGE})).json()
    assert "await request.spool.read()" in form["errors"][0]
    assert all("await file.read()" in error for error in form["errors"][1:])
    assert len(form["errors"]) == 3
    coded = (await client.post("/body", data={"a": "x" * 2 * IN_MEMORY})).json()
    assert "await request.spool.read()" in coded["errors"][0]
    assert coded["errors"][1:] == ["BodyError"] * 4  # 413


async def test_an_api_answers_whatever_size_the_body_has(client: TestClient) -> None:
    assert (await client.post("/api", content=LARGE)).json() == {"size": 0}
    assert (await client.put("/api", content=b" " * 2 * IN_MEMORY + b"1")).status_code == 413
    assert (await client.put("/api", content=b"[1]")).json() == [1]
    assert (await client.patch("/api", data={"a": "x" * 2 * IN_MEMORY})).status_code == 413
    assert (await client.patch("/api", content=LARGE)).status_code == 400


async def test_a_small_body_is_had_as_bytes(client: TestClient) -> None:
    answer = (await client.post("/body", data={"a": "1"}, files={"file": b"small"})).json()
    assert answer["errors"] == []
    assert opened == []


async def test_other_classes_keep_bytes(client: TestClient) -> None:
    answer = (await client.post("/plain", files={"file": LARGE})).json()
    assert answer["body"]
    assert answer["size"] > len(LARGE)
    assert opened == []


async def test_fields_are_bounded(client: TestClient) -> None:
    fields = {f"a{number}": "x" * (IN_MEMORY // 8) for number in range(9)}
    assert (await client.post("/upload", data=fields, files={"file": b"small"})).status_code == 413


async def test_what_is_no_form_is_400(client: TestClient) -> None:
    answer = await client.post("/upload", content=LARGE, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400


async def test_an_error_closes_the_file(client: TestClient) -> None:
    assert (await client.post("/fails", files={"file": LARGE})).status_code == 500
    assert len(opened) == 1


async def test_a_request_that_is_cancelled_closes_its_file() -> None:
    class Cancelled(Waits):
        cancel_on_disconnect = True

    async with TestClient(Application([("/waits", Cancelled)])) as client:
        host, port = client.base_url.host, client.base_url.port
        async with await Client.connect((host, port)) as raw:
            raw.send(b"POST /waits HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE)
            await raw.writer.drain()
            await Waits.arrived.wait()
        await until(lambda: all(file.closed for file in opened))
    assert len(opened) == 1


async def test_a_client_that_leaves_midway_leaves_no_file() -> None:
    async with TestClient(Application(ROUTES)) as client:
        host, port = client.base_url.host, client.base_url.port
        async with await Client.connect((host, port)) as raw:
            raw.send(b"POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 90000000\r\n\r\n" + LARGE[: IN_MEMORY // 2])
            await raw.writer.drain()
            await until(lambda: opened)
        await until(lambda: all(file.closed for file in opened))


async def test_closing_waits_for_the_thread_of_a_writer_that_was_cancelled() -> None:
    spool = Spool()
    writing = asyncio.ensure_future(spool.write(LARGE))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    assert not spool.close_now()
    await spool.aclose()
    await spool.aclose()
    with pytest.raises(ValueError, match="its request has ended"):
        await spool.read()


async def test_the_memory_of_a_large_upload_is_bounded(client: TestClient) -> None:
    async def content() -> Any:
        for _ in range(64):
            yield LARGE[:IN_MEMORY]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await client.post("/fails", content=content(), headers={"Content-Length": str(64 * IN_MEMORY)})
    assert answer.status_code == 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


async def test_of_what_is_announced_as_large_little_waits_in_memory() -> None:
    spool = Spool(announced=IN_MEMORY + 1)
    await spool.write(LARGE[: 64 * 1024])
    assert not opened
    await spool.write(LARGE[64 * 1024 : 64 * 1024 + 1])
    assert opened
    assert await spool.read() == LARGE[: 64 * 1024 + 1]
    await spool.aclose()


async def test_a_packed_body_that_is_longer_than_what_it_holds_is_in_memory() -> None:
    content = random.Random(0).randbytes(IN_MEMORY)
    packed = gzip.compress(content)
    assert len(packed) > IN_MEMORY

    class Echo(WebHandler):
        spool_body = True

        async def post(self) -> None:
            self.write(self.request.body)

    async with TestClient(Application([("/", Echo)]), server_options={"decompress_request": True}) as client:
        answer = await client.post("/", content=packed, headers={"Content-Encoding": "gzip"})
    assert answer.content == content


def mapped_bytes() -> int:
    """Of this process's memory, what is of files."""
    return int(Path("/proc/self/statm").read_text().split()[2]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
async def test_what_has_been_searched_for_parts_is_let_go() -> None:
    """Else 50 uploads of 100 MB at once have 5 GB in memory."""
    spool = Spool()
    await spool.write(b'--B\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n')
    for _ in range(64):
        await spool.write(LARGE[:IN_MEMORY])
    await spool.write(b"\r\n--B--\r\n")
    with spool._map_file() as data:
        before = mapped_bytes()
        assert [part.end - part.start for part in parts_of(data, b"B")] == [64 * IN_MEMORY]
        assert mapped_bytes() - before < 8 * IN_MEMORY
    await spool.aclose()
