"""What a statement does to a database, as the routing sees it; and the look-up of one object by its key.

A look-up answers as SQLAlchemy's own `get`, whatever the model and the key are like.
"""

import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import (
    ForeignKey,
    Sequence,
    String,
    delete,
    event,
    func,
    insert,
    lambda_stmt,
    literal,
    select,
    text,
    union,
    update,
)
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship, selectinload
from sqlalchemy.schema import CreateTable

from tests.db.models import Post, User
from tests.db.support import configured
from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import DbSession, Model, session_scope
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.db.dbalchemy.statements import Effect, effect_of, lookup_of

READS: list[Any] = [
    select(User),
    select(User).where(User.id == 1).order_by(User.name).limit(3).options(selectinload(User.posts)),
    select(User.id, User.name),
    select(aliased(User)),
    select(func.count()).select_from(User),
    select(func.max(User.id), func.LOWER(User.name)),
    select(select(User).exists()),
    select(User).join(Post),
    select(User).where(User.id.in_(select(Post.author_id))),
    union(select(User.id), select(Post.id)),
    select(literal(1)),
    select(text("@@server_id")),
    select(func.row_number().over(order_by=User.id)),
    lambda_stmt(lambda: select(User)),
]
CHANGES: list[Any] = [
    insert(User),
    update(User),
    delete(User),
    CreateTable(Post.metadata.tables["posts"]),
    select(func.my_procedure(1)),
    select(func.schema.lower(1)),
    select(User).where(User.id == 1, User.id == select(func.my_procedure(1)).scalar_subquery()).add_columns(literal(1)),
    select(Sequence("numbers").next_value()),
    select(insert(User).returning(User.id).cte("made").c.id),
    text("UPDATE users SET name = ''"),
    text("CALL my_procedure()"),
    text("WITH made AS (INSERT INTO t VALUES (1) RETURNING id) SELECT * FROM made"),
    text("SELECT 1; DELETE FROM users"),
]
LOCKS: list[Any] = [
    select(User).with_for_update(),
    select(User.id).with_for_update(read=True),
    select(select(User.id).with_for_update().subquery().c.id, literal(1)),
    union(select(User.id), select(Post.id)).with_for_update(),
    text("SELECT * FROM users FOR UPDATE"),
    text("select * from users for no key update"),
    text("SELECT * FROM users LOCK IN SHARE MODE"),
]
TEXTS: list[Any] = [
    text("SELECT 1"),
    text("  (select 1) union (select 2);"),
    text("SHOW TABLES"),
    text("explain select 1"),
    select(User).from_statement(text("SELECT * FROM users")),
]


@pytest.mark.parametrize(
    ("clause", "effect"),
    [
        *((clause, Effect.READ) for clause in READS),
        *((clause, Effect.TEXT) for clause in TEXTS),
        *((clause, Effect.LOCK) for clause in LOCKS),
        *((clause, Effect.CHANGE) for clause in CHANGES),
    ],
    ids=lambda value: " ".join(str(value).split())[:60],
)
def test_the_effect_of_a_statement(clause: Any, effect: Effect) -> None:
    assert effect_of(clause) is effect


class Base(DeclarativeBase):
    pass


class LRUStore(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list["Book"]] = relationship(lazy="joined")


