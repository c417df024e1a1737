"""Hooks that wait and hooks that do not: seen from their code there is no difference."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.handler.stepping import Resumed
from torngas_aio.testing import TestClient

PLACE: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="unset")


async def waits(times: int) -> list[Any]:
    found: list[Any] = [asyncio.current_task()]
    for _ in range(times):
        await asyncio.sleep(0)
        found.append(asyncio.current_task())
    PLACE.set("inside")
    return found


async def fails() -> None:
    await asyncio.sleep(0)
    raise LookupError("on purpose")


async def catches() -> str:
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        return "caught"
    return "not cancelled"


def resumed(coroutine: Any) -> Any:
    return Resumed(coroutine, coroutine.send(None))


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_resumed_coroutine_keeps_task_context_and_result(times: int) -> None:
    assert await resumed(waits(times)) == [asyncio.current_task()] * (times + 1)
    assert PLACE.get() == "inside"


async def test_an_error_passes() -> None:
    with pytest.raises(LookupError, match="on purpose"):
        await resumed(fails())


async def test_what_is_awaited_may_fail() -> None:
    future = asyncio.get_running_loop().create_future()

    async def awaiting() -> None:
        await future

    running = resumed(awaiting())
    future.set_exception(LookupError("of the future"))
    with pytest.raises(LookupError, match="of the future"):
        await running


async def test_a_cancellation_reaches_the_coroutine_which_may_catch_it() -> None:
    async def run() -> Any:
        return await resumed(catches())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "caught"


def test_closing_closes_the_coroutine() -> None:
    closed: list[bool] = []

    async def cleans() -> None:
        try:
            await _Once()
        finally:
            closed.append(True)

    rest = resumed(cleans()).__await__()
    next(rest)
    rest.close()
    assert closed == [True]


class _Once:
    def __await__(self) -> Any:
        yield None


class Marks:
    """Sets a header after it has waited *times*, and lets another task try it meanwhile."""

    def __init__(self, times: int) -> None:
        self.times = times

    async def process_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        handler.hook_task = asyncio.current_task()
        handler.set_header("X-Before", "hook")
        handler.gate.set()
        for _ in range(self.times):
            await asyncio.sleep(0)
        handler.set_header("X-Hook", str(self.times))
        PLACE.set("hook")

    async def process_endcall(self, handler: Any, clear: Callable[[], None]) -> None:
        for _ in range(self.times):
            await asyncio.sleep(0)
        handler.ended = True


class Main(WebHandler):
    ended = False
    seen: list[Any]

    def initialize(self, is_awaited: bool, waits_first: bool) -> None:
        super().initialize()
        self.gate = asyncio.Event()
        self.is_awaited = is_awaited
        self.waits_first = waits_first

    async def get(self) -> None:
        other = asyncio.create_task(self.meddle())
        if self.waits_first:
            await asyncio.sleep(0)
        if self.is_awaited:
            await self.finish("body")
            self.seen.append((self.ended, self.hook_task is asyncio.current_task(), PLACE.get()))  # type: ignore[attr-defined]
        else:
            self.finish("body")
        await other

    async def meddle(self) -> None:
        await self.gate.wait()
        self.set_header("X-Other", "meddled")
        self.clear_header("X-Before")


@pytest.mark.parametrize("times", [0, 1, 3, 10])
@pytest.mark.parametrize("is_awaited", [True, False])
@pytest.mark.parametrize("waits_first", [True, False])
async def test_only_the_hook_changes_the_answer_whether_it_waits_or_not(
    times: int, is_awaited: bool, waits_first: bool
) -> None:
    Main.seen = []
    arguments = {"is_awaited": is_awaited, "waits_first": waits_first}
    async with TestClient(Application([("/", Main, arguments)], middlewares=[Marks(times)])) as client:
        answer = await client.get("/")
    assert (answer.text, answer.headers["X-Hook"], answer.headers["X-Before"]) == ("body", str(times), "hook")
    assert "X-Other" not in answer.headers
    assert Main.seen == ([(True, True, "hook")] if is_awaited else [])


class Ends:
    async def process_endcall(self, handler: Any, clear: Callable[[], None]) -> None:
        handler.has_ended.set()


class Large(WebHandler):
    has_ended: asyncio.Event
    has_returned: asyncio.Event

    async def get(self) -> None:
        await self.finish(b"x" * 30_000_000)
        self.has_returned.set()


async def test_an_awaited_finish_with_endcall_hooks_returns_when_a_slow_client_has_read() -> None:
    Large.has_ended, Large.has_returned = asyncio.Event(), asyncio.Event()
    async with TestClient(Application([("/", Large)], middlewares=[Ends])) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await Large.has_ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not Large.has_returned.is_set()
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(30_000_000)
        await Large.has_returned.wait()
        writer.close()


class Fails:
    async def process_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        if not handler.get_status() == 500:
            raise ValueError("on purpose")

    async def process_endcall(self, handler: Any, clear: Callable[[], None]) -> None:
        handler.log.append("endcall")


class Awaits(WebHandler):
    log: list[str]

    async def get(self) -> None:
        await self.finish("never seen")


@pytest.mark.parametrize("others", [[], [Marks(0)], [Marks(2)]])
async def test_a_hook_that_fails_at_once_is_answered_by_the_error_page(others: list[Any]) -> None:
    Awaits.log = []
    Awaits.gate = asyncio.Event()  # type: ignore[attr-defined]
    async with TestClient(Application([("/", Awaits)], middlewares=[*others, Fails])) as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    assert "never seen" not in answer.text
    assert ("X-Hook" in answer.headers) == bool(others)
    assert Awaits.log == ["endcall"]
