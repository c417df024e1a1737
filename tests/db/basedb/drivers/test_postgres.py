"""What PostgreSQL alone does."""

import pytest

from torngas_aio.db.basedb import Database


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_postgres_takes_ids_from_a_named_sequence(db: Database) -> None:
    first = await db.insert("posts", seqname="posts_id_seq", title="a")
    assert await db.insert("posts", seqname="posts_id_seq", title="b") == first + 1
