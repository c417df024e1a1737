"""`async_execute` in handlers, over a socket: the torngas 1.8 document's own example, and clients that leave."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tornado.gen import coroutine

from torngas_aio.application import Application
from torngas_aio.decorators.async_execute import _threads_of, async_execute
from torngas_aio.handler import WebHandler
from torngas_aio.testing import TestClient
from torngas_aio.utils import request_context

entered = threading.Semaphore(0)
leave = threading.Event()


class Test(WebHandler):
    __test__ = False

    @coroutine
    def get(self) -> Any:
        a = self.get_argument("a", "")
        b = ""
        result = yield self.dosomething(a, b)
        self.finish(result)

    @async_execute
    def dosomething(self, a: str, b: str) -> str:
        thread = "thread" if threading.current_thread() is not threading.main_thread() else "loop"
        return f"return {a}{b} {thread} {request_context.request.path}"


class Awaited(Test):
    async def get(self) -> None:  # type: ignore[override]  # a decorated one above
        one, two = await asyncio.gather(self.dosomething("1", ""), self.dosomething("2", ""))
        self.write(f"{one}; {two}")


class Fails(WebHandler):
    async def get(self) -> None:
        await self.fail()

    @async_execute
    def fail(self) -> None:
        raise ValueError("in the thread")


class Holds(WebHandler):
    cancel_on_disconnect = True

    async def get(self) -> None:
        await self.hold()

    @async_execute
    def hold(self) -> None:
        entered.release()
        leave.wait(10)


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    leave.clear()
    routes = [("/old", Test), ("/awaited", Awaited), ("/fails", Fails), ("/holds", Holds)]
    async with TestClient(Application(routes)) as made:
        yield made
    leave.set()


async def test_the_seed_documents_example_runs(client: TestClient) -> None:
    assert (await client.get("/old?a=x")).text == "return x thread /old"


async def test_it_is_awaited_as_well(client: TestClient) -> None:
    assert (await client.get("/awaited")).text == "return 1 thread /awaited; return 2 thread /awaited"


async def test_the_loop_goes_on_while_a_thread_is_busy(client: TestClient) -> None:
    held = asyncio.create_task(client.get("/holds"))
    await asyncio.to_thread(entered.acquire, True, 10)
    assert (await client.get("/old")).status_code == 200
    leave.set()
    assert (await held).status_code == 200


async def test_an_error_in_the_thread_is_the_handlers(client: TestClient) -> None:
    assert (await client.get("/fails")).status_code == 500
    assert [str(error) for error in client.errors] == ["in the thread"]


async def test_a_client_that_leaves_frees_its_handler_and_not_the_thread(client: TestClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /holds HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    await asyncio.to_thread(entered.acquire, True, 10)
    writer.transport.abort()
    assert (await client.get("/old")).status_code == 200
    threads = _threads_of(asyncio.get_running_loop())
    assert len(threads._running) == 1
    leave.set()
    await threads.settle()
    assert not threads._running
    del reader
