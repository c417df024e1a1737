"""Life cycle of a session: creation, renewal, new id, end."""

from decimal import Decimal
from typing import Any

import pytest

from tests.contracts.session.visitor import Stores, Visitor
from torngas_aio.exception import SerializationError, SessionError


async def test_what_one_request_puts_the_next_finds(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["name"] = "日本 🐢"
        session["cart"] = [1, {"x": None}]
    async with visitor.request() as session:
        assert dict(session) == {"name": "日本 🐢", "cart": [1, {"x": None}]}
        assert session["absent"] is None
        assert "absent" not in session
        assert session.get("absent", 7) == 7
        assert not session.is_new


async def test_a_session_without_data_is_never_begun(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session.set_expire(60)
        session.pop("x")
        del session["y"]
        session.clear()
        session.cycle_id()
        session.expired()
        assert session.sessionid is None
    assert visitor.cookie is None


async def test_it_works_as_a_dict(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session.update(a=1, b=2, c=3)
        assert session.setdefault("a", 9) == 1
        assert session.setdefault("d", 4) == 4
    async with visitor.request() as session:
        del session["a"]
        del session["a"]
        assert session.pop("b") == 2
        assert session.pop("b", "gone") == "gone"
        assert sorted(session) == ["c", "d"]
        assert len(session) == 2
        assert sorted(session.items()) == [("c", 3), ("d", 4)]
        assert session
    assert await visitor.data() == {"c": 3, "d": 4}
    async with visitor.request() as session:
        session.clear()
        assert not session
        session["e"] = 5
    assert await visitor.data() == {"e": 5}


async def test_a_changed_list_is_saved_though_nothing_was_put(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = [1]
        session["cart"].append(2)
    async with visitor.request() as session:
        session["cart"].append(3)
        session["read"] = session["cart"]
    async with visitor.request() as session:
        assert session["cart"] == [1, 2, 3]
        assert not session.is_changed


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


ENDLESS: list[Any] = []
ENDLESS.append({"a": ENDLESS})


@pytest.mark.parametrize(
    "value",
    [{1}, b"x", object(), {1: 2}, [{"deep": {1}}], 1j, "\ud800", nested(300), nested(100_000), ENDLESS, 10**5000],
    ids=range(11),
)
async def test_what_json_cannot_hold_is_refused_with_its_key(visitor: Visitor, value: object) -> None:
    async def put() -> None:
        async with visitor.request() as session:
            session["fine"] = 1
            session["basket"] = value

    with pytest.raises(SerializationError, match=r"session\['basket'\]") as caught:
        await put()
    assert visitor.cookie is None
    assert value != {1} or "SESSION['serializer']" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "kept"), [((1, 2), [1, 2]), ([{"deep": (1, (2,))}], [{"deep": [1, [2]]}]), ({"a": ()}, {"a": []})]
)
async def test_a_tuple_is_kept_as_a_list_with_a_warning(
    visitor: Visitor, value: object, kept: object, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"basket{value!r}"
    async with visitor.request() as session:
        session[name] = value
    assert "SESSION['serializer'] = 'signed-pickle' keeps tuples" in caplog.text
    async with visitor.request() as session:
        assert session[name] == kept
        assert not session.is_changed


async def test_a_list_that_was_changed_into_something_else_is_refused_at_the_save(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = [1]
    session = await visitor.open()
    session["cart"].append(object())
    with pytest.raises(SerializationError, match="session\\['cart'\\]\\[1\\]"):
        await session.save()
    assert await visitor.data() == {"cart": [1]}


async def test_a_key_that_is_no_text_is_refused(visitor: Visitor) -> None:
    async with visitor.request() as session:
        with pytest.raises(SessionError, match="text, not int"):
            session[1] = "x"  # type: ignore[index]  # rejected at run time


async def test_login_renews_the_id_and_keeps_the_data(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["cart"] = "full"
    before, old_id = visitor.copy(), session.sessionid
    async with visitor.request() as session:
        session.cycle_id()
        session.cycle_id()
        session["user"] = "ann"
        assert session.sessionid != old_id
    assert await visitor.data() == {"cart": "full", "user": "ann"}
    assert await before.data() == {}


async def test_logout_takes_the_cookie_back_and_removes_the_record(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["user"] = "ann"
    thief = visitor.copy()
    async with visitor.request() as session:
        session.expired()
        assert session["user"] is None
    assert visitor.cookie is None
    assert await thief.data() == {}


async def test_what_is_put_after_the_end_starts_another_session(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["user"] = "ann"
    before, old_id = visitor.copy(), session.sessionid
    async with visitor.request() as session:
        session.cycle_id()
        session.expired()
        session["notice"] = "bye"
    assert session.sessionid != old_id
    assert await visitor.data() == {"notice": "bye"}
    assert await before.data() == {}


async def test_an_idle_session_ends_and_a_used_one_goes_on(stores: Stores) -> None:
    unit = stores.subject.unit
    visitor = Visitor(stores.open(expires=max(1, int(unit * 3))))
    async with visitor.request() as session:
        session["user"] = "ann"
    step = visitor.store.config.expires * 0.5
    for _ in range(3):
        await stores.subject.wait(step)
        assert await visitor.data() == {"user": "ann"}
    await stores.subject.wait(step * 3)
    assert await visitor.data() == {}


async def test_a_session_ends_at_its_age_however_busy_it_is(stores: Stores) -> None:
    visitor = Visitor(stores.open(absolute_expires=1000))
    async with visitor.request() as session:
        session["user"] = "ann"
    await stores.clock.wind(999)
    assert await visitor.data() == {"user": "ann"}
    await stores.clock.wind(1)
    assert await visitor.data() == {}
    await stores.clock.wind(-1)
    assert await visitor.data() == {}, "it was removed, not hidden"


async def test_the_cookie_of_a_lasting_session_is_renewed_as_it_ages(stores: Stores) -> None:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["user"] = "ann"
    assert visitor.max_age == ""
    async with visitor.request() as session:
        session.set_expire(1000)
    assert visitor.max_age == "1000"
    first = visitor.cookie
    await stores.clock.wind(99)
    await visitor.data()
    assert visitor.cookie == first
    await stores.clock.wind(1)
    await visitor.data()
    assert visitor.cookie != first
    assert await visitor.data() == {"user": "ann"}


async def test_a_lost_cookie_of_a_new_life_does_no_harm(stores: Stores) -> None:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["user"] = "ann"
    browser = visitor.copy()  # the response to this copy is lost
    async with visitor.request() as session:
        session.set_expire(1000)
    assert await browser.data() == {"user": "ann"}
    assert browser.max_age == "1000"


async def test_a_changed_address_ends_the_session(stores: Stores) -> None:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["user"] = "ann"
    thief = Visitor(visitor.store, visitor.cookie, "10.6.6.6")
    assert await thief.data() == {}
    assert await visitor.data() == {}, "ended, also for the visitor"


async def test_a_changed_address_may_be_ignored(stores: Stores) -> None:
    visitor = Visitor(stores.open(ignore_change_ip=True))
    async with visitor.request() as session:
        session["user"] = "ann"
    visitor.address = "2001:db8::1"
    assert await visitor.data() == {"user": "ann"}


async def test_another_session_version_ends_all_sessions(stores: Stores) -> None:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["user"] = "ann"
    assert await visitor.copy(stores.open(session_version="2")).data() == {}
    assert await visitor.copy(stores.open(session_version="1")).data() == {"user": "ann"}


async def test_clearing_the_cache_leaves_sessions_alone(stores: Stores) -> None:
    visitor = Visitor(stores.open())
    async with visitor.request() as session:
        session["user"] = "ann"
    await stores.subject.make().clear()
    assert await visitor.data() == {"user": "ann"}


async def test_a_nested_list_comes_back(visitor: Visitor) -> None:
    async with visitor.request() as session:
        session["list"] = nested(250)
    assert await visitor.data() == {"list": nested(250)}


@pytest.mark.parametrize(
    ("key", "delta"),
    [(3, 1), (None, 1), ("n", 1j), ("n", Decimal(1)), ("n", "1"), ("n", None), ("n", [1]), ("n", True)],
)
async def test_only_numbers_are_counted_under_text(visitor: Visitor, key: Any, delta: Any) -> None:
    async with visitor.request() as session:
        with pytest.raises(SessionError):
            session.incr(key, delta)
        assert not session.is_changed


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e300, 2**63, "60", None])
async def test_a_life_that_no_store_holds_is_refused(visitor: Visitor, seconds: Any) -> None:
    async with visitor.request() as session:
        session["a"] = 1
        with pytest.raises(SessionError, match="set_expire"):
            session.set_expire(seconds)
    assert await visitor.data() == {"a": 1}


@pytest.mark.parametrize(("seconds", "life"), [(0.5, "1"), (1.2, "2"), (60.0, "60"), (10**10, "10000000000")])
async def test_a_life_is_rounded_up(visitor: Visitor, seconds: float, life: str) -> None:
    """Half a second must not become 0, which means no limit."""
    async with visitor.request() as session:
        session["a"] = 1
        session.set_expire(seconds)
    assert visitor.max_age == life
    assert await visitor.data() == {"a": 1}
