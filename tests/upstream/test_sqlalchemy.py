"""SQLAlchemy still keeps the parts of a SELECT where `_compat.sqlalchemy` looks for them."""

import sqlite3
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    QueuePool,
    Select,
    Table,
    create_engine,
    delete,
    event,
    func,
    lambda_stmt,
    select,
)
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection, AsyncAdapt_asyncpg_dbapi
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, load_only, mapped_column

from torngas_aio._compat.sqlalchemy import (
    call_and_discard,
    has_common_table,
    has_connection,
    is_dirty,
    is_empty,
    is_flushing,
    locks_rows,
    max_overflow_of,
    options_of,
    order_by_of,
    parts_of,
    ping_asyncpg,
    raise_adapted,
    raw_columns_of,
    resolve_lambda,
    unopened_record,
)

TABLE = Table("t", MetaData(), Column("id", Integer), Column("n", Integer))
OTHER = Table("o", TABLE.metadata, Column("id", Integer))
PLAIN = select(TABLE)


@pytest.mark.parametrize(
    ("statement", "parts"),
    [
        (PLAIN, set()),
        (PLAIN.where(TABLE.c.n == 1), set()),
        (PLAIN.limit(0), {"limit"}),
        (PLAIN.limit(5).offset(2), {"limit", "offset"}),
        (PLAIN.limit(5).limit(None), set()),
        (PLAIN.order_by(TABLE.c.n), {"order_by"}),
        (PLAIN.order_by(TABLE.c.n).order_by(None), set()),
        (select(TABLE.c.n).group_by(TABLE.c.n).having(func.count() > 1), {"group_by", "having"}),
        (PLAIN.join(OTHER, OTHER.c.id == TABLE.c.id), {"join"}),
        (PLAIN.distinct(), {"distinct"}),
    ],
)  # fmt: skip
def test_the_parts_of_a_statement_are_found(statement: Select[Any], parts: set[str]) -> None:
    assert parts_of(statement) == parts


def test_the_columns_and_the_lock_of_a_statement_are_found() -> None:
    assert raw_columns_of(PLAIN) == [TABLE]
    assert raw_columns_of(delete(TABLE)) is None
    assert resolve_lambda(PLAIN) is PLAIN
    assert isinstance(resolve_lambda(lambda_stmt(lambda: select(TABLE))), Select)
    assert [locks_rows(each) for each in (PLAIN, PLAIN.with_for_update(), PLAIN.with_for_update(read=True))] == [
        False,
        True,
        True,
    ]


def test_the_order_and_the_options_are_found() -> None:
    class Base(DeclarativeBase):
        pass

    class Node(Base):
        __tablename__ = "node"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    option = load_only(Node.name)
    statement = select(Node).order_by(Node.name, Node.id.desc()).options(option)
    assert [str(clause) for clause in order_by_of(statement)] == ["node.name", "node.id DESC"]
    assert tuple(options_of(statement)) == (option,)
    assert tuple(options_of(select(Node))) == ()


def test_a_common_table_that_is_not_selected_from_is_found() -> None:
    assert not has_common_table(PLAIN)
    assert has_common_table(PLAIN.add_cte(select(OTHER).cte("more")))


def test_a_session_tells_what_it_holds() -> None:
    class Base(DeclarativeBase):
        pass

    class Leaf(Base):
        __tablename__ = "leaf"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    flushes: list[bool] = []
    with Session(engine) as session:
        event.listen(session, "before_flush", lambda *_: flushes.append(is_flushing(session)))
        assert (is_empty(session), is_dirty(session), is_flushing(session)) == (True, False, False)
        assert not has_connection(session)
        session.begin()
        assert not has_connection(session)
        leaf = Leaf(id=1, name="a")
        session.add(leaf)
        assert (is_empty(session), is_dirty(session)) == (False, True)
        session.flush()
        assert (is_empty(session), is_dirty(session), flushes) == (False, False, [True])
        assert has_connection(session)
        leaf.name = "b"
        assert is_dirty(session)
        session.flush()
        session.delete(leaf)
        assert is_dirty(session)
    engine.dispose()


@pytest.mark.parametrize("overflow", [0, 7, -1])
def test_a_pool_tells_how_far_it_may_overflow(overflow: int) -> None:
    assert max_overflow_of(QueuePool(lambda: None, max_overflow=overflow)) == overflow  # type: ignore[arg-type]


def test_a_place_in_a_pool_is_opened_when_it_is_taken_out() -> None:
    opened: list[object] = []

    class Places(QueuePool):
        def _create_connection(self) -> Any:
            return unopened_record(self)

    def connect() -> Any:
        opened.append(None)
        if len(opened) == 1:
            raise ConnectionRefusedError
        return sqlite3.connect(":memory:")

    pool = Places(connect, pool_size=1, max_overflow=0)
    with pytest.raises(ConnectionRefusedError):
        pool.connect()
    assert (pool.checkedin(), pool.checkedout()) == (1, 0)  # the place has come back
    pool.connect().close()
    assert len(opened) == 2
    pool.dispose()


async def test_an_adapted_connection_of_asyncpg_ends_pings_and_translates() -> None:
    asyncpg = pytest.importorskip("asyncpg")
    sent: list[str] = []

    class Raw:
        async def fetchrow(self, sql: str) -> None:
            sent.append(sql)

        async def rollback(self) -> None:
            sent.append("rollback")

        def is_closed(self) -> bool:
            return False

        def transaction(self, **options: object) -> "Raw":
            return self

        async def start(self) -> None:
            sent.append("start")

    dbapi = AsyncAdapt_asyncpg_dbapi(asyncpg)  # type: ignore[no-untyped-call]
    connection = AsyncAdapt_asyncpg_connection(dbapi, Raw())  # type: ignore[no-untyped-call]
    await ping_asyncpg(connection)
    assert sent == ["start", ";", "rollback"]
    sent.clear()
    connection._transaction = object()  # type: ignore[assignment]

    async def end() -> None:
        sent.append("end")

    await call_and_discard(connection, end)
    assert (sent, connection._transaction) == (["end"], None)
    with pytest.raises(dbapi.Error):
        raise_adapted(connection, asyncpg.UniqueViolationError("twice"))
    with pytest.raises(ValueError, match="as it is"):
        raise_adapted(connection, ValueError("as it is"))
