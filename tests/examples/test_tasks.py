"""The tasks example: pages, API, attachments; and what schemathesis finds in its API."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.examples.serving import served

EXAMPLES = 200  # of each operation
EXCEPTIONS = """
[checks]
ensure_resource_availability.enabled = false  # a task that was just made has no attachment yet

[[operations]]
include-path = "/api/tasks/{number}/attachment"
checks.negative_data_rejection.enabled = false  # a number in place of a file is, once it is sent, a file of digits
"""


async def test_pages_and_attachments(tmp_path: Path) -> None:
    async with served("tasks", TASKS_UPLOADS=str(tmp_path)) as client:
        assert "There are none." in (await client.get("/")).text
        file = {"attachment": ("plan ü.txt", b"first, second", "text/plain")}
        made = await client.post("/", data={"title": "write", "state": "open", "hours": "2"}, files=file)
        assert made.status_code == 303
        assert "write, open, 2 h" in (await client.get("/")).text
        wrong = await client.post("/", data={"title": "write", "state": "gone", "hours": "x"})
        assert wrong.status_code == 422
        assert wrong.text.count('class="errors"') == 3
        again = await client.post("/", data={"title": "write", "state": "open"})
        assert "There is a task with this title." in again.text
        part = await client.get("/api/tasks/1/attachment", headers={"Range": "bytes=0-4"})
        assert (part.status_code, part.text) == (206, "first")
        assert "plan%20%C3%BC.txt" in part.headers["content-disposition"]
        refused = await client.post("/", data={"title": "other"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert refused.status_code == 403


async def test_the_api(tmp_path: Path) -> None:
    async with served("tasks", TASKS_UPLOADS=str(tmp_path)) as client:
        made = await client.post("/api/tasks", json={"title": "write"})
        assert (made.status_code, made.headers["location"]) == (201, "/api/tasks/1")
        assert (await client.get("/api/tasks?per-page=1")).json()["items"][0]["title"] == "write"
        for content in (b"one", b"another"):
            await client.put("/api/tasks/1/attachment", files={"file": ("a.bin", content, "")})
        assert (await client.get("/api/tasks/1/attachment")).content == b"another"
        assert len(list(tmp_path.iterdir())) == 1
        assert (await client.delete("/api/tasks/1")).status_code == 204
        missing = await client.get("/api/tasks/1")
        assert missing.status_code == 404
        assert "There is no such task." in missing.json()["detail"]
        document = (await client.get("/-/openapi.json")).json()
        assert set(document["paths"]["/api/tasks/{number}"]) == {"get", "put", "delete"}
        assert (await client.get("/-/docs/")).status_code == 200


@pytest.mark.slow
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    program = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis")
    if program is None:
        pytest.skip("needs schemathesis: `nox -s contract`")
    (tmp_path / "schemathesis.toml").write_text(EXCEPTIONS)
    async with served("tasks", TASKS_UPLOADS=str(tmp_path / "uploads")) as client:
        options = [f"--max-examples={EXAMPLES}", "--seed=17", "--no-color"]
        process = await asyncio.create_subprocess_exec(
            program, "run", f"{client.base_url}/-/openapi.json", *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
