"""The session as a handler holds it: a dict whose missing keys are None, and what it says of its life.

What is stored, on every store, is in `tests/contracts/session`.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.session.visitor import Visitor
from tests.session.conftest import RemoteCache
from tests.session.test_store import opened
from torngas_aio.exception import SerializationError, SessionError
from torngas_aio.session import Session
from torngas_aio.session.config import MAX_LIFE


@pytest.fixture
def visitor(cache: RemoteCache) -> Visitor:
    return opened(cache)


@pytest.fixture
async def session(visitor: Visitor) -> Session:
    """A session that is stored and holds `a` and `list`."""
    async with visitor.request() as session:
        session.update(a=1, list=[1])
    return await visitor.open()


async def test_a_missing_key_is_none(session: Session) -> None:
    assert session["absent"] is None
    assert session.get("absent", 7) == 7
    assert session.pop("absent") is None
    assert session.pop("absent", 7) == 7
    del session["absent"]
    assert "absent" not in session
    assert not session.is_changed


async def test_it_is_a_dict_besides(session: Session) -> None:
    assert (len(session), sorted(session), dict(session)) == (2, ["a", "list"], {"a": 1, "list": [1]})
    assert session.setdefault("a", 2) == 1
    assert session.setdefault("b", 2) == 2
    assert session.pop("a") == 1
    assert dict(session) == {"list": [1], "b": 2}
    assert session


async def test_looking_changes_nothing(session: Session) -> None:
    assert session["a"] == 1
    assert session.get("list") == [1]
    assert list(session.values()) == [1, [1]]
    assert not session.is_changed


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.__setitem__("a", 1),
        lambda session: session["list"].append(2),
        lambda session: session.get("list").append(2),
        lambda session: next(iter(session.items())) and session["list"].clear(),
        lambda session: session.pop("a"),
        lambda session: session.clear(),
        lambda session: session.incr("a"),
        lambda session: session.set_expire(60),
        lambda session: session.expired(),
        lambda session: session.cycle_id(),
        lambda session: session.bind_user(7),
        lambda session: session.bind_user(None),
    ],
)
async def test_each_change_is_noticed_and_saved_once(
    session: Session, cache: RemoteCache, change: Callable[[Session], object]
) -> None:
    change(session)
    assert session.is_changed
    await session.save()
    assert not session.is_changed
    cache.trips.clear()
    await session.save()
    assert not cache.trips


async def test_a_new_session_begins_with_what_is_put(visitor: Visitor) -> None:
    session = await visitor.open()
    for change in (session.clear, session.cycle_id):
        change()
    session.pop("a")
    assert (session.sessionid, session.is_new, session.is_changed, bool(session)) == (None, True, False, False)
    session["a"] = None
    assert session.sessionid is not None
    assert (session.is_new, session.is_changed, "a" in session) == (True, True, True)
    await session.save()
    assert not session.is_new


@pytest.mark.parametrize("key", [1, b"a", None, True, ("a",)])
async def test_a_key_is_text(session: Session, key: Any) -> None:
    for use in (lambda: session.__setitem__(key, 1), lambda: session.incr(key), lambda: session.setdefault(key, 1)):
        with pytest.raises(SessionError, match="a key is text, not "):
            use()
    assert session[key] is None
    assert not session.is_changed


async def test_a_value_that_cannot_be_kept_is_refused_where_it_is_put(session: Session) -> None:
    for value in (object(), {1: "a"}, [b"bytes"]):
        with pytest.raises(SerializationError, match="'new'"):
            session["new"] = value
    assert "new" not in session
    assert not session.is_changed


@pytest.mark.parametrize(
    ("start", "delta", "total"), [(None, 1, 1), (4, 2, 6), (4, -5, -1), (0.5, 1, 1.5), (1, 0.25, 1.25)]
)
async def test_counting_begins_at_0(session: Session, start: Any, delta: float, total: float) -> None:
    if start is not None:
        session["n"] = start
    assert session.incr("n", delta) == total
    assert session["n"] == total


@pytest.mark.parametrize(("old", "delta"), [("4", 1), ([], 1), (True, 1), (1, True), (1, "2"), (1, None)])
async def test_what_is_no_number_is_not_counted(session: Session, old: Any, delta: Any) -> None:
    session["n"] = old
    with pytest.raises(SessionError, match=r"session\.incr\('n'\): \w+ is no number to count with"):
        session.incr("n", delta)
    assert session["n"] == old


@pytest.mark.parametrize("seconds", [-1, -0.1, MAX_LIFE + 1, math.nan, math.inf, "60", None, [60]])
async def test_a_life_is_a_number_of_seconds_within_bounds(session: Session, seconds: Any) -> None:
    with pytest.raises(SessionError, match=rf"write a number from 0 to {MAX_LIFE}"):
        session.set_expire(seconds)
    assert not session.is_changed


async def test_the_user_is_known_before_and_after_it_is_saved(session: Session, visitor: Visitor) -> None:
    assert session.user == ""
    session.bind_user(7)
    assert session.user == "7"
    await visitor.close(session)
    again = await visitor.open()
    assert again.user == "7"
    again.bind_user(None)
    assert again.user == ""


async def test_a_login_renews_the_id_once_until_it_is_saved(session: Session) -> None:
    first = session.sessionid
    session.cycle_id()
    second = session.sessionid
    session.cycle_id()
    assert session.sessionid == second != first
    await session.save()
    session.cycle_id()
    assert session.sessionid not in {first, second}


async def test_what_is_put_after_the_end_begins_another(session: Session) -> None:
    first = session.sessionid
    session.expired()
    assert (dict(session), session.sessionid) == ({}, None)
    session["a"] = 2
    assert session.sessionid not in {None, first}
    assert session.is_new


async def test_nothing_of_it_is_shown(session: Session) -> None:
    session["password"] = "hunter2"
    assert repr(session) == str(session) == "<Session with 3 keys>"
    assert str(session.sessionid) not in f"{session!r}"
