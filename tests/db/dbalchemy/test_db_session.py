"""What torngas 1.8's queries and models could do: unions, subqueries, expressions, and errors that say the new way."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, and_, func, or_, select, text
from sqlalchemy.orm import DynamicMapped, Mapped, mapped_column, relationship, selectinload

from tests.db.models import Post, User
from tests.db.support import configured, prepared
from torngas_aio._concurrency import run_in_thread
from torngas_aio._unawaited import collected_unawaited
from torngas_aio.context import Outcome
from torngas_aio.db.dbalchemy import DbSession, Model, Query, session_scope
from torngas_aio.exception import ArgumentError, NotLoaded


class Scribe(Model):
    __tablename__ = "scribes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    jottings: DynamicMapped["Jotting"] = relationship()


class Jotting(Model):
    __tablename__ = "jottings"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column("scribe", ForeignKey("scribes.id"))


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[DbSession]:
    with configured({"default": {"connections": [{"DATABASE": str(tmp_path / "a.db")}]}}):
        async with prepared(), session_scope() as session:
            for number, name in enumerate(["ann", "bob", "cid", "dan"], 1):
                session.add(User(id=number, name=name, posts=[Post(title=f"{name} {n}") for n in range(number - 1)]))
            await session.commit()
            session.expunge_all()
            yield session


async def names(query: Query[Any]) -> list[str]:
    return [user.name for user in await query]


async def test_other_entities_of_the_same_rows(session: DbSession) -> None:
    assert await User.Q.filter(User.id < 3).with_entities(User.name).all() == [("ann",), ("bob",)]
    assert await User.Q.with_entities(func.max(User.id)).scalar() == 4
    rows = await User.Q.filter(User.id == 1).add_columns(User.name.label("n")).all()
    assert [(row[0].id, row.n) for row in rows] == [(1, "ann")]
    counted = await Post.Q.with_entities(Post.author_id, func.count()).group_by(Post.author_id).order_by(Post.author_id)
    assert counted == [(2, 1), (3, 2), (4, 3)]


async def test_unions_are_filtered_and_sorted_like_any_query(session: DbSession) -> None:
    low, high = User.Q.filter(User.id <= 2), User.Q.filter(User.id >= 2)
    both = low.union(high)
    assert await names(both.order_by(User.id.desc())) == ["dan", "cid", "bob", "ann"]
    assert await both.count() == 4
    assert await names(both.filter(User.name < "c").order_by(User.id).limit(1)) == ["ann"]
    assert await low.union_all(high).count() == 4
    assert len(await low.with_entities(User.id).union_all(high.with_entities(User.id))) == 5
    assert len(await low.with_entities(User.id).union(high.with_entities(User.id))) == 4
    assert await names(low.limit(1).union(User.Q.filter(User.id == 4)).order_by(User.id)) == ["ann", "dan"]


async def test_what_is_asked_may_be_named(session: DbSession) -> None:
    assert await session.query(func.count()).select_from(User).scalar() == 4


async def test_the_scoped_session_of_1_8(session: DbSession) -> None:
    """`Model.session()` gave the session; `Model.session.remove()` ended each script and callback."""
    assert User.session() is session
    user = await User.Q.filter(User.id == 1).one()
    user.name = "eve"
    await User.session.remove()
    assert user not in session
    assert await names(User.Q.filter(User.id == 1)) == ["ann"]


async def test_a_subquery_is_joined(session: DbSession) -> None:
    sub = Post.Q.with_entities(Post.author_id, func.count().label("n")).group_by(Post.author_id).subquery()
    found = await User.Q.join(sub, sub.c.author_id == User.id).filter(sub.c.n > 1).order_by(User.id)
    assert [user.name for user in found] == ["cid", "dan"]


async def test_a_query_is_an_expression(session: DbSession) -> None:
    authors = Post.Q.filter(Post.title.like("%2")).with_entities(Post.author_id)
    assert await names(User.Q.filter(User.id.in_(authors))) == ["dan"]
    assert await names(User.Q.filter(User.id.not_in(authors)).order_by(User.id)) == ["ann", "bob", "cid"]


async def test_exists_is_awaited_or_an_expression(session: DbSession) -> None:
    assert await User.Q.filter(User.id == 1).exists() is True
    assert await User.Q.filter(User.id == 9).exists() is False
    has_post = Post.Q.filter(Post.author_id == User.id).exists
    assert await names(User.Q.filter(has_post()).order_by(User.id)) == ["bob", "cid", "dan"]
    assert await names(User.Q.filter(~has_post())) == ["ann"]
    assert await names(User.Q.filter(has_post() & (User.id > 3))) == ["dan"]
    assert await names(User.Q.filter(or_(~has_post(), User.id == 2)).order_by(User.id)) == ["ann", "bob"]
    assert await names(User.Q.filter(and_(has_post(), User.id == 2))) == ["bob"]
    assert await session.query(User.Q.filter(User.id == 1).exists()).scalar() is True
    with collected_unawaited() as found, pytest.raises(TypeError, match=r"Query.exists\(\) has not been awaited"):
        bool(User.Q.exists())
    assert len(found) == 1


async def test_statements_and_parameters_of_text(session: DbSession) -> None:
    raw = text("SELECT * FROM users WHERE id > :low ORDER BY id")
    assert await names(User.Q.from_statement(raw).params(low=2)) == ["cid", "dan"]
    assert await names(User.Q.filter(text("id = :id")).params(id=3)) == ["cid"]
    assert await names(User.Q.order_by(User.id).yield_per(2)) == ["ann", "bob", "cid", "dan"]
    assert [user.name async for user in User.Q.order_by(User.id).yield_per(2)] == ["ann", "bob", "cid", "dan"]


async def test_slices_and_indexes(session: DbSession) -> None:
    assert await names(User.Q.order_by(User.id)[1:3]) == ["bob", "cid"]
    assert await names(User.Q.order_by(User.id).slice(2, 9)) == ["cid", "dan"]
    for index in (0, -1, slice(0, 4, 2)):
        with pytest.raises(TypeError, match=r"offset\(3\)\.first\(\).*await query\.all\(\)"):
            User.Q[index]


@pytest.mark.parametrize(("name", "hint"), [("extra", "There are .*id, name"), ("nane", "Did you mean 'name'")])
def test_a_model_says_which_column_is_unknown(name: str, hint: str) -> None:
    with pytest.raises(ArgumentError, match=rf"User\({name}=\.\.\.\).*{hint}"):
        User(**{name: 1})
    with pytest.raises(TypeError):
        User(**{name: 1})
    assert User(name="x", posts=[Post(title="y")]).posts[0].author.name == "x"


async def test_a_relationship_that_was_not_loaded_says_how(session: DbSession) -> None:
    user = await User.Q.filter(User.id == 3).one()
    told = r"User\.posts was not loaded.*selectinload\(User\.posts\).*awaitable_attrs\.posts"
    with pytest.raises(NotLoaded, match=told):
        _ = user.posts
    assert len(await user.awaitable_attrs.posts) == 2
    assert len(user.posts) == 2
    session.expunge_all()
    post = await Post.Q.filter(Post.author_id == 3).first()
    assert post is not None
    with pytest.raises(NotLoaded, match=r"Post\.author was not loaded.*awaitable_attrs\.author"):
        _ = post.author
    assert (await post.awaitable_attrs.author).name == "cid"
    loaded = await User.Q.options(selectinload(User.posts)).filter(User.id == 4).one()
    assert len(loaded.posts) == 3
    await session.commit()


async def test_a_column_that_has_expired_says_how(session: DbSession) -> None:
    user = await User.Q.filter(User.id == 3).one()
    await session.rollback()
    told = r"A column of User has expired.* at a rollback.* before the rollback.*session\.refresh\(obj\)"
    with pytest.raises(NotLoaded, match=told):
        _ = user.name
    assert await user.awaitable_attrs.name == "cid"
    assert user.name == "cid"


async def test_what_was_not_loaded_says_so_in_a_thread_too(session: DbSession) -> None:
    user = await User.Q.filter(User.id == 3).one()
    with pytest.raises(NotLoaded, match=r"User\.posts was not loaded"):
        await run_in_thread(lambda: user.posts)
    await session.rollback()
    with pytest.raises(NotLoaded, match=r"A column of User has expired"):
        await run_in_thread(lambda: user.name)
    assert await user.awaitable_attrs.name == "cid"


DYNAMIC: dict[str, Callable[[Any], Any]] = {
    "count": lambda user: user.jottings.count(),
    "all": lambda user: user.jottings.all(),
    "first": lambda user: user.jottings.first(),
    "iteration": lambda user: list(user.jottings),
    "index": lambda user: user.jottings[0],
    "slice": lambda user: user.jottings[0:1],
    "len": lambda user: len(list(user.jottings)),
    "filter": lambda user: user.jottings.filter_by(id=1).count(),
    "order": lambda user: user.jottings.order_by(Jotting.id.desc()).first(),
}


@pytest.mark.parametrize("use", DYNAMIC)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_dynamic_relationship_says_how_to_ask(session: DbSession, use: str, in_thread: bool) -> None:
    session.add_all([Scribe(id=3, name="cid"), Jotting(id=1, author_id=3), Jotting(id=2, author_id=3)])
    await session.commit()
    user = await Scribe.Q.filter(Scribe.id == 3).one()
    told = (
        r"Scribe\.jottings has lazy='dynamic'.*`await Jotting\.Q\.filter\(Jotting\.author_id == obj\.id\)\.count\(\)`"
    )
    with pytest.raises(NotLoaded, match=told):
        await run_in_thread(DYNAMIC[use], user) if in_thread else DYNAMIC[use](user)
    assert await session.run_sync(lambda _: user.jottings.count()) == 2
    assert await Jotting.Q.filter(Jotting.author_id == user.id).count() == 2


async def test_a_dynamic_relationship_with_changes_to_flush(session: DbSession) -> None:
    user = Scribe(id=3, name="cid")
    session.add(user)
    await session.commit()
    user.name = "changed"
    with pytest.raises(NotLoaded, match=r"to be flushed outside of any await.*Await `session.flush\(\)`"):
        user.jottings.count()
    await session.rollback()


async def test_a_statement_outside_of_any_await(session: DbSession) -> None:
    with pytest.raises(NotLoaded, match=r"`await session.execute\(...\)`"):
        session.sync_session.execute(select(User.id))
    with pytest.raises(NotLoaded, match=r"`await session.execute\(...\)`"):
        session.sync_session.execute(text("SELECT 1"))


@pytest.mark.parametrize("name", ["on_commit", "on_rollback"])
async def test_what_waits_for_the_end_of_a_transaction_is_not_put_off_by_rows_that_are_read(
    session: DbSession, name: str
) -> None:
    told: list[str] = []
    await session.stream(select(User.name).order_by(User.id))
    getattr(session, name)(lambda: told.append(name))
    await session.settle(Outcome(SimpleNamespace(get_status=lambda: 200), None, has_returned=True))
    await session.close()
    assert told == (["on_commit"] if name == "on_commit" else [])
