"""What a request has done to a session: what is not stored is told, and can be saved again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.session.conftest import RemoteCache
from tests.session.test_store import opened
from torngas_aio.exception import CacheUnavailable

CHANGES: dict[str, Callable[[Any], object]] = {
    "put": lambda session: session.update(b=2),
    "pop": lambda session: session.pop("user", None),
    "del": lambda session: session.__delitem__("user"),
    "setdefault": lambda session: session.setdefault("b", []),
    "incr": lambda session: session.incr("n"),
    "clear": lambda session: session.clear(),
    "cycle_id": lambda session: session.cycle_id(),
    "bind_user": lambda session: session.bind_user(7),
    "unbind": lambda session: session.bind_user(None),
    "set_expire": lambda session: session.set_expire(60),
    "expired": lambda session: session.expired(),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("is_back", [False, True])
async def test_no_change_of_an_empty_session_is_taken_for_stored(cache: RemoteCache, name: str, is_back: bool) -> None:
    visitor = opened(cache, when_unavailable="empty")
    async with visitor.request() as session:
        session["user"] = "ann"
    cache.is_down = True
    session = await visitor.open()
    CHANGES[name](session)
    assert session.is_changed
    cache.is_down = not is_back
    for _ in range(2):
        with pytest.raises(CacheUnavailable, match=r"could not be changed: .*10\.9\.9\.9"):
            await session.save()
    line = visitor.store.set_cookie(session.state)
    assert (line is not None and "Max-Age=0" in line) == (name == "expired"), "a logout takes the cookie back"
    cache.is_down = False
    assert await visitor.data() == {"user": "ann"}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("mode", ["fail", "empty"])
async def test_a_change_that_could_not_be_stored_is_told_and_can_be_saved_again(
    cache: RemoteCache, name: str, mode: str
) -> None:
    visitor = opened(cache, when_unavailable=mode)
    async with visitor.request() as session:
        session.update(user="ann", n=4)
        session.bind_user(1)
    session = await visitor.open()
    CHANGES[name](session)
    cache.is_down = True
    for _ in range(2):
        with pytest.raises(CacheUnavailable):
            await session.save()
    cache.is_down = False
    more: dict[str, dict[str, Any]] = {"put": {"b": 2}, "setdefault": {"b": []}, "incr": {"n": 5}}
    expected = {"user": "ann", "n": 4, **more.get(name, {})}
    expected = {} if name in {"clear", "expired"} else expected
    if name in {"pop", "del"}:
        del expected["user"]
    await visitor.close(session)
    assert await visitor.data() == expected


@pytest.mark.parametrize("turns", range(8))
async def test_a_save_that_is_cancelled_leaves_the_login_to_the_next(cache: RemoteCache, turns: int) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["cart"] = [1]
    session = await visitor.open()
    session.cycle_id()
    session["user"] = "ann"
    tasks = [asyncio.ensure_future(session.save()) for _ in range(2)]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await visitor.close(session)
    assert await visitor.data() == {"cart": [1], "user": "ann"}
