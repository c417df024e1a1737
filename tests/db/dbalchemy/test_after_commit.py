"""What waits for a commit runs after it, and only then; messages that are published in a transaction do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.db.models import User
from tests.db.support import configured, in_request, prepared
from torngas_aio.channels import channels
from torngas_aio.db.dbalchemy import session_scope

seen: list[Any] = []


@pytest.fixture
async def ready(sqlite: dict[str, Any]) -> AsyncIterator[None]:
    seen.clear()
    with configured(sqlite):
        async with prepared():
            yield


def note(text: str) -> Any:
    async def append() -> None:
        async with session_scope() as other:  # the committed row is there
            seen.append((text, await other.query(User).count()))

    return append


async def test_it_runs_after_the_commit_in_order(ready: None) -> None:
    async with session_scope() as session:
        session.add(User(name="x"))
        session.on_commit(note("a"))
        session.on_commit(note("b"))
        await session.flush()
        assert seen == []
        await session.commit()
        assert seen == [("a", 1), ("b", 1)]
        await session.commit()
    assert len(seen) == 2


async def test_a_begin_block_counts_as_well(ready: None) -> None:
    async with session_scope() as session, session.begin():
        session.add(User(name="x"))
        session.on_commit(note("a"))
    assert seen == [("a", 1)]


@pytest.mark.parametrize("end", ["rollback", "close"])
async def test_a_rollback_drops_it(ready: None, end: str) -> None:
    async with session_scope() as session:
        session.add(User(name="x"))
        session.on_commit(note("a"))
        if end == "rollback":
            await session.rollback()
            session.add(User(name="y"))
            await session.commit()
    assert seen == []


async def test_a_savepoint_that_is_rolled_back_drops_its_own(ready: None) -> None:
    async with session_scope() as session:
        session.add(User(name="x"))
        session.on_commit(note("outer"))
        inner = await session.begin_nested()
        session.on_commit(note("inner"))
        await inner.rollback()
        async with session.begin_nested():
            session.on_commit(note("kept"))
        await session.commit()
    assert [text for text, _ in seen] == ["outer", "kept"]


async def test_an_error_leaves_the_commit_and_the_others(ready: None, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise KeyError("x")

    async with session_scope() as session:
        session.add(User(name="x"))
        session.on_commit(fail)
        session.on_commit(note("a"))
        await session.commit()
    assert seen == [("a", 1)]
    assert "waited for a commit failed" in caplog.text
    caplog.clear()


async def test_messages_go_out_after_the_commit(ready: None) -> None:
    async with channels.subscribe("x") as messages:
        async with session_scope() as session:
            session.add(User(name="x"))
            await channels.publish("x", "in a transaction")
            assert not messages._queue
            await session.commit()
            assert (await anext(messages)).data == "in a transaction"
            await channels.publish("x", "after it")
            assert (await anext(messages)).data == "after it"
        async with in_request():
            User.session.add(User(name="y"))
            await channels.publish("x", "rolled back")
        async with in_request():
            await User.Q.count()
            await channels.publish("x", "only read")
            assert (await anext(messages)).data == "only read"
