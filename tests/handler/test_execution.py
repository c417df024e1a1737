"""What comes before a method is left out where there is nothing; hooks and methods may wait or not: it is the same."""

import asyncio
import contextvars
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.web import Finish, HTTPError

from torngas_aio.application import Application
from torngas_aio.handler import ApiHandler, WebHandler, execution
from torngas_aio.handler.execution import Watched
from torngas_aio.handler.lifecycle import OPEN
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.testing import TestClient

TOLD: list[str] = []


class Late(BaseMiddleware):
    """Hooks that leave the short way open: none runs before the method."""

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        TOLD.append(f"response {handler.get_status()}")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        TOLD.append("endcall")

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None:
        TOLD.append(f"exception {typ.__name__}")


class Early(Late):
    async def process_request(self, handler: Any, clear: Any) -> Any:
        TOLD.append("request")
        match handler.request.path:
            case "/refused" | "/forgotten":
                handler.set_status(403)
                handler.finish("by the hook")
                return handler.request.path == "/refused"
            case "/broken":
                raise ZeroDivisionError
            case "/cleared":
                clear()
        return None


class Second(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> None:
        TOLD.append("second request")


class Both(WebHandler):
    """Coroutine methods and plain ones, which answer in each of the ways there are."""

    async def get(self, name: str = "", *args: Any, **kwargs: Any) -> Any:
        TOLD.append(f"get {self.path_args} {self.path_kwargs}")
        return await getattr(self, f"do_{name or 'write'}")()

    def post(self, *args: Any) -> None:
        self.write("posted")

    def delete(self, *args: Any) -> None:
        raise HTTPError(409)

    async def do_write(self) -> None:
        self.write("written")

    do_refused = do_forgotten = do_broken = do_cleared = do_write

    async def do_finish(self) -> None:
        await self.finish("finished")

    async def do_unawaited(self) -> None:
        self.finish("un-awaited")

    async def do_stream(self) -> None:
        self.write("one ")
        await self.flush()
        self.write("two")

    async def do_fail(self) -> None:
        raise ZeroDivisionError

    async def do_stop(self) -> None:
        raise Finish("stopped")

    async def do_value(self) -> Any:
        return {"a": 1}


class Api(ApiHandler):
    def get(self, *args: str) -> Any:
        return {"sync": list(args)}

    async def put(self, *args: str) -> Any:
        return {"async": list(args)}


class Prepared(Both):
    async def on_prepare(self) -> None:
        TOLD.append("on_prepare")


ROUTES = [
    (r"/api/(.*)", Api),
    (r"/prepared/(.*)", Prepared),
    (r"/named/(?P<word>.*)/(?P<other>.*)", Both),
    (r"/bare", Both),
    (r"/(.*)", Both),
]
REQUESTS = [
    *(("GET", f"/{name}") for name in ("write", "finish", "unawaited", "stream", "fail", "stop", "value", "none")),
    *(("GET", f"/{name}") for name in ("refused", "forgotten", "broken", "cleared")), ("POST", "/refused"),
    ("GET", "/bare"), ("GET", "/named/a%20b/%C3%A9"), ("GET", "/caf%E9"), ("HEAD", "/write"), ("POST", "/x"),
    ("DELETE", "/x"), ("OPTIONS", "/x"), ("PUT", "/x"), ("BREW", "/x"), ("GET", "/api/1"), ("PUT", "/api/2"),
    ("HEAD", "/api/1"), ("GET", "/prepared/write"), ("GET", "/prepared/fail"),
]  # fmt: skip


async def answer(request: tuple[str, str], middlewares: tuple[Any, ...]) -> tuple[int, Any, bytes, list[str]]:
    """Return status, headers, body and what was told, once the request has ended."""
    TOLD.clear()
    application = Application(ROUTES, middlewares=middlewares, cross_origin_protection=True)
    async with TestClient(application) as client:
        found = await client.request(*request, headers={"X-Request-ID": "a"})
    fields = sorted((name, value) for name, value in found.headers.items() if name != "date")
    return found.status_code, fields, found.content, list(TOLD)


@pytest.mark.parametrize("request_", REQUESTS, ids=" ".join)
@pytest.mark.parametrize("middlewares", [(), (Late,), (Early, Second)], ids=["no hooks", "late hooks", "early hooks"])
async def test_what_comes_before_the_method_is_left_out_only_where_it_is_nothing(
    request_: tuple[str, str], middlewares: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await answer(request_, middlewares)
    start, left_out = execution._start, []

    def prepare_always(handler: Any, *args: Any) -> Any:
        before_method = start(handler, *args)
        left_out.append(before_method is None)
        if before_method is not None:
            before_method.close()
        return execution._prepare(handler)

    monkeypatch.setattr(execution, "_start", prepare_always)
    assert await answer(request_, middlewares) == first
    is_safe = request_[0] in {"GET", "HEAD", "OPTIONS"}
    answers_at_once = request_[0] == "BREW" or "%E9" in request_[1]
    assert left_out == ([] if answers_at_once else [is_safe and Early not in middlewares and "prep" not in request_[1]])


@pytest.mark.parametrize("middlewares", [(), (Early,)], ids=["no hooks", "hooks"])
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "BREW"])
async def test_a_method_that_a_handler_lacks_is_405_before_any_token_is_asked_for(
    method: str, middlewares: tuple[Any, ...]
) -> None:
    application = Application([("/(.*)", Api)], middlewares=middlewares, xsrf_cookies=True)
    async with TestClient(application) as client:
        assert (await client.request(method, "/a")).status_code == 405
        assert (await client.put("/a")).status_code == 403


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


def watched(coroutine: Any) -> Any:
    handler: Any = SimpleNamespace(_response_state=OPEN)
    return Watched(handler, coroutine, coroutine.send(None))


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_watched_method_keeps_task_context_and_result(times: int) -> None:
    assert await watched(waits(times)) == [asyncio.current_task()] * (times + 1)
    assert PLACE.get() == "inside"


async def test_an_error_passes() -> None:
    with pytest.raises(LookupError, match="on purpose"):
        await watched(fails())


async def test_what_is_awaited_may_fail() -> None:
    future = asyncio.get_running_loop().create_future()

    async def awaiting() -> None:
        await future

    running = watched(awaiting())
    future.set_exception(LookupError("of the future"))
    with pytest.raises(LookupError, match="of the future"):
        await running


async def test_a_cancellation_reaches_the_method_which_may_catch_it() -> None:
    async def run() -> Any:
        return await watched(catches())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "caught"


def test_closing_closes_the_method() -> None:
    closed: list[bool] = []

    async def cleans() -> None:
        try:
            await _Once()
        finally:
            closed.append(True)

    rest = watched(cleans()).__await__()
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
