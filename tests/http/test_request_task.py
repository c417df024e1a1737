"""The task of a request: a context of its own, known to the server while it waits, never one inside another."""

import asyncio
import contextvars
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.http.conftest import Start
from tests.http.test_protocol import hello
from tests.http.wire import Direct, get
from tests.polling import until
from torngas_aio.http.base import Exchange
from torngas_aio.http.request import Request

_seen = contextvars.ContextVar("seen", default="nothing")


@contextmanager
def task_factory(make: Any) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(None)


async def test_what_a_request_sets_in_its_context_no_other_sees(start: Start) -> None:
    async def serve(request: Request, exchange: Exchange) -> None:
        text = _seen.get()
        _seen.set(str(request.uri))
        exchange.respond(200, "OK", [], text.encode(), is_head=False)

    served = await start(Direct(serve))
    async with await served.client() as client:
        assert [(await client.ask(get(f"/{number}"))).body for number in range(3)] == [b"nothing"] * 3
    assert _seen.get() == "nothing"


async def test_the_server_keeps_the_task_that_runs_a_request_until_it_ends(start: Start) -> None:
    gate = asyncio.Event()
    tasks = []

    async def serve(request: Request, exchange: Exchange) -> None:
        tasks.append(asyncio.current_task())
        await gate.wait()
        tasks.append(asyncio.current_task())
        await hello(request, exchange)

    served = await start(Direct(serve))
    running = served.server.server_state.running
    async with await served.client() as client:
        client.send(get())
        await until(lambda: running)
        assert [*running.values()] == tasks
        assert tasks[0] in asyncio.all_tasks()
        gate.set()
        assert (await client.answer()).status == 200
    assert tasks[0] is tasks[1]
    await until(lambda: not running)


async def test_a_request_that_waits_for_nothing_leaves_nothing_behind(start: Start) -> None:
    served = await start(Direct(hello))
    for _ in range(3):
        assert (await served.ask(get())).status == 200
    assert not served.server.server_state.running


async def test_thousands_of_requests_in_one_packet_do_not_run_one_within_the_other(start: Start) -> None:
    served = await start(Direct(hello))
    async with await served.client() as client:
        client.send(get() * 3_000)
        for _ in range(3_000):
            assert (await client.answer()).status == 200


async def test_a_task_factory_of_the_project_makes_the_tasks_of_requests(start: Start) -> None:
    made = []

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    served = await start(Direct(hello))
    async with await served.client() as client:
        with task_factory(make):
            assert (await client.ask(get())).status == 200
    assert made


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
async def test_an_eager_task_factory_runs_no_request_within_another_and_leaves_nothing_behind(start: Start) -> None:
    def make(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        options["eager_start"] = True  # as asyncio's own, which uvloop cannot call on Python 3.13.0
        return asyncio.Task(coro, loop=loop, **options)

    served = await start(Direct(hello))
    async with await served.client() as client:
        with task_factory(make):
            client.send(get() * 3_000)
            for _ in range(3_000):
                assert (await client.answer()).status == 200
    assert not served.server.server_state.running
