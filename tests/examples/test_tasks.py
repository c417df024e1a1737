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
        many = (client.put("/api/tasks/1/attachment", files={"file": ("a.bin", b"one", "")}) for _ in range(5))
        assert {answer.status_code for answer in await asyncio.gather(*many)} == {200}
        await client.put("/api/tasks/1/attachment", files={"file": ("a.bin", b"another", "")})
        assert (await client.get("/api/tasks/1/attachment")).content == b"another"
        assert len(list(tmp_path.iterdir())) == 1
        assert (await client.delete("/api/tasks/1")).status_code == 204
        assert list(tmp_path.iterdir()) == []
        missing = await client.get("/api/tasks/1")
        assert missing.status_code == 404
        assert "There is no such task." in missing.json()["detail"]
        document = (await client.get("/-/openapi.json")).json()
        assert set(document["paths"]["/api/tasks/{number}"]) == {"get", "put", "delete"}
        assert (await client.get("/-/docs/")).status_code == 200


def tool(name: str) -> str:
    """The path of a program of the environment that `nox -s contract` makes."""
    program = shutil.which(name, path=os.environ.get("CONTRACT_TOOLS"))
    if program is None:
        pytest.skip(f"needs {name}: `nox -s contract`")
    return program


async def run(*command: str, cwd: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.mark.slow
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    program = tool("schemathesis")
    (tmp_path / "schemathesis.toml").write_text(EXCEPTIONS)
    async with served("tasks", TASKS_UPLOADS=str(tmp_path / "uploads")) as client:
        options = [f"--max-examples={EXAMPLES}", "--seed=17", "--no-color"]
        await run(program, "run", f"{client.base_url}/-/openapi.json", *options, cwd=tmp_path)


CALLS = """
import io, sys
from tasks_client import Client
from tasks_client.api.tracker import attachment_put, task_delete, task_get, tasks_get, tasks_post
from tasks_client.models import AttachmentPutBody, NewTask
from tasks_client.types import File

client = Client(base_url=sys.argv[1])
made = tasks_post.sync_detailed(client=client, body=NewTask(title="generated"))
assert (made.status_code, made.parsed.title) == (201, "generated")
number = made.parsed.id
file = File(payload=io.BytesIO(b"content"), file_name="a.txt", mime_type="text/plain")
assert attachment_put.sync(number, client=client, body=AttachmentPutBody(file=file)).attachment.endswith("-a.txt")
assert task_get.sync(number, client=client).id == number
assert [task.id for task in tasks_get.sync(client=client, per_page=1).items] == [number]
wrong = tasks_post.sync_detailed(client=client, body=NewTask(title=""))
assert (wrong.status_code, wrong.parsed.errors[0].code) == (422, "min_length")
assert task_delete.sync_detailed(number, client=client).status_code == 204
"""


@pytest.mark.slow
async def test_a_generated_client_calls_it(tmp_path: Path) -> None:
    program = tool("openapi-python-client")
    (tmp_path / "calls.py").write_text(CALLS)
    async with served("tasks", TASKS_UPLOADS=str(tmp_path / "uploads")) as client:
        (tmp_path / "openapi.json").write_bytes((await client.get("/-/openapi.json")).content)
        await run(program, "generate", "--path=openapi.json", "--output-path=tasks_client", "--meta=none", cwd=tmp_path)
        await run(str(Path(program).with_name("python")), "calls.py", str(client.base_url), cwd=tmp_path)
