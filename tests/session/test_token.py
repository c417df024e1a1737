"""What an attacker tries: planted, forged and overlong ids, poisoned records, floods."""

import base64
import dataclasses
import logging
import os
import pickle
import string
from typing import Any

import pytest

from tests.contracts.cache.subject import Clock
from tests.contracts.session.visitor import SECRET, Visitor
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.session import SessionConfig, SessionStore
from torngas_aio.session.token import Token, TokenSigner, new_id


class WatchedCache(LocMemCache):
    """Counts what reaches the store."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.asked: list[str] = []

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Any:
        self.asked.append(key)
        return await super().raw_read(key, touch)

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        self.asked.append(key)
        return await super().raw_add(key, data, timeout)

    async def raw_delete(self, key: str) -> bool:
        self.asked.append(key)
        return await super().raw_delete(key)


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> WatchedCache:
    return WatchedCache(request.node.nodeid)


@pytest.fixture
def store(cache: WatchedCache) -> SessionStore:
    store = SessionStore(cache, SessionConfig.of({"secret_key": SECRET}))
    store.clock = Clock()
    return store


@pytest.fixture
def visitor(store: SessionStore) -> Visitor:
    return Visitor(store)


async def logged_in(visitor: Visitor) -> str:
    async with visitor.request() as session:
        session["user"] = "ann"
    assert visitor.cookie is not None
    return visitor.cookie


def forgeries(cookie: str) -> list[str]:
    session_id, _, signature = cookie.rpartition(".")
    other = new_id()
    flipped = signature[:-1] + ("A" if signature[-1] != "A" else "Q")
    return [
        session_id,
        f"{session_id}.",
        f".{signature}",
        f"{session_id}.{flipped}",
        f"{session_id}.{signature[:-1]}",
        f"{session_id}.{signature}=",
        f"{session_id}.{signature.lower()}",
        f"{other}.{signature}",
        f"{session_id}.60.1.{signature}",
        f"{session_id}x.{signature}",
        f"{session_id}.{signature}.{signature}",
        cookie * 1000,
        "A" * 1_000_000,
        "é" * 47,
        "\x00" * 47,
        "../../etc/passwd." + signature,
        "%s::" + session_id + "." + signature,
        base64.b64encode(pickle.dumps({"user": "root"})).decode(),
        "",
        ".",
        "..",
    ]


async def test_a_forged_cookie_never_reaches_the_store(visitor: Visitor, cache: WatchedCache) -> None:
    cookie = await logged_in(visitor)
    cache.asked.clear()
    for forged in forgeries(cookie):
        session = await visitor.store.open([forged], visitor.address)
        assert dict(session) == {}, forged[:80]
        assert session.sessionid is None
    assert cache.asked == []
    assert await visitor.data() == {"user": "ann"}


async def test_another_secret_s_cookies_are_forgeries(visitor: Visitor, cache: WatchedCache) -> None:
    cookie = await logged_in(visitor)
    other = SessionStore(cache, SessionConfig.of({"secret_key": SECRET + "!"}))
    cache.asked.clear()
    assert dict(await other.open([cookie], visitor.address)) == {}
    assert cache.asked == []


async def test_an_id_that_was_not_given_out_is_never_adopted(visitor: Visitor, store: SessionStore) -> None:
    planted = TokenSigner(SECRET, "1").write(Token(new_id()))  # even well signed, as after a record expired
    visitor.cookie = planted
    async with visitor.request() as session:
        assert session.is_new
        session["user"] = "ann"
    assert visitor.cookie != planted
    attacker = Visitor(store, planted, visitor.address)
    assert await attacker.data() == {}
    assert await visitor.data() == {"user": "ann"}


async def test_a_session_fixed_by_an_attacker_is_worth_nothing_after_the_login(store: SessionStore) -> None:
    attacker = Visitor(store)
    async with attacker.request() as session:
        session["cart"] = "trap"
    victim = attacker.copy()
    async with victim.request() as session:
        session.cycle_id()
        session["user"] = "ann"
    assert (await victim.data())["user"] == "ann"
    assert await attacker.data() == {}
    async with attacker.request() as session:
        session["user"] = "mallory"
    assert (await victim.data())["user"] == "ann"


async def test_the_first_validly_signed_of_several_cookies_counts(visitor: Visitor, store: SessionStore) -> None:
    cookie = await logged_in(visitor)
    name = store.config.session_name
    header = f"{name}=planted; x{name}=1; {name}={cookie}; {name}=more"
    assert store.cookies_of(header) == ["planted", cookie, "more"]
    session = await store.open(store.cookies_of(header), visitor.address)
    assert session["user"] == "ann"


DEAD = ("never stored", "ended", "aged", "elsewhere")


@pytest.mark.parametrize("dead", [*DEAD, "all of them"])
@pytest.mark.parametrize("lasting", [0, 600])
async def test_dead_cookies_in_front_of_a_live_one_do_not_hide_it(
    store: SessionStore, cache: WatchedCache, dead: str, lasting: int
) -> None:
    store.config = dataclasses.replace(store.config, absolute_expires=1000)

    async def cookie_of(kind: str) -> str:
        planted = Visitor(store, address="10.9.9.9" if kind == "elsewhere" else "10.0.0.1")
        async with planted.request() as session:
            session["user"] = kind
            session.set_expire(lasting)
        assert planted.cookie is not None
        if kind in {"ended", "never stored"}:
            session_id = (await planted.open()).sessionid
            assert session_id is not None
            await store.revoke(session_id)
        return planted.cookie

    now = store.clock()
    store.clock = lambda: now - 2000
    old = [await cookie_of("aged")] if dead in {"aged", "all of them"} else []
    store.clock = lambda: now
    kinds = [kind for kind in DEAD[:2] if dead == "all of them"] if old else [dead]
    planted = old + [await cookie_of(kind) for kind in kinds if kind != "all of them"]
    live, other = await cookie_of("live"), await cookie_of("other")
    cache.asked.clear()
    session = await store.open([*planted, *planted, "junk", live, other], "10.0.0.1")
    assert session["user"] == "live"
    assert session.sessionid == live.split(".")[0]
    session["more"] = 1
    await session.save()
    assert dict(await store.open([live], "10.0.0.1")) == {"user": "live", "more": 1}
    session = await store.open([*planted, live], "10.0.0.1")
    session.expired()
    await session.save()
    assert dict(await store.open([live], "10.0.0.1")) == {}


async def test_four_cookies_are_looked_at_and_no_more(store: SessionStore, cache: WatchedCache) -> None:
    signed: list[str] = []
    for _ in range(6):
        visitor = Visitor(store)
        async with visitor.request() as session:
            session["n"] = len(signed)
        assert visitor.cookie is not None
        signed.append(visitor.cookie)
        if len(signed) < 5:
            await store.revoke(visitor.cookie.split(".")[0])
    assert dict(await store.open(signed, "10.0.0.1")) == {}
    assert dict(await store.open(signed[1:], "10.0.0.1")) == {"n": 4}


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, ("TORNGAS_EXPLOITED_SESSION", "1")


@pytest.mark.parametrize(
    "poison",
    [
        pickle.dumps(Exploit()),
        b"",
        b"\xff\xfe",
        b"12",
        b"null",
        b"[]",
        b'{"user": "root"}',
        b'[1,1,0,"10.0.0.1","",[]]',
        b'[1,"1",0,"10.0.0.1","",{}]',
        b'[2,1,0,"10.0.0.1","",{}]',
        b'[true,1,0,"10.0.0.1","",{}]',
        b"[" * 100_000,
        b'[1,1,0,"10.0.0.1","",{"user":"root"}',
    ],
    ids=range(13),
)
async def test_a_poisoned_record_counts_as_absent(
    visitor: Visitor, cache: WatchedCache, poison: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await logged_in(visitor)
    (key,) = cache._location.reserved.entries
    late = await visitor.open()
    late["late"] = 1
    await cache.raw_set(key, poison, None)
    with caplog.at_level(logging.ERROR):
        session = await visitor.open()
    assert dict(session) == {}
    assert "counts as absent" in caplog.text
    assert "TORNGAS_EXPLOITED_SESSION" not in os.environ
    await visitor.close(late)
    assert await cache.raw_get(key) == poison, "a late save does not build on it"
    async with visitor.request() as session:
        session["user"] = "ann"
    assert await visitor.data() == {"user": "ann"}


async def test_a_flood_without_data_leaves_nothing_in_the_store(store: SessionStore, cache: WatchedCache) -> None:
    for number in range(200):
        flooder = Visitor(store, None if number % 2 else f"{number}.forged")
        async with flooder.request() as session:
            session.get("user")
            session["user"]
            "user" in session  # noqa: B015  what a page does with every visitor's session
        assert flooder.cookie == (None if number % 2 else f"{number}.forged")
    assert cache.asked == []
    assert len(cache._location.reserved.entries) == 0


async def test_users_lists_that_were_poisoned_are_empty(visitor: Visitor, cache: WatchedCache) -> None:
    async with visitor.request() as session:
        session.bind_user("ann")
    (key,) = (key for key in cache._location.reserved.entries if key.startswith("%u"))
    for poison in (pickle.dumps(Exploit()), b"[1, null, {}]", b"{}"):
        await cache.raw_set(key, poison, None)
        assert await visitor.store.revoke_user("ann") == 0
    assert "TORNGAS_EXPLOITED_SESSION" not in os.environ


async def test_a_session_shows_neither_id_nor_data_in_logs(visitor: Visitor) -> None:
    await logged_in(visitor)
    session = await visitor.open()
    assert repr(session) == "<Session with 1 keys>"
    assert SECRET not in repr(visitor.store.config)


def test_ids_are_random_and_safe_in_cookies() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(made) for made in ids} == {24}
    assert set("".join(ids)) <= set(string.ascii_letters + string.digits + "-_")
