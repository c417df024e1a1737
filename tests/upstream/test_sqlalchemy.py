"""SQLAlchemy still keeps the parts of a SELECT where `_compat.sqlalchemy` looks for them."""

from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Select, Table, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, load_only, mapped_column

from torngas_aio._compat.sqlalchemy import has_common_table, options_of, order_by_of, parts_of

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
