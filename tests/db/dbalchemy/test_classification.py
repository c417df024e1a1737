"""What a statement does to a database, as the routing sees it."""

from typing import Any

import pytest
from sqlalchemy import Sequence, delete, func, insert, lambda_stmt, literal, select, text, union, update
from sqlalchemy.orm import aliased, selectinload
from sqlalchemy.schema import CreateTable

from tests.db.models import Post, User
from torngas_aio.db.dbalchemy.classification import Effect, effect_of

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
