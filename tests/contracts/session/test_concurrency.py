"""Concurrent requests of one session, in one process and in several."""

import asyncio

import pytest

from tests.contracts.session.visitor import Stores, Visitor
from torngas_aio.session import Session

PROCESSES = 3
REQUESTS = (60, pytest.param(1000, marks=pytest.mark.slow))


async def test_two_requests_lose_neither_s_change(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session.update(kept=0, gone=0, n=10)
    other = visitor.copy(stores.open())
    here, there = await visitor.open(), await other.open()
    here["a"], there["b"] = 1, 2
    del there["gone"]
    assert here.incr("n", 5) == 15
    assert there.incr("n") == 11
    await visitor.close(here)
    await other.close(there)
    assert await visitor.data() == {"kept": 0, "n": 16, "a": 1, "b": 2}


@pytest.mark.parametrize("requests", REQUESTS)
async def test_many_requests_in_several_processes_lose_nothing(stores: Stores, visitor: Visitor, requests: int) -> None:
    async with visitor.request() as session:
        session["n"] = 0
    processes = [stores.open() for _ in range(PROCESSES)]
    counter = stores.subject.make()
    await counter.set("n", 0)

    async def one(number: int) -> None:
        async with visitor.copy(processes[number % PROCESSES]).request() as session:
            await asyncio.sleep(0)
            session[f"key{number}"] = number
            session.incr("n")
            session.incr("twice", 2)
        await counter.incr("n")

    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            group.create_task(one(number))
    data = await visitor.data()
    assert data.pop("n") == requests
    assert data.pop("twice") == 2 * requests
    assert data == {f"key{number}": number for number in range(requests)}
    assert await counter.get("n") == requests


async def test_a_request_that_ends_after_the_logout_brings_nothing_back(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["user"] = "ann"
    other = visitor.copy(stores.open())
    late = await other.open()
    late["last"] = "seen"
    async with visitor.request() as session:
        session.expired()
    await other.close(late)
    assert await other.data() == {}


async def test_a_request_that_ends_after_the_login_leaves_the_old_id_dead(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = 1
    other = visitor.copy(stores.open())
    late = await other.open()
    late["last"] = "seen"
    async with visitor.request() as session:
        session.cycle_id()
        session["user"] = "ann"
    await other.close(late)
    assert await other.data() == {}
    assert await visitor.data() == {"cart": 1, "user": "ann"}


async def test_a_login_takes_along_what_others_changed_meanwhile(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = 1
    login = await visitor.open()
    async with visitor.copy(stores.open()).request() as session:
        session["cart"] = 2
    login.cycle_id()
    login["user"] = "ann"
    await visitor.close(login)
    assert await visitor.data() == {"cart": 2, "user": "ann"}


async def test_two_logins_at_once_both_work(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = 1
    first, second = visitor.copy(), visitor.copy(stores.open())
    sessions: list[Session] = [await first.open(), await second.open()]
    for session in sessions:
        session.cycle_id()
        session["user"] = "ann"
    await asyncio.gather(first.close(sessions[0]), second.close(sessions[1]))
    assert (await first.data())["user"] == "ann"
    assert (await second.data())["user"] == "ann"
    assert await visitor.data() == {}


@pytest.mark.parametrize("order", ["together", "first then second", "second then first"])
async def test_two_logins_at_once_lose_no_other_data(stores: Stores, visitor: Visitor, order: str) -> None:
    async with visitor.request() as session:
        session["cart"] = [1, 2]
    first, second = visitor.copy(), visitor.copy(stores.open())
    sessions: list[Session] = [await first.open(), await second.open()]
    async with visitor.copy().request() as session:
        session["seen"] = 3
    for session, name in zip(sessions, ("ann", "bob"), strict=True):
        session.cycle_id()
        session["user"] = name
        session[name] = 1
    if order == "together":
        await asyncio.gather(first.close(sessions[0]), second.close(sessions[1]))
    elif order == "first then second":
        await first.close(sessions[0])
        await second.close(sessions[1])
    else:
        await second.close(sessions[1])
        await first.close(sessions[0])
    assert await first.data() == {"cart": [1, 2], "seen": 3, "user": "ann", "ann": 1}
    assert await second.data() == {"cart": [1, 2], "seen": 3, "user": "bob", "bob": 1}
    assert await visitor.data() == {}, "the id before the login is worth nothing"
    assert first.cookie != second.cookie


async def test_a_login_after_another_brings_nothing_back_that_was_ended(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = [1]
        session.bind_user(7)
    first, second, third = visitor.copy(), visitor.copy(stores.open()), visitor.copy(stores.open())
    sessions = [await each.open() for each in (first, second, third)]
    for session in sessions:
        session.cycle_id()
        session["user"] = "ann"
    await first.close(sessions[0])
    assert await visitor.store.revoke_user(7) == 1
    await second.close(sessions[1])
    assert await first.data() == {}
    assert "cart" not in await second.data()
    stores.clock.now += 3600
    await third.close(sessions[2])
    assert "cart" not in await third.data()


async def test_what_a_login_has_left_is_taken_along_for_a_short_while_only(stores: Stores, visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = [1]
    first, late = visitor.copy(), visitor.copy(stores.open())
    sessions = [await first.open(), await late.open()]
    for session in sessions:
        session.cycle_id()
        session["user"] = "ann"
    await first.close(sessions[0])
    stores.clock.now += 61
    await late.close(sessions[1])
    assert await late.data() == {"user": "ann"}
    assert await first.data() == {"cart": [1], "user": "ann"}


async def test_saves_at_the_same_time_keep_the_session(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = [1]
    session = await visitor.open()
    session.cycle_id()
    session["user"] = "ann"
    await asyncio.gather(session.save(), session.save())
    await visitor.close(session)
    assert await visitor.data() == {"cart": [1], "user": "ann"}


async def test_a_session_can_be_saved_more_than_once(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["log"] = ["a"]
        await session.save()
        session["log"].append("b")
        session.incr("n")
        await session.save()
        session.incr("n")
    assert await visitor.data() == {"log": ["a", "b"], "n": 2}


async def test_a_cancelled_request_does_not_hold_up_the_others(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["n"] = 0

    async def one(number: int) -> None:
        async with visitor.copy().request() as session:
            session[f"k{number}"] = 1
            session.incr("n")

    tasks = [asyncio.ensure_future(one(number)) for number in range(30)]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    data = await visitor.data()
    finished = [number for number, result in enumerate(results) if result is None]
    assert len(finished) >= 20
    assert {f"k{number}" for number in finished} <= set(data)
    assert data["n"] == len(data) - 1, "each key that was written was counted, once"
