"""What SQLite alone does."""

import datetime as dt

import pytest

from torngas_aio.db.basedb import Database


@pytest.mark.parametrize("kind", ["file"], indirect=True)
async def test_dates_are_kept_as_text_by_sqlite(db: Database) -> None:
    when = dt.datetime(2026, 11, 22, 21, 51, tzinfo=dt.UTC)
    await db.insert("posts", title=when, body=dt.date(2026, 11, 22))
    row = await db.where("posts").first()
    assert dt.datetime.fromisoformat(row.title) == when
    assert row.body == "2026-11-22"
