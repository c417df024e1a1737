"""`Model.Q` on every kind of server: the calls of torngas 1.8, awaited."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy import func, text
from sqlalchemy.orm import selectinload

from tests.db.models import Post, User
from torngas_aio.db.dbalchemy import DbSession, session_scope
from torngas_aio.exception import ArgumentError

NAMES = ["ann", "bob", "cid", "dan", "eve"]


@pytest.fixture
async def session(backend: str) -> AsyncIterator[DbSession]:
    """Five users, two of whom have written; on the master, since the slaves may lag."""
    async with session_scope() as session:
        session.add_all([User(id=number, name=name, visits=number % 2) for number, name in enumerate(NAMES, 1)])
        await session.flush()
        session.add_all(
            [Post(id=1, title="x", author_id=1), Post(id=2, title="y", author_id=1), Post(id=3, title="z", author_id=3)]
        )
        await session.commit()
        yield session.using_master()


def names(users: list[User]) -> list[str]:
    return [user.name for user in users]


async def test_filters_and_order(session: DbSession) -> None:
    assert names(await User.Q.filter(User.name == "bob").all()) == ["bob"]
    assert names(await User.Q.filter(User.id > 1, User.id < 4).order_by(User.id)) == ["bob", "cid"]
    assert names(await User.Q.where(User.id > 3).order_by(User.name.desc())) == ["eve", "dan"]
    assert names(await User.Q.filter_by(visits=0).order_by(User.id)) == ["bob", "dan"]
    assert names(await User.Q.order_by(User.id).limit(2).offset(1)) == ["bob", "cid"]
    assert names(await User.Q.order_by(User.id)[3:]) == ["dan", "eve"]
    assert names(await User.Q.order_by(User.id)[1:3]) == ["bob", "cid"]
    assert names(await User.Q.filter(text("name = :name").bindparams(name="eve"))) == ["eve"]


async def test_a_chain_leaves_the_query_it_started_from_as_it_was(session: DbSession) -> None:
    users = User.Q.order_by(User.id)
    assert names(await users.filter(User.id == 1)) == ["ann"]
    assert len(await users) == 5
    assert len(await users) == 5


async def test_one_row(session: DbSession) -> None:
    first = await User.Q.order_by(User.id).first()
    assert first is not None
    assert first.name == "ann"
    assert await User.Q.filter(User.id == 99).first() is None
    assert (await User.Q.filter(User.id == 2).one()).name == "bob"
    assert await User.Q.filter(User.id == 99).one_or_none() is None
    with pytest.raises(sa_exc.NoResultFound):
        await User.Q.filter(User.id == 99).one()
    with pytest.raises(sa_exc.MultipleResultsFound):
        await User.Q.one()
    assert await User.Q.get(1) is first
    assert await User.Q.get(99) is None
    assert await User.Q.options(selectinload(User.posts)).get(1) is first


async def test_numbers(session: DbSession) -> None:
    assert await User.Q.count() == 5
    assert await User.Q.filter(User.visits == 1).order_by(User.id).count() == 3
    assert await User.Q.limit(2).count() == 2
    assert await User.session.query(User.visits).distinct().count() == 2
    assert await User.session.query(User.visits).group_by(User.visits).having(func.count() > 2).count() == 1
    assert await User.Q.exists() is True
    assert await User.Q.filter(User.id == 99).exists() is False
    assert await User.session.query(func.max(User.id)).scalar() == 5
    assert await User.Q.join(User.posts).count() == 3


async def test_columns_come_as_rows(session: DbSession) -> None:
    rows = await session.query(User.id, User.name).filter(User.id < 3).order_by(User.id)
    assert [tuple(row) for row in rows] == [(1, "ann"), (2, "bob")]
    counted = session.query(User.visits, func.count(User.id)).group_by(User.visits).order_by(User.visits)
    assert [tuple(row) for row in await counted] == [(0, 2), (1, 3)]


async def test_joins_give_each_object_once(session: DbSession) -> None:
    assert names(await User.Q.join(User.posts).order_by(User.id)) == ["ann", "cid"]
    assert names(await User.Q.join(Post, Post.author_id == User.id).filter(Post.title == "z")) == ["cid"]
    without = User.Q.outerjoin(User.posts).filter(Post.id.is_(None)).order_by(User.id)
    assert names(await without) == ["bob", "dan", "eve"]
    ann = (
        await User.Q.options(selectinload(User.posts)).filter(User.id == 1).execution_options(populate_existing=True)
    )[0]
    assert sorted(str(post.title) for post in ann.posts) == ["x", "y"]


async def test_update_and_delete_tell_how_many(session: DbSession) -> None:
    user = await User.Q.get(2)
    assert user is not None
    assert await User.Q.filter(User.visits == 0).update({"visits": User.visits + 10}) == 2
    assert user.visits == 10
    assert await User.Q.filter(User.id == 2).update({User.name: "bill"}, synchronize_session="fetch") == 1
    assert user.name == "bill"
    assert await Post.Q.filter(Post.author_id == 1).delete() == 2
    assert await Post.Q.filter(Post.author_id == 1).delete(synchronize_session=False) == 0
    assert await Post.Q.count() == 1
    assert await User.Q.update({"visits": 0}) == 5


async def test_rows_stream(session: DbSession) -> None:
    assert [user.name async for user in User.Q.order_by(User.id)] == NAMES
    assert [row.name async for row in session.query(User.name).order_by(User.id)] == NAMES
    async for user in User.Q.order_by(User.id):
        assert user.name == "ann"
        break
    assert await User.Q.count() == 5


async def test_what_update_and_delete_cannot_honour_is_refused(session: DbSession) -> None:
    for query, part in [
        (User.Q.limit(1), "limit"),
        (User.Q.offset(1), "offset"),
        (User.Q.order_by(User.id), "order_by"),
        (User.Q.group_by(User.id), "group_by"),
        (User.Q.join(User.posts), "join"),
        (User.Q.distinct(), "distinct"),
    ]:
        with pytest.raises(ArgumentError, match=rf"delete\(\) cannot honour {part}"):
            await query.delete()
    with pytest.raises(ArgumentError, match=r"update\(\) works on a query of one model"):
        await session.query(User.id).update({"id": 1})
    with pytest.raises(ArgumentError, match=r"get\(\) cannot honour a filter"):
        await User.Q.filter(User.id == 1).get(1)
    assert await User.Q.count() == 5


def test_raw_text_is_refused_with_the_mend() -> None:
    with pytest.raises(ArgumentError, match=r"filter\(text\('name = :name'\)"):
        User.Q.filter("name = 'jack' OR 1=1")
    with pytest.raises(ArgumentError, match="raw text"):
        User.Q.having("1")
    with pytest.raises(ArgumentError, match="made in Python"):
        User.Q.filter(User.name.key == "jack")


def test_a_query_that_is_not_awaited_says_so() -> None:
    with pytest.raises(TypeError, match="async for"):
        list(User.Q)
    with pytest.raises(TypeError, match="count"):
        len(User.Q)
    with pytest.raises(TypeError, match="exists"):
        bool(User.Q)
    with pytest.raises(TypeError, match="slices"):
        User.Q[3]
    with pytest.raises(TypeError, match="slices"):
        User.Q[0:10:2]


def test_a_query_shows_its_sql() -> None:
    assert repr(User.Q.filter(User.id == 1)).startswith("<Query SELECT users.id, users.name, users.visits FROM users")
