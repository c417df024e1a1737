"""Revocation of sessions: one by its id, all of a user."""

import asyncio

import pytest

from tests.contracts.session.visitor import Stores, Visitor


async def logged_in(stores: Stores, user: object) -> Visitor:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["cart"] = 1
    async with visitor.request() as session:
        session.cycle_id()
        session.bind_user(user)
        session["user"] = str(user)
    return visitor


async def test_one_session_is_revoked_by_its_id(stores: Stores) -> None:
    visitor, other = await logged_in(stores, 7), await logged_in(stores, 7)
    session = await visitor.open()
    session_id = session.sessionid
    assert session_id is not None
    session["late"] = 1
    await other.store.revoke(session_id)
    await visitor.close(session)
    assert await visitor.data() == {}
    assert await other.data() == {"cart": 1, "user": "7"}


async def test_all_sessions_of_a_user_are_revoked(stores: Stores) -> None:
    visitors = [await logged_in(stores, 7) for _ in range(3)]
    stranger = await logged_in(stores, 77)
    assert await stores.open().revoke_user(7) == 3
    assert [await visitor.data() for visitor in visitors] == [{}, {}, {}]
    assert await stranger.data() == {"cart": 1, "user": "77"}
    assert await stores.open().revoke_user(7) == 0


async def test_one_s_own_session_may_go_on(stores: Stores) -> None:
    own, other = await logged_in(stores, "ann"), await logged_in(stores, "ann")
    async with own.request() as session:
        assert session.user == "ann"
        assert await own.store.revoke_user("ann", keep=session.sessionid) == 1
    assert await own.data() == {"cart": 1, "user": "ann"}
    assert await other.data() == {}
    assert await own.store.revoke_user("ann") == 1
    assert await own.data() == {}


async def test_a_session_bound_without_a_new_id_is_revoked_too(stores: Stores) -> None:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["cart"] = 1
    async with visitor.request() as session:
        session.bind_user(7)
    fresh = Visitor(stores.open())
    async with fresh.request() as session:
        session.bind_user(7)
    assert await visitor.store.revoke_user(7) == 2
    assert await visitor.data() == {}
    assert (await fresh.open()).is_new


async def test_a_session_given_to_another_user_no_longer_is_the_first_s(stores: Stores) -> None:
    visitor = await logged_in(stores, 7)
    async with visitor.request() as session:
        session.bind_user(8)
    assert await visitor.store.revoke_user(7) == 0
    async with visitor.request() as session:
        session.bind_user(None)
        assert session.user == ""
    assert await visitor.store.revoke_user(8) == 0
    assert await visitor.data() == {"cart": 1, "user": "7"}


async def test_logging_out_takes_the_session_off_the_user_s_list(stores: Stores) -> None:
    visitor = await logged_in(stores, 7)
    async with visitor.request() as session:
        session.expired()
    assert await visitor.store.revoke_user(7) == 0


async def test_sessions_that_ended_by_themselves_leave_the_list(stores: Stores) -> None:
    visitors = [await logged_in(stores, 7) for _ in range(18)]
    for visitor in visitors[1:]:
        session_id = (await visitor.open()).sessionid
        assert session_id is not None
        await visitor.store.revoke(session_id)
    last = await logged_in(stores, 7)
    assert await last.store.revoke_user(7) == 2


async def test_logins_that_race_with_the_revoking_are_ended_or_noted(stores: Stores) -> None:
    async def login() -> Visitor:
        return await logged_in(stores, 7)

    revoker = stores.open()
    logins = [asyncio.ensure_future(login()) for _ in range(8)]
    revoked = 0
    while not all(task.done() for task in logins):
        revoked += await revoker.revoke_user(7)
        await asyncio.sleep(0)
    await revoker.revoke_user(7)
    assert [await (await task).data() for task in logins] == [{}] * 8


async def test_a_login_whose_record_comes_between_ending_and_forgetting_is_ended(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted, ended, logged_in = asyncio.Event(), asyncio.Event(), asyncio.Event()
    visitor, revoker = Visitor(stores.open()), stores.open()
    ours, theirs = visitor.store._record_store, revoker._record_store
    put, drop = ours.add, theirs.drop

    async def put_late(key: str, data: bytes, life: float | None) -> bool:
        if key.startswith(ours.session_key("")):
            noted.set()
            await ended.wait()
        return await put(key, data, life)

    async def drop_late(key: str, token: object) -> bool:
        ended.set()
        await logged_in.wait()
        return await drop(key, token)

    async def log_in() -> None:
        async with visitor.request() as session:
            session.cycle_id()
            session.bind_user(7)
        logged_in.set()

    async with visitor.request() as session:
        session["cart"] = 1
    monkeypatch.setattr(ours, "add", put_late)
    monkeypatch.setattr(theirs, "drop", drop_late)
    login = asyncio.ensure_future(log_in())
    await noted.wait()
    async with asyncio.timeout(20):
        assert await revoker.revoke_user(7) == 1
        await login
    assert await visitor.data() == {}
