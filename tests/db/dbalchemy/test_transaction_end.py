"""What waits for a commit runs after it, what waits for a rollback after that; messages of a transaction wait, too."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.util import await_only
from tornado.httputil import HTTPFile

from tests.db.models import Post, User
from tests.db.support import configured, in_request, prepared
from tests.polling import until
from torngas_aio import Application, FolderStorage, UploadedFile, WebHandler
from torngas_aio.channels import channels
from torngas_aio.db.dbalchemy import Connector, DbSession, session_scope
from torngas_aio.exception import NotCallableError, OutcomeUnknown, Unavailable
from torngas_aio.middleware.dbalchemy import DBAlchemyMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

seen: list[Any] = []


@pytest.fixture
async def ready(sqlite: dict[str, Any]) -> AsyncIterator[None]:
    seen.clear()
    with configured(sqlite):
        async with prepared():
            yield


def note(text: str) -> Any:
    async def append() -> None:
        async with session_scope() as other:  # sees the committed row, and none that was rolled back
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


@pytest.mark.parametrize("is_block", [True, False])
async def test_it_starts_work_of_its_own_once_the_transaction_is_over(ready: None, is_block: bool) -> None:
    async def follow() -> None:
        assert not session.in_transaction()
        session.on_commit(lambda: seen.append("inner"))
        await channels.publish("x", await User.Q.count())
        await session.rollback()
        session.add(User(name="y"))
        session.on_commit(note("of the next transaction"))
        await channels.publish("x", "with the next commit")

    async with channels.subscribe("x") as messages, session_scope() as session:
        session.on_commit(follow)
        if is_block:
            await session.rollback()
            async with session.begin():
                session.add(User(name="x"))
                session.on_commit(follow)
        else:
            session.add(User(name="x"))
            await session.commit()
        assert (await anext(messages)).data == 1
        assert seen == ["inner"]
        assert session.has_changes
        await session.commit()
        assert (await anext(messages)).data == "with the next commit"
        assert seen == ["inner", ("of the next transaction", 2)]


async def test_a_begin_block_leaves_no_changes_behind(ready: None) -> None:
    async with session_scope() as session, channels.subscribe("x") as messages:
        async with session.begin():
            session.add(User(name="x"))
        assert await User.Q.count() == 1
        await channels.publish("x", "only read")
        assert (await anext(messages)).data == "only read"


async def test_what_was_published_now_does_not_wait(ready: None) -> None:
    async with session_scope() as session, channels.subscribe("x") as messages:
        session.add(User(name="x"))
        await session.flush()
        await channels.publish("x", "half of it", now=True)
        assert (await anext(messages)).data == "half of it"


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_no_error_of_one_drops_the_others(
    ready: None, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    async with session_scope() as session:
        session.add(User(name="x"))
        session.on_commit(fail)
        session.on_commit(note("a"))
        with pytest.raises(KeyboardInterrupt) if isinstance(error, KeyboardInterrupt) else nullcontext():
            await session.commit()
    assert seen == [("a", 1)]
    assert "fail" in caplog.text
    caplog.clear()


async def test_a_cancellation_lets_the_others_run_and_passes(ready: None, caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        await asyncio.sleep(60)

    async with channels.subscribe("x") as messages, session_scope() as session:
        session.add(User(name="x"))
        session.on_commit(wait)
        await channels.publish("x", "sent all the same")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.commit()
        assert (await anext(messages)).data == "sent all the same"
    caplog.clear()


@pytest.mark.parametrize("is_block", [True, False])
async def test_a_cancellation_during_the_commit_loses_nothing_that_waits_for_it(
    backend: str, is_block: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """After each number of steps of the loop: what is published and the row come together or not at all."""

    async def work(name: str, is_written: asyncio.Event) -> None:
        async with session_scope() as session, session.begin() if is_block else nullcontext():
            session.add(User(name=name))
            await session.flush()
            await channels.publish("x", name)
            is_written.set()
            if not is_block:
                await session.commit()

    async with channels.subscribe("x") as messages:
        for steps in range(30):
            is_written = asyncio.Event()
            task = asyncio.create_task(work(f"{steps}", is_written))
            await is_written.wait()
            for _ in range(steps):
                await asyncio.sleep(0 if steps < 15 else 0.0003)
            task.cancel()
            await asyncio.wait([task])
        async with session_scope() as session:
            kept = [user.name for user in await session.query(User).order_by(User.id).all()]
        assert [message.data for message in messages._queue] == kept
    assert "this was not done" not in caplog.text
    assert len(kept) > 5


def takes_one(value: int) -> None:
    """Cannot be called without an argument."""


@pytest.mark.parametrize("given", [None, "text", takes_one])
async def test_what_cannot_be_called_is_refused_at_once(ready: None, given: Any) -> None:
    async with session_scope() as session:
        for method in (session.on_commit, session.on_rollback):
            with pytest.raises(NotCallableError, match=r"on_commit\(\)"):
                method(given)
        with pytest.raises(NotCallableError, match="without calling it"):
            session.on_commit(note("a")())


class Tell(WebHandler):
    async def post(self) -> None:
        User.session.add(User(name="x"))
        await channels.publish("prices", 1)


async def test_the_log_names_what_was_not_sent_and_the_request(
    ready: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise Unavailable("no store")

    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(Application([("/tell", Tell)], middlewares=[DBAlchemyMiddleware])) as client:
            monkeypatch.setattr(channels["default"], "send", refuse)
            assert (await client.post("/tell")).status_code == 200
            assert [str(error) for error in client.errors] == ["no store"]
    assert "not done: sending a message to the channel 'prices', of POST /tell" in caplog.text
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


async def end_by_rollback(session: DbSession) -> None:
    await session.rollback()


async def end_by_close(session: DbSession) -> None:
    await session.close()


async def end_by_flush(session: DbSession) -> None:
    session.add(User(id=1, name="again"))
    with pytest.raises(IntegrityError):
        await session.commit()


async def end_by_refused_commit(session: DbSession) -> None:
    await session.execute(text("PRAGMA defer_foreign_keys = ON"))
    session.add(Post(title="of no user", author_id=99))
    await session.flush()
    with pytest.raises(IntegrityError):
        await session.commit()


async def end_by_cancelled_statement(session: DbSession) -> None:
    def wait(*_: Any) -> None:
        await_only(asyncio.sleep(60))

    engine = Connector.get_conn().engine.sync_engine
    event.listen(engine, "before_cursor_execute", wait)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.execute(text("SELECT 1"))
    finally:
        event.remove(engine, "before_cursor_execute", wait)


@pytest.mark.parametrize(
    "end", [end_by_rollback, end_by_close, end_by_flush, end_by_refused_commit, end_by_cancelled_statement]
)
async def test_what_waits_for_a_rollback_runs_after_it(ready: None, end: Callable[[DbSession], Any]) -> None:
    async with session_scope() as session:
        await session.execute(text("PRAGMA foreign_keys = ON"))
        await session.commit()
        session.add(User(id=1, name="x"))
        session.on_rollback(note("a"))
        session.on_commit(note("never"))
        session.on_rollback(note("b"))
        await session.flush()
        await end(session)
    assert seen == [("a", 0), ("b", 0)]


async def test_a_commit_drops_what_waits_for_a_rollback(ready: None) -> None:
    async with session_scope() as session:
        session.add(User(name="x"))
        session.on_rollback(note("never"))
        await session.commit()
        session.add(User(name="y"))
        await session.rollback()
    assert seen == []


async def test_without_a_statement_the_end_of_the_block_is_a_rollback(ready: None) -> None:
    async with session_scope() as session:
        session.on_rollback(note("a"))
    async with session_scope() as session:
        session.on_rollback(note("never"))
        await session.commit()
    assert seen == [("a", 0)]


async def test_a_task_that_is_cancelled_while_it_undoes_undoes_the_rest(ready: None) -> None:
    undoing = asyncio.Event()

    async def undo() -> None:
        undoing.set()
        await asyncio.sleep(0)
        seen.append("first")

    async def work() -> None:
        async with session_scope() as session:
            session.on_rollback(undo)
            session.on_rollback(note("second"))

    task = asyncio.create_task(work())
    await undoing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["first", ("second", 0)]


async def test_a_savepoint_that_is_rolled_back_runs_its_own(ready: None) -> None:
    async with session_scope() as session:
        session.on_rollback(note("outer"))
        inner = await session.begin_nested()
        session.on_rollback(note("inner"))
        await inner.rollback()
        assert [text for text, _ in seen] == ["inner"]
        async with session.begin_nested():
            session.on_rollback(note("kept"))
        assert len(seen) == 1
    assert [text for text, _ in seen] == ["inner", "outer", "kept"]


@pytest.mark.parametrize("is_block", [True, False])
@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_commit_of_unknown_outcome_undoes_nothing(ready: None, is_block: bool, is_cancelled: bool) -> None:
    def break_down(*_: Any) -> None:
        if is_cancelled:
            await_only(asyncio.sleep(60))
        raise OutcomeUnknown("no answer to a COMMIT")

    async def work() -> None:
        async with session_scope() as session:
            session.on_rollback(note("never"))
            if is_block:
                await session.rollback()
                seen.clear()
                async with session.begin():
                    session.on_rollback(note("never"))
                    await session.execute(text("SELECT 1"))
            else:
                await session.execute(text("SELECT 1"))
                await session.commit()

    engine = Connector.get_conn().engine.sync_engine
    event.listen(engine, "commit", break_down)
    try:
        with pytest.raises(TimeoutError if is_cancelled else OutcomeUnknown):
            async with asyncio.timeout(0.1 if is_cancelled else 20):
                await work()
    finally:
        event.remove(engine, "commit", break_down)
    assert seen == []


async def test_an_error_of_undoing_is_logged_and_the_others_run(ready: None, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise KeyError("x")

    async with session_scope() as session:
        session.on_rollback(fail)
        session.on_rollback(note("a"))
    assert seen == [("a", 0)]
    assert "what was rolled back, by" in caplog.text
    caplog.clear()


class Keep(WebHandler):
    """Stores a file and its row; ends as it is asked to."""

    cancel_on_disconnect = True
    storage: FolderStorage
    stored = asyncio.Event()

    async def post(self) -> None:
        file = UploadedFile(HTTPFile(filename="a.txt", body=b"content", content_type="text/plain"))
        name = await file.save(self.storage)
        User.session.on_rollback(lambda: self.storage.delete(name))
        User.session.add(User(id=1, name="x"))
        how = self.get_argument("how")
        if how == "raise":
            raise ValueError("after the file")
        if how == "wait":
            await User.session.flush()
            self.stored.set()
            await asyncio.sleep(60)
        self.set_status(int(how))


async def test_a_request_that_fails_keeps_no_file(ready: None, tmp_path: Path) -> None:
    Keep.storage, folder = FolderStorage(tmp_path / "files"), tmp_path / "files"
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(Application([("/keep", Keep)], middlewares=[DBAlchemyMiddleware])) as client:
            for how in ("raise", "500"):
                assert (await client.post("/keep", data={"how": how})).status_code == 500
                assert list(folder.iterdir()) == []
            leaving = asyncio.create_task(client.post("/keep", data={"how": "wait"}))
            await Keep.stored.wait()
            assert len(list(folder.iterdir())) == 1
            leaving.cancel()
            await until(lambda: not list(folder.iterdir()))
            assert (await client.post("/keep", data={"how": "201"})).status_code == 201
            assert (await client.post("/keep", data={"how": "201"})).status_code == 500  # the key is taken
    assert len(list(folder.iterdir())) == 1
