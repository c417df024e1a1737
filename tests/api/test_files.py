"""Declared files, and `self.files`: spooled, limited, with names that are safe."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from tornado.httputil import HTTPFile

from torngas_aio import ApiHandler, Application, WebHandler
from torngas_aio.api import Body, File, Form, Param
from torngas_aio.api.openapi import make_document
from torngas_aio.http.uploads import FolderStorage, UploadedFile
from torngas_aio.testing import TestClient

MIB = 1024 * 1024
LARGE = b"x" * (3 * MIB)


class Upload(ApiHandler):
    async def post(
        self,
        avatar: File[Annotated[UploadedFile, Param(max_bytes=4 * MIB, content_types=("image/*",))]],
        others: File[list[UploadedFile]] = [],  # noqa: B006  never changed
        note: Form[str] = "",
    ) -> Any:
        sizes = [len(await each.read()) for each in (avatar, *others)]
        return {
            "names": [each.filename for each in (avatar, *others)],
            "sizes": sizes,
            "spooled": self.request.spool is not None,
        }

    async def put(self, values: Body[list[int]]) -> Any:
        return {"values": len(values)}


class Kept(ApiHandler):
    spool_body = False

    async def post(self, avatar: File[UploadedFile]) -> Any:
        return {"size": avatar.size, "spooled": self.request.spool is not None}


class Plain(ApiHandler):
    async def post(self, avatar: File[HTTPFile]) -> Any:
        return {"size": len(avatar.body), "spooled": self.request.spool is not None}


class Stored(WebHandler):
    spool_body = True
    storage: FolderStorage

    async def post(self) -> None:
        self.write({"name": await self.files["file"][0].save(self.storage), "same": self.files is self.files})

    async def get(self) -> None:
        await self.send_file(self.get_query_argument("name"), root=self.storage.root)


class Own(WebHandler):
    files = ["mine"]  # type: ignore[assignment]  # noqa: RUF012  a project that had the name before

    async def post(self, avatar: File[UploadedFile]) -> None:
        self.write({"files": self.files, "size": avatar.size})


ROUTES: list[Any] = [("/upload", Upload), ("/kept", Kept), ("/plain", Plain), ("/stored", Stored), ("/own", Own)]


@pytest.fixture
async def client(tmp_path: Path) -> Any:
    Stored.storage = FolderStorage(tmp_path / "uploads")
    async with TestClient(Application(ROUTES), headers={"Accept": "application/json"}) as opened:
        yield opened


async def test_declared_files_are_spooled(client: TestClient) -> None:
    files: list[Any] = [
        ("avatar", ("../a.png", LARGE, "image/png")),
        ("others", ("b.txt", b"12", "text/plain")),
        ("others", ("c.txt", b"", "text/plain")),
    ]
    answer = await client.post("/upload", files=files)
    assert answer.json() == {"names": ["a.png", "b.txt", "c.txt"], "sizes": [len(LARGE), 2, 0], "spooled": True}


@pytest.mark.parametrize("path", ["/kept", "/plain"])
async def test_a_class_decides_for_itself(client: TestClient, path: str) -> None:
    answer = await client.post(path, files={"avatar": ("a.png", LARGE, "image/png")})
    assert answer.json() == {"size": len(LARGE), "spooled": False}


@pytest.mark.parametrize(
    ("file", "status", "code"),
    [
        (("a.png", b"x" * (4 * MIB + 1), "image/png"), 413, "too_large"),
        (("a.png", b"x", "text/html"), 422, "content_type"),
        (("a.html", b"x", "image/png"), 422, "content_type"),
        (("", b"x", "image/png"), 422, "missing"),
    ],
)
async def test_limits_of_a_file(client: TestClient, file: Any, status: int, code: str) -> None:
    answer = await client.post("/upload", files={"avatar": file})
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert (error["in"], error["path"], error["code"]) == ("file", "avatar", code)


async def test_json_of_a_class_that_spools(client: TestClient) -> None:
    assert (await client.put("/upload", json=[1, 2])).json() == {"values": 2}
    answer = await client.put("/upload", content=b"[" + b"1," * MIB + b"1]")
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["code"] == "too_large"


@pytest.mark.parametrize("content", [LARGE, b"small", b""], ids=["large", "small", "empty"])
async def test_what_was_stored_can_be_sent(client: TestClient, content: bytes) -> None:
    answer = (await client.post("/stored", files={"file": ("../../ü.txt", content, "text/plain")})).json()
    assert answer["same"] is True
    assert answer["name"].endswith("-ü.txt")
    assert (await client.get("/stored", params={"name": answer["name"]})).content == content


async def test_a_project_may_have_the_name_files_itself(client: TestClient) -> None:
    answer = await client.post("/own", files={"avatar": ("a.png", b"12", "image/png")})
    assert answer.json() == {"files": ["mine"], "size": 2}


def test_files_are_described() -> None:
    content = make_document(Application(ROUTES))["paths"]["/upload"]["post"]["requestBody"]["content"]
    schema = content["multipart/form-data"]["schema"]
    assert content["multipart/form-data"]["encoding"] == {"avatar": {"contentType": "image/*"}}
    assert schema["required"] == ["avatar"]
    assert schema["properties"]["others"]["type"] == "array"
