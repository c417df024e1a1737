"""WebSockets, event streams and the database: each message or event is what a request is, whatever comes after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.db.models import User
from tests.db.support import configured, in_use, prepared, servers_of
from tests.polling import until
from torngas_aio import ApiHandler, Application, WebSocketHandler, session_scope
from torngas_aio.channels import channels
from torngas_aio.exception import HttpBadRequestError
from torngas_aio.handler import Event, EventStreamHandler
from torngas_aio.middleware.dbalchemy import DBAlchemyMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

ended: list[Any] = []


class Bids(WebSocketHandler):
    """Does to the database what a message says."""

    async def prepare(self) -> None:
        await super().prepare()
        await User.Q.count()

    def open(self) -> None:
        self.task = asyncio.create_task(self.push())

    async def push(self) -> None:
        await asyncio.sleep(0.01)
        try:
            await User.Q.count()
        except RuntimeError as exc:
            ended.append(str(exc))

    async def on_message(self, message: Any) -> None:
        if message == "names":
            await self.write_message(",".join(sorted([user.name for user in await User.Q.all()])))
            return
        try:
            user = await User.Q.with_for_update().one()
            user.name = message
            await User.session.flush()
            await channels.publish("bids", message)
            if message == "too low":
                raise HttpBadRequestError(message)
            if message == "broken":
                raise ValueError(message)
            await self.write_message("taken")
        except HttpBadRequestError as exc:
            await User.session.rollback()
            await self.write_message(str(exc))

    async def on_close(self) -> None:  # type: ignore[override]
        User.session.add(User(name="left"))
        User.session.on_commit(lambda: ended.append("left"))


class Names(EventStreamHandler):
    """Reads before each event, the second time what was changed meanwhile; writes after that."""

    async def prepare(self) -> None:
        await super().prepare()
        await User.Q.count()

    async def events(self) -> AsyncIterator[Event]:
        try:
            async with channels.subscribe("go") as messages:
                while True:
                    yield Event(",".join([user.name for user in await User.Q.all()]))
                    await anext(messages)
                    User.session.add(User(name="of a stream"))
        finally:
            ended.append(await User.Q.count())


class Bid(ApiHandler):
    async def post(self) -> None:
        (await User.Q.with_for_update().one()).name = "by HTTP"


def app() -> Application:
    return Application([("/socket", Bids), ("/names", Names), ("/bid", Bid)], middlewares=[DBAlchemyMiddleware])


async def add_user() -> None:
    async with session_scope() as session:
        session.add(User(name="first"))
        await session.commit()


async def ask(socket: Any, message: str) -> str:
    await socket.send_text(message)
    async with asyncio.timeout(20):
        answer: str = await socket.receive_text()
    return answer


async def event_of(lines: AsyncIterator[str]) -> str:
    async with asyncio.timeout(20):
        while not (line := await anext(lines)).startswith("data: "):
            pass
    return line


@pytest.fixture
async def small(sqlite: dict[str, Any]) -> AsyncIterator[None]:
    with configured(sqlite, pool_size=2, max_overflow=0, pool_timeout=1):
        async with prepared():
            yield


async def test_a_message_ends_its_transaction_and_reads_what_is_there(backend: str) -> None:
    ended.clear()
    await add_user()
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(app()) as client, channels.subscribe("bids") as messages:
            async with client.websocket("/socket") as socket:
                assert "400" in await ask(socket, "too low")
                assert (await client.post("/bid", timeout=3)).status_code == 200  # no row is locked
                assert await ask(socket, "names") == "by HTTP"
                assert await ask(socket, "seven") == "taken"
                assert (await anext(messages)).data == "seven"
                assert await ask(socket, "names") == "seven"
                await until(lambda: len(ended) == 1)
                assert "session_scope" in ended[0]
            await until(lambda: ended[1:] == ["left"])
            async with client.websocket("/socket") as socket:
                assert await ask(socket, "names") == "left,seven"
        assert in_use(servers_of().master) == 0


async def test_an_error_rolls_the_message_back(small: None) -> None:
    await add_user()
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(app()) as client, channels.subscribe("bids") as messages:
            async with client.websocket("/socket") as socket:
                await socket.send_text("broken")
                await until(lambda: client.errors)
                assert not messages._queue
            async with client.websocket("/socket") as socket:
                assert "first" in await ask(socket, "names")


async def test_idle_sockets_keep_no_connection(small: None) -> None:
    async with TestClient(app()) as client, AsyncExitStack() as stack:
        for _ in range(4):
            assert await ask(await stack.enter_async_context(client.websocket("/socket")), "names") == ""
        assert in_use(servers_of().master) == 0


async def test_streams_that_wait_keep_no_connection(small: None, caplog: pytest.LogCaptureFixture) -> None:
    ended.clear()
    await add_user()
    async with TestClient(app()) as client, AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client.stream("GET", "/names")) for _ in range(3)]
        streams = [response.aiter_lines() for response in opened]
        assert [await event_of(each) for each in streams] == ["data: first"] * 3
        assert in_use(servers_of().master) == 0
        with settings.override(ATOMIC_REQUESTS=True):
            assert (await client.post("/bid")).status_code == 200
        await channels.publish("go", 1)
        for each in streams:
            assert (await event_of(each)).startswith("data: by HTTP")
        assert in_use(servers_of().master) == 0
        await stack.aclose()
        await until(lambda: ended == [1, 1, 1])  # nothing that was not committed is there
    assert "a message of GET /names" in caplog.text
    caplog.clear()


async def test_without_atomic_requests_a_change_that_is_not_committed_is_told(
    small: None, caplog: pytest.LogCaptureFixture
) -> None:
    await add_user()
    async with TestClient(app()) as client, client.websocket("/socket") as socket:
        assert await ask(socket, "seven") == "taken"
        assert await ask(socket, "names") == "first"
    told = [record.getMessage() for record in caplog.records if "rolled back" in record.getMessage()]
    assert "a message of GET /socket" in told[0]
    assert "Not done: sending a message to the channel 'bids'" in told[0]
    caplog.clear()
