"""The login example on each of its stores: guesses, rotation, flash, counting, logging out here and elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.examples.serving import served, token
from tests.services.memcached import MemcachedServer
from tests.services.redis import RedisServer

STORES = [
    "process",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("memcached", marks=pytest.mark.memcached),
]


@contextmanager
def chosen(store: str) -> Iterator[dict[str, str]]:
    """The environment that has the example keep its sessions in a running *store*."""
    if store == "redis":
        with RedisServer() as redis:
            yield {"LOGIN_STORE": store, "REDIS": redis.address}
    elif store == "memcached":
        with MemcachedServer() as memcached:
            yield {"LOGIN_STORE": store, "MEMCACHED": memcached.address}
    else:
        yield {"LOGIN_STORE": store}


async def log_in(client: httpx2.AsyncClient, password: str = "tortoise", **fields: str) -> httpx2.Response:
    form = {"name": "ann", "password": password, "_xsrf": await token(client, "/login"), **fields}
    return await client.post("/login", data=form)


@pytest.mark.parametrize("store", STORES)
async def test_in_and_out_again(store: str) -> None:
    with chosen(store) as environment:
        async with served("login", **environment) as here:
            front = await here.get("/")
            assert (front.status_code, front.headers["location"]) == (302, "/login?next=%2F")
            assert "login" not in here.cookies

            wrong = await log_in(here, "hare")
            assert wrong.status_code == 403
            assert "not the right name and password" in wrong.text

            answer = await log_in(here, next="//evil.example/")
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            first = here.cookies["login"]
            page = await here.get("/")
            assert "Welcome, Ann." in page.text
            assert "Welcome, Ann." not in (await here.get("/")).text
            assert '<dd class="visits">3</dd>' in (await here.get("/")).text

            async with httpx2.AsyncClient(base_url=here.base_url, trust_env=False) as there:
                answer = await log_in(there, remember="1")
                assert "Max-Age=2592000" in answer.headers["set-cookie"]
                assert (await there.get("/")).status_code == 200
                form = {"_xsrf": await token(here, "/")}
                assert (await here.post("/logout-elsewhere", data=form)).status_code == 303
                assert "Other sessions ended: 1." in (await here.get("/")).text
                assert (await there.get("/")).status_code == 302

            assert (await here.post("/logout")).status_code == 403, "without the form's token nothing happens"
            answer = await here.post("/logout", data={"_xsrf": await token(here, "/")})
            assert answer.headers["location"] == "/login"
            assert "login" not in here.cookies
            assert "You are logged out." in (await here.get("/login")).text

            await log_in(here)
            assert here.cookies["login"] != first
            here.cookies.set("login", first, domain="127.0.0.1")
            assert (await here.get("/")).status_code == 302, "the first id is worth nothing any more"


async def test_guessing_is_limited() -> None:
    async with served("login") as client:
        answers = [(await log_in(client, f"guess {number}")).status_code for number in range(11)]
        assert answers == [403] * 10 + [429]
        assert (await log_in(client, "tortoise")).status_code == 429
        assert (await log_in(client, "hare", name="bob with\nodd characters" * 50)).status_code == 403
