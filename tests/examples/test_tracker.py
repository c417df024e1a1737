"""The tracker: every page, the API, the admin, hostile input, live lists on two nodes, mails and the digest.

Each with SQLite, MariaDB and PostgreSQL. The slow ones, `nox -s contract`, call its API as its OpenAPI document says.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.examples.serving import ROOT, served
from tests.polling import until
from tests.services import postgres
from tests.services.mariadb import MariaServer
from tests.services.postgres import PostgresServer
from tests.services.redis import RedisServer

PASSWORD = "only for this test"
FOLDER = ROOT / "examples" / "tracker"


def test_its_accounts_are_those_of_the_template() -> None:
    """As `startapp accounts --template auth` writes them; its README says so. `mail.py` is the example's own."""
    template = ROOT / "torngas_aio" / "cli" / "templates" / "auth" / "__app__"
    for path in sorted(template.glob("*.py")):
        if path.name != "mail.py":
            written = path.read_text(encoding="utf-8").replace("__app__", "accounts")
            assert (FOLDER / "accounts" / path.name).read_text(encoding="utf-8") == written, path.name


async def log_in(client: httpx2.AsyncClient, name: str = "ann") -> None:
    answer = await client.post("/accounts/login", data={"name": name, "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@asynccontextmanager
async def tracker(data: Path, **environment: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a node; ann is logged in."""
    environment = {"TRACKER_DATA": str(data), "TRACKER_PASSWORD": PASSWORD, **environment}
    async with served("tracker", **environment) as client:
        await log_in(client)
        yield client


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaServer]:
    with MariaServer() as server:
        yield server


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgresql", marks=pytest.mark.postgres),
    ]
)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """TRACKER_DATABASE for an empty database."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue(request.param)
    server.execute("CREATE DATABASE tracker")
    if request.param == "mariadb":
        yield f"mysql+aiomysql://root@127.0.0.1:{server.port}/tracker"
    else:
        server.execute(f"ALTER DATABASE tracker OWNER TO {postgres.USER}")
        user = f"{postgres.USER}:{quote(postgres.PASSWORD, safe='')}"
        yield f"postgresql+asyncpg://{user}@127.0.0.1:{server.port}/tracker"
    server.execute("DROP DATABASE tracker")


@pytest.fixture
async def ann(tmp_path: Path, database: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with tracker(tmp_path, TRACKER_DATABASE=database) as client:
        assert (await client.post("/", data={"name": "Relaunch"})).headers["location"] == "/projects/1"
        yield client


@asynccontextmanager
async def other(client: httpx2.AsyncClient, name: str | None = "bob") -> AsyncIterator[httpx2.AsyncClient]:
    """Another visitor of the same node."""
    async with httpx2.AsyncClient(base_url=client.base_url, trust_env=False) as visitor:
        if name:
            await log_in(visitor, name)
        yield visitor


def mails(data: Path) -> list[str]:
    return [path.read_text() for path in sorted((data / "mails").glob("*.eml"))]


async def test_every_page(ann: httpx2.AsyncClient, tmp_path: Path) -> None:
    assert "Relaunch" in (await ann.get("/")).text
    assert "There are no tasks yet." in (await ann.get("/projects/1")).text
    assert (await ann.post("/projects/1/members", data={"user": "bob"})).status_code == 303
    assert "bob is a member now." in (await ann.get("/projects/1")).text
    await ann.post("/projects/1/members", data={"user": "eve"})
    assert "There is no such user." in (await ann.get("/projects/1")).text

    added = await ann.post("/projects/1", data={"title": "<write>", "assignee_id": "2"})
    assert (added.status_code, added.headers["location"]) == (303, "/projects/1")
    assert "&lt;write&gt;" in (await ann.get("/projects/1/tasks")).text
    changed = await ann.post("/tasks/1", data={"title": "rewrite", "assignee_id": "", "state": "done"})
    assert changed.status_code == 303
    page = (await ann.get("/tasks/1")).text
    assert 'value="rewrite"' in page
    assert "There are none." in page

    files = {"file": ("plan ü.txt", b"first, second", "text/plain")}
    assert (await ann.post("/tasks/1/attachments", files=files)).status_code == 303
    assert "plan ü.txt" in (await ann.get("/tasks/1")).text
    part = await ann.get("/attachments/1", headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.text) == (206, "first")
    assert len(list((tmp_path / "uploads").iterdir())) == 1
    assert (await ann.post("/tasks/1/remove")).status_code == 303
    assert (await ann.get("/tasks/1")).status_code == 404
    assert list((tmp_path / "uploads").iterdir()) == []
    for page in ("/accounts/password", "/-/docs/", "/-/openapi.json"):
        assert (await ann.get(page)).status_code == 200


async def test_only_members_see_a_project(ann: httpx2.AsyncClient) -> None:
    await ann.post("/projects/1", data={"title": "secret", "assignee_id": ""})
    await ann.post("/tasks/1/attachments", files={"file": ("a.txt", b"secret", "text/plain")})
    paths = ["/projects/1", "/projects/1/tasks", "/projects/1/changes", "/tasks/1", "/attachments/1"]
    programs = ["/api/projects/1/tasks", "/api/tasks/1", "/api/tasks/1/attachments"]
    async with other(ann) as bob:
        for path in paths + programs:
            assert (await bob.get(path)).status_code == 404, path
        for path in ("/projects/1", "/projects/1/members", "/tasks/1", "/tasks/1/remove", "/tasks/1/attachments"):
            assert (await bob.post(path, data={"title": "x", "user": "bob"})).status_code == 404, path
        assert (await bob.delete("/api/tasks/1")).status_code == 404
        assert (await bob.get("/api/projects")).json() == []
    async with other(ann, None) as stranger:
        for path in paths:
            assert (await stranger.get(path)).headers["location"].startswith("/accounts/login?next="), path
        for path in programs:
            assert (await stranger.get(path)).status_code == 401, path
    refused = await ann.post("/projects/1", data={"title": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403


async def test_the_api(ann: httpx2.AsyncClient) -> None:
    made = await ann.post("/api/projects/1/tasks", json={"title": "write", "assignee_id": 1, "state": "doing"})
    assert (made.status_code, made.headers["location"]) == (201, "/api/tasks/1")
    found = (await ann.get("/api/projects/1/tasks?state=doing")).json()
    assert (found["total"], found["items"][0]["assignee"]) == (1, {"id": 1, "name": "ann"})
    assert (await ann.get("/api/projects/1/tasks?page=9")).json()["items"] == []
    changed = await ann.put("/api/tasks/1", json={"title": "rewrite", "state": "doing"})
    assert changed.json() == {"id": 1, "project_id": 1, "title": "rewrite", "state": "doing", "assignee": None}
    stranger = await ann.put("/api/tasks/1", json={"title": "rewrite", "assignee_id": 2})
    assert (stranger.status_code, "no member" in stranger.json()["detail"]) == (422, True)
    attached = await ann.post("/api/tasks/1/attachments", files={"file": ("a.bin", b"one", "")})
    assert (attached.status_code, attached.json()["size"]) == (201, 3)
    assert len((await ann.get("/api/tasks/1/attachments")).json()) == 1
    assert (await ann.delete("/api/tasks/1")).status_code == 204
    document = (await ann.get("/-/openapi.json")).json()
    assert "201" in document["paths"]["/api/projects/{project}/tasks"]["post"]["responses"]
    assert document["components"]["securitySchemes"]["session"]["name"] in ann.cookies
    await ann.post("/api/projects/1/tasks", json={"title": "another"})
    assert (await ann.get("/api/tasks/1")).status_code == 404  # its number is not given out again


HOSTILE_JSON = [
    (b'{"title":' + b"[" * 100_000, 400),
    (b'{"title": "\xff"}', 400),
    (b"", 400),
    (b'{"title": "x", "assignee_id": ' + b"9" * 5000 + b"}", 400),
    (b'{"title": "x", "assignee_id": 1e400}', 400),
    (b'{"title": "x", "project_id": 2}', 422),
    (b'{"title": "x\\u0000y"}', 422),
    (b'{"title": "' + b"x" * 121 + b'"}', 422),
    (b"{" + b",".join(b'"f%d": 1' % number for number in range(10_000)) + b"}", 422),
]


async def test_hostile_json_is_a_clear_error(ann: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    for content, status in HOSTILE_JSON:
        answer = await ann.post("/api/projects/1/tasks", content=content, headers=headers)
        assert answer.status_code == status, content[:50]
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert (await ann.get("/api/projects/1/tasks")).json()["total"] == 0


async def test_hostile_forms_and_addresses_are_clear_errors(ann: httpx2.AsyncClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"&".join(b"f%d=1" % number for number in range(10_000)), b"title=%ff&assignee_id="):
        assert (await ann.post("/projects/1", content=content, headers=form)).status_code == 400
    for fields in ({"title": ""}, {"title": "x" * 121}, {"title": "x", "assignee_id": "9" * 5000}):
        assert (await ann.post("/projects/1", data={"assignee_id": "", **fields})).status_code == 422
    for number in ("0", "9" * 9, "9" * 400):
        for path in ("/projects/%s", "/tasks/%s", "/attachments/%s", "/projects/%s/changes"):
            assert (await ann.get(path % number)).status_code == 404
        assert (await ann.get(f"/api/tasks/{number}")).status_code in {404, 422}


async def test_the_admin_writes_and_refuses_strangers_and_other_sites(ann: httpx2.AsyncClient) -> None:
    assert (await ann.get("/admin/project/list")).status_code == 200
    form = (await ann.get("/admin/project/create")).text
    token = form.partition('name="csrftoken" value="')[2].partition('"')[0]

    async def create(client: httpx2.AsyncClient, name: str, **headers: str) -> int:
        fields = {"name": name, "csrftoken": token}
        return (await client.post("/admin/project/create", data=fields, headers=headers)).status_code

    assert await create(ann, "By the admin") == 303
    assert await create(ann, "Crossed", **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert await create(ann, "Crossed", Origin="https://evil.example") == 403
    async with other(ann) as bob, other(ann, None) as stranger:
        assert (await bob.get("/admin/project/list")).status_code == 403
        assert await create(bob, "Bob's") == 403
        assert (await stranger.get("/admin/project/list")).status_code == 302
        assert await create(stranger, "Mine") == 401
    projects = (await ann.get("/admin/project/list")).text
    names = ("Relaunch", "By the admin", "Crossed", "Bob's", "Mine")
    assert [name in projects for name in names] == [True, True, False, False, False]


async def test_a_mail_after_the_commit_and_none_after_a_rollback(ann: httpx2.AsyncClient, tmp_path: Path) -> None:
    refused = await ann.post("/api/projects/1/tasks", json={"title": "refused", "assignee_id": 2})  # no member
    assert refused.status_code == 422
    await ann.post("/api/projects/1/tasks", json={"title": "accepted", "assignee_id": 1})
    await until(lambda: any(mails(tmp_path)))  # a file is there before its text is
    assert len(mails(tmp_path)) == 1
    assert "To: ann@example.com" in mails(tmp_path)[0]
    assert "Subject: For you: accepted" in mails(tmp_path)[0]


ROLLBACK_AND_DIGEST = """
from pathlib import Path
from accounts.models import User
from tornado.httputil import HTTPFile
from torngas_aio import UploadedFile, settings
from torngas_aio.db.dbalchemy import session_scope
from tracker import jobs, work
from tracker.models import Project

async def test_a_rollback_sends_nothing_and_a_day_brings_one_digest(client, job_queue):
    async with session_scope("default") as session:
        project = await work.add_project(await User.Q.filter_by(name="ann").first(), "kept")
        await work.add_task(project.id, "kept", 1)
        await session.commit()
    assert job_queue.calls(jobs.mail_assignee) == [((1,), {})]
    await job_queue.run()
    file = UploadedFile(HTTPFile(filename="a.txt", body=b"content", content_type=""))
    async with session_scope("default") as session:
        undone = await work.add_task(project.id, "undone", 1)
        await work.attach(undone, file)
        assert len(list(Path(settings.UPLOADS).iterdir())) == 1
        await session.rollback()
    assert list(Path(settings.UPLOADS).iterdir()) == []
    assert job_queue.calls(jobs.mail_assignee) == []
    assert await job_queue.advance(24 * 3600) == 1
    assert await job_queue.run() == 2
"""


async def test_rollback_and_digest_by_the_fixture(tmp_path: Path, database: str) -> None:
    """As a project of its own would test it."""
    (tmp_path / "test_jobs.py").write_text(ROLLBACK_AND_DIGEST)
    options = ["-p", "no:cacheprovider", "-p", "torngas_aio.testing.plugin", "-o", "asyncio_mode=auto", "-q"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path / "test_jobs.py")),
        cwd=FOLDER,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}",
            "TORNGAS_APP_SETTINGS": "settings",
            "TRACKER_DATA": str(tmp_path),
            "TRACKER_DATABASE": database,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    subjects = [line for mail in mails(tmp_path) for line in mail.splitlines() if line.startswith("Subject")]
    assert sorted(subjects) == ["Subject: For you: kept", "Subject: Your open tasks: 1"]


@pytest.mark.redis
async def test_two_nodes_see_the_changes_of_each_other(tmp_path: Path, database: str) -> None:
    with RedisServer() as redis:
        shared = {"TRACKER_REDIS": redis.address, "TRACKER_DATABASE": database}
        shared |= {"TRACKER_SECRET": "for this test only, of 32 characters and more"}
        async with tracker(tmp_path, **shared) as here, tracker(tmp_path, **shared) as there:
            await here.post("/", data={"name": "Shared"})
            async with there.stream("GET", "/projects/1/changes") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                await here.post("/api/projects/1/tasks", json={"title": "seen there"})
                async with asyncio.timeout(20):
                    async for line in stream.aiter_lines():
                        if line.startswith("data:"):
                            break
                assert "1" in line
            assert "seen there" in (await there.get("/projects/1/tasks")).text


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


SCHEMATHESIS = """
auth.openapi.session.api_key = "{session}"

[[operations]]
include-path-regex = "/tasks"
include-method = ["POST", "PUT"]
checks.positive_data_acceptance.enabled = false  # 422 for an assignee that is no member, and for 7.0 as an int
"""


@pytest.mark.slow
async def test_schemathesis_finds_nothing(ann: httpx2.AsyncClient, tmp_path: Path) -> None:
    """200 requests of each operation, valid and not, logged in."""
    program = tool("schemathesis")
    await ann.post("/api/projects/1/tasks", json={"title": "one"})
    await ann.post("/api/tasks/1/attachments", files={"file": ("a.txt", b"content", "")})
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS.format(session=ann.cookies["tracker"]))
    options = ["--max-examples=200", "--seed=17", "--no-color"]
    await run(program, "run", f"{ann.base_url}/-/openapi.json", *options, cwd=tmp_path)


CALLS = """
import io, sys
from tracker_client import Client
from tracker_client.api.tracker import api_attachments_post, api_projects_get
from tracker_client.api.tracker import api_task_delete, api_task_get, api_tasks_get, api_tasks_post
from tracker_client.models import ApiAttachmentsPostBody, State, TaskIn
from tracker_client.types import File

client = Client(base_url=sys.argv[1], cookies={"tracker": sys.argv[2]})
assert [project.name for project in api_projects_get.sync(client=client)] == ["Relaunch"]
made = api_tasks_post.sync_detailed(1, client=client, body=TaskIn(title="generated", assignee_id=1))
assert (made.status_code, made.parsed.assignee.name) == (201, "ann")
number = made.parsed.id
file = File(payload=io.BytesIO(b"content"), file_name="a.txt", mime_type="text/plain")
assert api_attachments_post.sync(number, client=client, body=ApiAttachmentsPostBody(file=file)).size == 7
assert api_task_get.sync(number, client=client).state is State.OPEN
assert [task.id for task in api_tasks_get.sync(1, client=client, state=State.OPEN).items] == [number]
wrong = api_tasks_post.sync_detailed(1, client=client, body=TaskIn(title=""))
assert (wrong.status_code, wrong.parsed.errors[0].code) == (422, "min_length")
assert api_task_delete.sync_detailed(number, client=client).status_code == 204
assert api_task_get.sync_detailed(number, client=Client(base_url=sys.argv[1])).status_code == 401
"""


@pytest.mark.slow
async def test_a_generated_client_calls_it(ann: httpx2.AsyncClient, tmp_path: Path) -> None:
    program = tool("openapi-python-client")
    (tmp_path / "calls.py").write_text(CALLS)
    (tmp_path / "openapi.json").write_bytes((await ann.get("/-/openapi.json")).content)
    await run(program, "generate", "--path=openapi.json", "--output-path=tracker_client", "--meta=none", cwd=tmp_path)
    python, session = str(Path(program).with_name("python")), ann.cookies["tracker"]
    await run(python, "calls.py", str(ann.base_url), session, cwd=tmp_path)
