"""The blog: writing, paging, commenting, logging out; on SQLite, and on MariaDB with two slaves."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.examples.serving import served, token
from tests.services.mariadb import DATABASE, USER, MariaCluster, shared_cluster
from tests.services.mariadb import PASSWORD as SERVER_PASSWORD

PASSWORD = "only for this test"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    environment = {"BLOG_SQLITE": str(tmp_path / "blog.db"), "BLOG_ADMIN_PASSWORD": PASSWORD}
    async with served("blog", **environment) as opened:
        yield opened


@pytest.fixture
def maria() -> Iterator[MariaCluster]:
    """A master and two slaves, with an empty database."""
    found = shared_cluster()
    found.master.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
    found.master.execute(f"CREATE DATABASE {DATABASE}")
    yield found
    found.heal()
    found.master.execute(f"DROP DATABASE {DATABASE}")
    found.master.execute(f"CREATE DATABASE {DATABASE}")


async def log_in(client: httpx2.AsyncClient) -> httpx2.Response:
    form = {"name": "admin", "password": PASSWORD, "_xsrf": await token(client, "/login"), "next": "/admin"}
    return await client.post("/login", data=form)


async def write(client: httpx2.AsyncClient, title: str, text: str = "Some text.") -> str:
    form = {"title": title, "text": text, "_xsrf": await token(client, "/admin/new")}
    answer = await client.post("/admin/new", data=form)
    assert answer.status_code == 303
    return answer.headers["location"]


async def test_an_author_writes_pages_through_and_logs_out(client: httpx2.AsyncClient) -> None:
    assert "Nothing has been written yet." in (await client.get("/")).text
    guarded = await client.get("/admin/new")
    assert guarded.headers["location"] == "/login?next=%2Fadmin%2Fnew"
    assert "Authors only" in (await client.get("/login")).text

    wrong = {"name": "admin", "password": "guess", "_xsrf": await token(client, "/login")}
    assert (await client.post("/login", data=wrong)).status_code == 403
    assert (await log_in(client)).headers["location"] == "/admin"
    assert "Welcome, admin." in (await client.get("/admin")).text

    for number in range(12):
        address = await write(client, f"Post <{number}>")
    assert "Post &lt;11&gt;" in (await client.get(address)).text

    titles: list[str] = []
    for page in (1, 2, 3):
        found = await client.get("/", params={"page": page})
        titles += re.findall(r"Post &lt;(\d+)&gt;", found.text)
    assert titles == [str(number) for number in reversed(range(12))]
    assert (await client.get("/?page=99")).status_code in {200, 404}

    form = {"_xsrf": await token(client, "/")}
    assert (await client.post("/logout", data=form)).headers["location"] == "/"
    assert (await client.get("/admin")).status_code == 303


async def test_visitors_comment_and_posts_change_and_go(client: httpx2.AsyncClient) -> None:
    await log_in(client)
    address = await write(client, "Hello", "First words")
    form = {"name": "Bob", "text": "<i>Well</i> said", "_xsrf": await token(client, address)}
    assert (await client.post(address, data=form)).status_code == 303
    page = (await client.get(address)).text
    assert "1 comment<" in page
    assert "&lt;i&gt;Well&lt;/i&gt; said" in page

    edit = "/admin/" + address.rsplit("/", 1)[1]
    form = {"title": "Hello again", "text": "Second words", "_xsrf": await token(client, edit)}
    await client.post(edit, data=form)
    assert "Second words" in (await client.get(address)).text

    await client.post(f"{edit}/delete", data={"_xsrf": await token(client, "/admin")})
    assert (await client.get(address)).status_code == 404
    assert "is gone." in (await client.get("/admin")).text


async def test_hostile_forms_are_refused(client: httpx2.AsyncClient) -> None:
    await log_in(client)
    form = {"title": "x" * 121, "text": "x", "_xsrf": await token(client, "/admin/new")}
    refused = await client.post("/admin/new", data=form)
    assert refused.status_code == 400
    assert "Field cannot be longer than 120 characters." in refused.text
    assert "x" * 121 in refused.text  # what was typed is shown again
    assert (await client.post("/admin/new", data={"title": "a", "text": "b"})).status_code == 403
    for path in ("/post/99999999999999999999", "/post/0", "/admin/77"):
        assert (await client.get(path)).status_code == 404
    form = {"name": "admin", "password": PASSWORD, "_xsrf": await token(client, "/login"), "next": "//evil.example"}
    assert (await client.post("/login", data=form)).headers["location"] == "/"


@pytest.mark.slow  # three servers and a program: on a busy machine the slaves lag by seconds
@pytest.mark.mariadb
@pytest.mark.timeout(90)
async def test_it_runs_on_mariadb_with_two_slaves(maria: MariaCluster) -> None:
    ports = [maria.master.port, *(slave.port for slave in maria.slaves)]
    environment = {
        "BLOG_MARIADB": ",".join(f"127.0.0.1:{port}" for port in ports),
        "BLOG_USER": USER,
        "BLOG_PASSWORD": SERVER_PASSWORD,
        "BLOG_DATABASE": DATABASE,
        "BLOG_ADMIN_PASSWORD": PASSWORD,
    }
    async with served("blog", **environment) as client:
        await asyncio.to_thread(maria.wait_for_slaves, 40)
        assert (await log_in(client)).status_code == 303
        await asyncio.to_thread(maria.stop_replication)  # from here on only the master knows what is written
        address = await write(client, "Just written")
        assert "Just written" in (await client.get(address)).text  # read from the master, by the cookie
        assert "Just written" in (await client.get("/")).text
