"""Pages by number, and pages after a cursor, on every kind of server."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.db.models import Post, User
from torngas_aio.db.dbalchemy import DbSession, Pagination, session_scope
from torngas_aio.exception import ArgumentError, InvalidCursor


@pytest.fixture
async def session(backend: str) -> AsyncIterator[DbSession]:
    """23 users; each name three times."""
    async with session_scope() as session:
        session.add_all([User(id=number, name=f"u{number % 8}", visits=number % 3) for number in range(1, 24)])
        await session.commit()
        yield session.using_master()


async def test_pages_in_turn(session: DbSession) -> None:
    page = await User.Q.order_by(User.id).all().paginate(page=1, per_page=10, default=None)
    assert (page.total, page.page, page.pages, page.per_page) == (23, 1, 3, 10)
    assert [user.id for user in page.items] == list(range(1, 11))
    assert (page.has_prev, page.has_next, page.prev_num, page.next_num) == (False, True, None, 2)
    second = await page.next()
    third = await second.next()
    assert [user.id for user in third] == [21, 22, 23]
    assert (third.has_prev, third.has_next, third.prev_num, third.next_num) == (True, False, 2, None)
    assert (await third.prev()).page == 2
    assert (await page.prev()).page == 1
    beyond = await third.next()
    assert (beyond.page, list(beyond), beyond.total) == (4, [], 23)
    assert repr(page) == "<Pagination page 1 of 3, 23 rows>"


async def test_a_page_number_from_a_url(session: DbSession) -> None:
    for given, page in [("2", 2), ("x", 1), (None, 1), (0, 1), (-3, 1), ("9" * 5000, 1)]:
        assert (await User.Q.order_by(User.id).paginate(given)).page == page


async def test_a_default_stands_in_for_a_page_that_is_not_there(session: DbSession) -> None:
    assert await User.Q.paginate(99, 10, default="nothing") == "nothing"
    empty = await User.Q.filter(User.id > 99).paginate(1, 10, default="nothing")
    assert isinstance(empty, Pagination)
    assert (empty.items, empty.total, empty.pages) == ([], 0, 0)
    assert await User.Q.paginate(10**30) is None
    assert await User.Q.paginate(99, default=None) is None


@pytest.mark.parametrize("error_out", [False, None, "nothing"])
async def test_error_out_stands_in_for_a_page_before_the_first_or_after_the_last(
    session: DbSession, error_out: object
) -> None:
    first = await User.Q.order_by(User.id).paginate(1, 20)
    assert await first.prev(error_out) is error_out
    last = await first.next(error_out=error_out)
    assert last.page == 2
    assert await last.next(error_out=error_out) is error_out
    assert (await last.prev(error_out)).page == 1


@pytest.mark.parametrize("per_page", [0, -1, True, "10", 1.5])
async def test_a_page_has_a_size(per_page: Any) -> None:
    with pytest.raises(ArgumentError, match="per_page"):
        await User.Q.paginate(1, per_page)


def test_the_numbers_to_show() -> None:
    query: Any = None
    page: Pagination[Any] = Pagination(query, 10, 10, 200, [])
    assert list(page.iter_pages()) == [1, 2, None, 8, 9, 10, 11, 12, 13, 14, None, 19, 20]
    assert list(Pagination(query, 1, 10, 30, []).iter_pages()) == [1, 2, 3]
    assert list(Pagination(query, 1, 10, 0, []).iter_pages()) == []


ORDERS: list[tuple[Any, ...]] = [
    (),
    (User.name,),
    (User.name.desc(),),
    (User.visits.desc(), User.name),
    (User.id.asc(),),
]


async def test_pages_after_a_cursor_give_every_row_once(session: DbSession) -> None:
    for order in ORDERS:
        await follow(order)


async def follow(order: tuple[Any, ...]) -> None:
    last = order[-1] if order else User.id
    tie = User.id.desc() if "DESC" in str(last) else User.id
    wanted = [user.id for user in await User.Q.order_by(*order, tie)]
    seen: list[int] = []
    cursor: str | None = None
    for _ in range(10):
        page = await User.Q.order_by(*order).paginate_after(cursor, per_page=5)
        seen += [user.id for user in page]
        cursor = page.next_cursor
        if not page.has_next:
            break
    assert seen == wanted


async def test_rows_that_come_and_go_move_no_page(session: DbSession) -> None:
    first = await User.Q.paginate_after(None, 5)
    await User.Q.filter(User.id.in_([1, 2, 6])).delete()
    second = await User.Q.paginate_after(first.next_cursor, 5)
    assert [user.id for user in second] == [7, 8, 9, 10, 11]


HOSTILE = [
    '[{"decimal": "1e300000000"}]', "[NaN]", "[Infinity]", "[-Infinity]", "[1e999]", "[null]", "[true]",
    '["1"]', "[1.5]", "[[]]",
    '["\\ud800"]', '[{"uuid": "x"}]', '[{"decimal": 1}]', '[{"datetime": "2024-01-01"}]', f"[{'9' * 400}]",
    f"[{2**64}]", "[{}]",
    "[" * 1000, '[{"a": 1, "b": 2}]', '[{"decimal": ["1"]}]',
]  # fmt: skip


NO_CURSORS: list[Any] = [
    "", "x", "!!", "W10", "bnVsbA", "WzEsMl0", "W3RydWVd", "W251bGxd", "A" * 5000, "W3siYSI6MX1d", 5, b"WzFd", ["WzFd"],
    *(base64.b64encode(text.encode()).decode() for text in HOSTILE),
]  # fmt: skip


async def test_a_cursor_that_is_none_is_refused(session: DbSession) -> None:
    for cursor in NO_CURSORS:
        with pytest.raises(InvalidCursor, match="not a cursor of this query"):
            await User.Q.paginate_after(cursor, 5)


async def test_an_order_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(ArgumentError, match="columns of User"):
        await User.Q.order_by(User.visits + 1).paginate_after()
    with pytest.raises(ArgumentError, match="columns of User"):
        await User.Q.join(Post, Post.author_id == User.id).order_by(Post.title).paginate_after()
    with pytest.raises(ArgumentError, match="one model"):
        await DbSession.query(None, User.id).paginate_after()  # type: ignore[arg-type]  # no session is asked
