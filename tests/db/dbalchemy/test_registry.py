"""Where sessions come from: a request's, a scope's, a test's; one of each, closed with what they belong to."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from tests.db.models import Elsewhere, User
from tests.db.support import configured, in_request, in_use, prepared, servers_of
from torngas_aio._cleanup import close_all
from torngas_aio.context import current_scope
from torngas_aio.db.dbalchemy import Connector, DbSession, current_session, rolled_back, session_scope
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.exception import UnknownAlias
from torngas_aio.settings_manager import settings


@pytest.fixture
async def ready(sqlite: dict[str, Any]) -> AsyncIterator[None]:
    with configured(sqlite):
        async with prepared():
            await Connector.get_conn("other").create_db()
            yield


async def test_a_request_has_one_session_for_each_connection(ready: None) -> None:
    async with in_request():
        assert User.session is current_session()
        assert User.session is User(name="x").session
        assert Elsewhere.session is current_session("other")
        assert Elsewhere.session is not User.session
        first = User.session
    async with in_request():
        assert User.session is not first


async def test_a_request_opens_nothing_before_it_asks(ready: None) -> None:
    async with in_request() as scope:
        assert scope.get(("db_session", "default")) is None
        assert User.Q.filter(User.id == 1) is not None
        assert scope.get(("db_session", "default")) is None
        session = User.session
        assert in_use(servers_of().master) == 0
        await session.commit()
        assert in_use(servers_of().master) == 0


async def test_what_was_not_committed_is_rolled_back_with_the_request(ready: None) -> None:
    async with in_request():
        User.session.add(User(name="x"))
        await User.session.flush()
        assert await User.Q.count() == 1
    async with in_request():
        assert await User.Q.count() == 0
    assert in_use(servers_of().master) == 0


async def test_outside_a_request_there_is_no_session(ready: None) -> None:
    with pytest.raises(RuntimeError, match=r"async with session_scope\('default'\) as session:"):
        _ = User.session
    with pytest.raises(RuntimeError, match="outside any request"):
        await User.Q.count()


async def test_a_scope_stands_in_front_of_the_request(ready: None) -> None:
    async with in_request():
        outer = User.session
        async with session_scope() as session:
            assert User.session is session
            async with session_scope("other") as other:
                assert Elsewhere.session is other
                assert User.session is session
        assert User.session is outer


@pytest.mark.parametrize("how", ["", "flush", "commit", "rollback", "raise"])
async def test_a_block_tells_of_changes_that_it_did_not_commit(
    ready: None, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with suppress(KeyError):
        async with session_scope() as session:
            session.add(User(name="x"))
            if how == "raise":
                raise KeyError
            if how:
                await getattr(session, how)()
    assert ("nothing has committed them when its block ended" in caplog.text) is (how in {"", "flush"})


async def test_a_session_that_is_over_says_so(ready: None) -> None:
    async with session_scope() as session:
        pass
    await session.aclose()
    with pytest.raises(RuntimeError, match="used after its request or scope had ended"):
        await session.get(User, 1)
    async with in_request():
        scope = current_scope()
    assert scope is not None
    with pytest.raises(RuntimeError, match="had ended"):
        scope.add("x", 1)


async def test_closing_waits_for_a_task_that_is_still_asking(ready: None) -> None:
    async with session_scope() as session:
        asking = asyncio.create_task(session.get(User, 1))
        await asyncio.sleep(0)
    assert await asking is None
    assert in_use(servers_of().master) == 0


async def test_a_cluster_is_made_once_for_a_loop_and_closed_with_it(ready: None) -> None:
    cluster = cluster_of()
    assert cluster_of() is cluster
    async with session_scope() as session:
        session.using_master()
        await User.Q.count()
    assert cluster.master.sync_engine.pool.checkedin() == 1  # type: ignore[attr-defined]  # a queue pool
    await close_all()
    assert cluster.master.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # as above
    assert cluster_of() is not cluster


async def test_overridden_settings_bring_servers_of_their_own(ready: None) -> None:
    cluster = cluster_of()
    with settings.override(DATABASE_CONNECTION={"default": {"connections": [{"DATABASE": ":memory:"}]}}):
        assert cluster_of() is not cluster
        assert cluster_of().master.label == "'default', master :memory:"
    assert cluster_of() is cluster


async def test_an_unknown_connection_is_named(ready: None) -> None:
    with pytest.raises(UnknownAlias, match="which has 'default', 'other'"):
        cluster_of("nowhere")


async def test_a_database_in_memory_is_one_database(caplog: pytest.LogCaptureFixture) -> None:
    with configured({"default": {"connections": [{"DATABASE": ":memory:"}]}}, pool_size=3):
        async with prepared():
            async with session_scope() as session:
                session.add(User(name="x"))
                await session.commit()
            async with session_scope(), session_scope():
                assert await User.Q.count() == 1


async def test_changes_of_a_test_are_undone(backend: str) -> None:
    async with rolled_back() as session:
        session.add(User(id=1, name="x"))
        await session.commit()
        async with in_request():
            assert await User.Q.count() == 1
            User.session.add(User(id=2, name="y"))
            await User.session.commit()
            User.session.add(User(id=3, name="z"))
            await User.session.rollback()
        assert await User.Q.count() == 2
    async with session_scope() as after:
        after.using_master()
        assert await User.Q.count() == 0


async def test_a_session_says_whether_it_has_written(ready: None) -> None:
    async with session_scope() as session:
        assert isinstance(session, DbSession)
        await User.Q.count()
        assert not session.has_written
        session.add(User(name="x"))
        await session.flush()
        assert session.has_written
        assert session.sync_session.has_uncommitted
        await session.rollback()
        assert session.has_written
        assert not session.sync_session.has_uncommitted


async def test_echo_shows_statements(
    sqlite: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging.getLogger("sqlalchemy"), "handlers", [logging.NullHandler()])
    with configured(sqlite, echo=True):
        async with prepared(), session_scope():
            await User.Q.count()
    assert "SELECT count(*)" in caplog.text