class Book(Base):
    __tablename__ = "books"

    isbn: Mapped[str] = mapped_column(String(20), primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"))


class Seat(Base):
    __tablename__ = "seats"

    row: Mapped[int] = mapped_column("row_number", primary_key=True)
    place: Mapped[str] = mapped_column(String(2), primary_key=True)


class Animal(Base):
    __tablename__ = "animals"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012  # SQLAlchemy's

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012  # SQLAlchemy's


@pytest.fixture
async def session(sqlite: dict[str, Any]) -> AsyncIterator[DbSession]:
    """A session that has loaded nothing yet, on tables with a few rows."""
    with configured(sqlite):
        async with cluster_of().master.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with session_scope() as filling:
            filling.add_all([LRUStore(id=1, books=[Book(isbn="a"), Book(isbn="b")]), Seat(row=3, place="c"), Dog(id=1)])
            await filling.commit()
        async with session_scope() as fresh:
            yield fresh
        await close_all()


@pytest.fixture
async def sent(session: DbSession) -> AsyncIterator[list[str]]:
    """The statements that reach the servers meanwhile."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    engines = [node.sync_engine for node in (cluster_of().master, *cluster_of().slaves)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def test_an_object_is_loaded_once(session: DbSession, sent: list[str]) -> None:
    """The second time it is the same object, and the database is not asked."""
    lru = await session.get(LRUStore, 1)
    assert lru is not None
    assert await session.get(LRUStore, 1) is lru
    assert await session.get(LRUStore, (1,)) is lru
    assert len(sent) == 1


async def test_a_joined_collection_comes_with_it(session: DbSession) -> None:
    """Two rows of a JOIN are one object."""
    lru = await session.get(LRUStore, 1)
    assert lru is not None
    assert sorted(book.isbn for book in lru.books) == ["a", "b"]


@pytest.mark.parametrize("ident", [(3, "c"), [3, "c"], {"row": 3, "place": "c"}])
async def test_a_key_of_two_columns(session: DbSession, ident: Any) -> None:
    """Given in the order of the columns, or by the names of the attributes."""
    seat = await session.get(Seat, ident)
    assert seat is not None
    assert (seat.row, seat.place) == (3, "c")
    assert await session.get(Seat, (3, "d")) is None


@pytest.mark.parametrize("ident", [3, (3,), (3, "c", 1)])
async def test_a_key_of_the_wrong_length(session: DbSession, ident: Any) -> None:
    """SQLAlchemy's own error says which columns there are."""
    with pytest.raises(InvalidRequestError, match=r"seats\.place"):
        await session.get(Seat, ident)


async def test_models_that_inherit(session: DbSession) -> None:
    """The object is of its own class; asked for as another it is not found, loaded already or not."""
    assert isinstance(await session.get(Animal, 1), Dog)
    assert lookup_of(Animal) is None
    assert lookup_of(Dog) is None


async def test_what_is_no_model_is_refused(session: DbSession) -> None:
    """As SQLAlchemy says it."""
    with pytest.raises(SQLAlchemyError, match=r"No inspection system|Expected mapped class"):
        await session.get(object, 1)
    assert lookup_of(LRUStore) is lookup_of(LRUStore)


async def test_what_is_to_be_flushed_is_found(session: DbSession) -> None:
    """A new object is flushed before the database is asked, as before any query."""
    session.add(Book(isbn="new", shelf_id=1))
    found = await session.get(Book, "new")
    assert found is not None
    assert found.shelf_id == 1


async def test_an_expired_object_is_loaded_again(session: DbSession, sent: list[str]) -> None:
    """It stays the same object, with what the database says now."""
    book = await session.get(Book, "a")
    session.expire(book)
    assert await session.get(Book, "a") is book
    assert book is not None
    assert book.shelf_id == 1
    assert len(sent) == 2


async def test_an_empty_dict_asks_for_a_lock(session: DbSession, sent: list[str]) -> None:
    """As SQLAlchemy has it: only None and False ask for none. A lock sends what follows to the master."""
    assert await session.get(LRUStore, 1, with_for_update={}) is not None
    assert session.is_on_master
    assert await session.get(Seat, (3, "c"), with_for_update=False) is not None


def test_a_model_that_nobody_knows_any_more_is_collected() -> None:
    """What is kept for it is kept with it."""

    class Passing(Model):
        __tablename__ = "passing"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert lookup_of(Passing) is not None
    assert "passing" in str(Passing.Q.filter_by(id=1))
    is_alive = weakref.ref(Passing)
    Model.registry._dispose_cls(Passing)
    Model.metadata.remove(Model.metadata.tables["passing"])
    del Passing
    for _ in range(3):
        gc.collect()
    assert is_alive() is None
