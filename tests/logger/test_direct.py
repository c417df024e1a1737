"""Lines without a record: the text that `logging` gives them, and only where nothing of the project's would see it."""

import asyncio
import contextlib
import gc
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.log import access_log
from tornado.web import RequestHandler

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.logger import DirectLines, LineFormatter, access_logger, init_logging, shutdown_logging
from torngas_aio.logger.background import BackgroundWriter
from torngas_aio.middleware.accesslog import AccessLogMiddleware
from torngas_aio.testing import TestClient

EVERY_FIELD = (
    "%(asctime)s %%(name)s 100%% [%(levelname)-8s|%(levelname).1s|%(levelno)03d] %(name)s %(filename)s %(module)12s "
    "%(pathname)s:%(lineno)05d %(funcName)s <%(request_id).60s> %(message)s"
)
FORMATS = [None, "%(message)s", EVERY_FIELD]
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}|\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d")
PLACE = ("/srv/shop/100%/orders.py", 12, "get")


@pytest.fixture(autouse=True)
def logging_taken_down() -> Iterator[None]:
    yield
    shutdown_logging()


def start(directory: Path, formatter: str | None = None, name: str = "shop", **entry: Any) -> logging.Logger:
    """Have logger *name* write `log` in *directory*, and return it."""
    found = {"name": name, "filename": "log", "formatter": formatter, **entry}
    init_logging(SimpleNamespace(), SimpleNamespace(LOGGING=[found], LOGGING_DIR=str(directory)))
    return logging.getLogger(name)


def lines_of(directory: Path) -> list[str]:
    shutdown_logging()
    return (directory / "log").read_text().splitlines()


class Main(WebHandler):
    async def get(self, *_: str) -> None:
        self.write("hello")

    async def post(self, *_: str) -> None:
        self.write(self.get_argument("a", "-"))


class Fails(WebHandler):
    async def get(self) -> None:
        raise ValueError("on purpose")


class Streams(WebHandler):
    async def get(self) -> None:
        for _ in range(3):
            self.write("part")
            await self.flush()


class Waits(WebHandler):
    cancel_on_disconnect = True
    entered: asyncio.Event

    async def get(self) -> None:
        self.entered.set()
        await asyncio.get_running_loop().create_future()


class Limited(WebHandler):
    async def get(self) -> None:
        self.set_status(429)


class Foreign(RequestHandler):
    def get(self) -> None:
        self.write("plain Tornado")


class Socket(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


ROUTES = [
    ("/fails", Fails),
    ("/streams", Streams),
    ("/waits", Waits),
    ("/limited", Limited),
    ("/foreign", Foreign),
    ("/socket", Socket),
    ("/(main.*)", Main),
]
REQUESTS = [
    b"GET /main HTTP/1.1",
    b"GET /main?q=%0a%22%5c%d0%b1 HTTP/1.1",
    b"GET /main%20%25s%(message)s HTTP/1.1",
    b"GET /main'quoted\"\\ HTTP/1.1",
    b"GET /main\xe9\xff\x85 HTTP/1.1",
    b"GET /main HTTP/1.1\r\nX-Request-ID: from-a-proxy/1",
    b"GET /main HTTP/1.1\r\nX-Request-ID: not well formed",
    b'GET /main HTTP/1.1\r\nUser-Agent: x" \\ %s %(name)s \xe9\x85\r\nReferer: http://\xd0\xb1/',
    b"GET /main HTTP/1.1\r\nX-Forwarded-For: 2001:db8::7",
    b"GET /main HTTP/1.1\r\nX-Forwarded-For: 'odd' address",
    b"GET http://other.example/main HTTP/1.1",
    b"GET /main HTTP/1.0",
    b"HEAD /main HTTP/1.1",
    b"DELETE /main HTTP/1.1",
    b"__class__ /main HTTP/1.1",
    b"POST /main HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b",
    b"POST /main HTTP/1.1\r\nContent-Length: 99999999999",
    b"GET /nothing HTTP/1.1",
    b"GET /fails HTTP/1.1",
    b"GET /streams HTTP/1.1",
    b"GET /limited HTTP/1.1",
    b"GET /foreign HTTP/1.1",
    b"GET /foreign\x85 HTTP/1.1",
    b"GET /waits HTTP/1.1",
]


async def ask_all(client: TestClient) -> None:
    Waits.entered = asyncio.Event()
    for request in REQUESTS:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        line, end, rest = request.partition(b"\r\n")
        body = b"" if b"\r\n\r\n" in rest else b"\r\n\r\n"
        writer.write(line + b"\r\nHost: test\r\nConnection: close" + (end or b"") + rest + body)
        if b"/waits" in request:  # aborted by the client
            await Waits.entered.wait()
            writer.transport.abort()
            continue
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
    async with client.websocket("/socket") as socket:
        await socket.send_text("hello")
        assert await socket.receive_text() == "hello"


@pytest.mark.parametrize("formatter", FORMATS)
@pytest.mark.parametrize("logger", [access_log, access_logger])
async def test_every_kind_of_request_has_the_line_that_a_record_would_have(
    logger: logging.Logger, formatter: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path, formatter, logger.name)
    write = DirectLines.write
    written: list[bool] = []

    def write_both(self: DirectLines, *args: Any) -> bool:
        if self._logger is logger:
            written.append(write(self, *args))
        return False

    monkeypatch.setattr(DirectLines, "write", write_both)
    middlewares = [AccessLogMiddleware] if logger is access_logger else []
    application = Application(ROUTES, middlewares=middlewares)
    async with TestClient(application, server_options={"xheaders": True}) as client:
        await ask_all(client)
    lines = [MOMENT.sub("<moment>", line) for line in await asyncio.to_thread(lines_of, tmp_path)]
    assert len(written) >= len(REQUESTS) - 2
    assert all(written)
    assert lines[::2] == lines[1::2]
    assert len(lines) == 2 * len(written)


@pytest.mark.parametrize("formatter", [*FORMATS, "%(levelname)s %(asctime)s"])
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR, 35])
@pytest.mark.parametrize(
    "message",
    ["plain", "100% %s %(message)s", "two\nlines\r\x1b[2J", "\u2028\u202e\x9b\ud800", "", " \t", "наука 科学"],
)
def test_any_message_is_written_as_of_a_record(
    formatter: str | None, level: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.5)
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_500_000_000)
    logger = start(tmp_path, formatter)
    assert DirectLines(logger).write(level, message, PLACE)
    path, line, function = PLACE
    logger.handle(logger.makeRecord(logger.name, level, path, line, message, (), None, function))
    direct, general = lines_of(tmp_path)
    assert direct == general


@pytest.mark.parametrize("created", [0.0, 1_795_915_865.0, 1_795_915_865.0004, 1_795_915_865.9996, 1_795_915_999.25])
@pytest.mark.parametrize("datefmt", [None, "%H:%M:%S"])
@pytest.mark.parametrize("converter", [time.localtime, time.gmtime])
def test_the_time_is_that_of_a_record(created: float, datefmt: str | None, converter: Callable[..., Any]) -> None:
    formatter = LineFormatter("%(asctime)s %(message)s", datefmt)
    formatter.converter = converter
    record = logging.makeLogRecord({"created": created, "msecs": created % 1 * 1000, "msg": "x"})
    assert f"{formatter.time_text(created)} x" == formatter.format(record)


def test_a_format_without_a_time_asks_for_none() -> None:
    assert LineFormatter("%(message)s").time_text(1.0) == ""


@pytest.mark.parametrize("formatter", ["json", "%(process)d %(message)s", "%(thread)d %(message)s", "%(message)d"])
def test_a_format_that_needs_a_record_gets_one(formatter: str, tmp_path: Path) -> None:
    logger = start(tmp_path, formatter)
    assert not DirectLines(logger).write(logging.INFO, "hello", PLACE)


class Counting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None: ...


class OwnFormatter(LineFormatter):
    pass


def _replace(owner: Any, name: str, value: Any) -> Callable[[], None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)


def _added(add: Callable[[Any], None], remove: Callable[[Any], None], value: Any) -> Callable[[], None]:
    add(value)
    return lambda: remove(value)


def _factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
    return logging.LogRecord(*args, **kwargs)


def _call_handlers(self: logging.Logger, record: logging.LogRecord) -> None: ...


def _set_factory() -> Callable[[], None]:
    logging.setLogRecordFactory(_factory)
    return lambda: logging.setLogRecordFactory(logging.LogRecord)


def _pass(record: logging.LogRecord) -> bool:
    return True


CHANGES: dict[str, Callable[[logging.Logger, logging.Handler], Callable[[], None]]] = {
    "a handler": lambda logger, _: _added(logger.addHandler, logger.removeHandler, Counting()),
    "a handler in its list": lambda logger, _: _added(logger.handlers.append, logger.handlers.remove, Counting()),
    "a handler above": lambda logger, _: _added(logger.parent.addHandler, logger.parent.removeHandler, Counting()),  # type: ignore[union-attr]
    "another list of handlers": lambda logger, _: _replace(logger, "handlers", [Counting()]),
    "no handler": lambda logger, _: _replace(logger, "handlers", []),
    "a filter": lambda logger, _: _added(logger.addFilter, logger.removeFilter, _pass),
    "a filter of the handler": lambda _, handler: _added(handler.addFilter, handler.removeFilter, _pass),
    "a level of the handler": lambda _, handler: _replace(handler, "level", logging.ERROR),
    "a formatter": lambda _, handler: _replace(handler, "formatter", logging.Formatter()),
    "a formatter of a class of its own": lambda _, handler: _replace(handler, "formatter", OwnFormatter()),
    "colours": lambda _, handler: _replace(handler, "formatter", LineFormatter(is_coloured=True)),
    "no formatter": lambda _, handler: _replace(handler, "formatter", None),
    "a factory of records": lambda *_: _set_factory(),
    "a patched class": lambda *_: _replace(logging.Logger, "callHandlers", _call_handlers),
    "a patched logger": lambda logger, _: _replace(logger, "handle", lambda record: None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_would_see_the_record_gets_it_at_once_and_as_long_as_it_is_there(
    change: Callable[[logging.Logger, logging.Handler], Callable[[], None]], tmp_path: Path
) -> None:
    logger = start(tmp_path, name="shop.orders", propagate=False)
    child = logging.getLogger("shop.orders.access")
    child.parent = logger
    lines = DirectLines(child)
    assert lines.write(logging.INFO, "before", PLACE)
    undo = change(logger, logger.handlers[0])
    is_of_a_parent = change in (CHANGES["a filter"], CHANGES["a handler above"], CHANGES["a patched logger"])
    try:
        assert lines.write(logging.INFO, "meanwhile", PLACE) is is_of_a_parent  # which `logging` does not ask
        own = DirectLines(logger).write(logging.INFO, "own", PLACE)
        assert own is (change is CHANGES["a handler above"])  # it does not propagate
    finally:
        undo()
    assert lines.write(logging.INFO, "after", PLACE)
    assert lines_of(tmp_path)[-1].endswith(" after")


def test_a_handler_above_counts_where_the_logger_propagates(tmp_path: Path) -> None:
    logger = start(tmp_path, propagate=False)
    lines = DirectLines(logger)
    assert lines.write(logging.INFO, "before", PLACE)
    logger.propagate = True
    root = logging.getLogger()
    root.addHandler(counting := Counting())
    try:
        assert not lines.write(logging.INFO, "meanwhile", PLACE)
    finally:
        root.removeHandler(counting)
        logger.propagate = False
    assert lines.write(logging.INFO, "after", PLACE)


def test_an_error_is_written_at_once_and_the_rest_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []
    wake = BackgroundWriter._wake

    def note(self: BackgroundWriter, *, is_urgent: bool = True) -> None:
        woken.append(is_urgent)
        wake(self, is_urgent=is_urgent)

    monkeypatch.setattr(BackgroundWriter, "_wake", note)
    lines = DirectLines(start(tmp_path))
    for _ in range(100):
        assert lines.write(logging.INFO, "x", PLACE)
    assert True not in woken
    assert lines.write(logging.ERROR, "x", PLACE)
    assert woken[-1]


def test_logging_that_was_taken_down_is_not_kept(tmp_path: Path) -> None:
    lines = DirectLines(start(tmp_path))
    assert lines.write(logging.INFO, "first", PLACE)
    shutdown_logging()
    assert not lines.write(logging.INFO, "between", PLACE)
    start(tmp_path)
    assert lines.write(logging.INFO, "second", PLACE)
    gc.collect()
    assert [line.rpartition(" ")[2] for line in lines_of(tmp_path)] == ["first", "second"]


def run_one_turn(call: Callable[[], object]) -> None:
    """Run *call* in a loop that ends with that turn."""
    loop = asyncio.new_event_loop()
    loop.call_soon(call)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()


def test_lines_of_one_turn_are_written_at_its_end_in_their_order(tmp_path: Path) -> None:
    logger = start(tmp_path, "%(message)s")
    lines = DirectLines(logger)

    async def main() -> None:
        for number in range(3):
            assert lines.write(logging.INFO, str(number), PLACE)
        logger.info("at once")
        await asyncio.sleep(0)
        logger.info("later")

    asyncio.run(main())
    assert lines_of(tmp_path) == ["at once", "0", "1", "2", "later"]


def test_a_message_is_made_once_at_the_end_of_the_turn_whatever_writes_it(tmp_path: Path) -> None:
    logger = start(tmp_path, "%(message)s")
    made: list[str] = []

    def make() -> str:
        made.append("made")
        return f"two\nlines {len(made)}"

    lines = DirectLines(logger)

    async def main() -> None:
        assert lines.write(logging.INFO, make, PLACE)
        assert lines.write(logging.WARNING, make, PLACE)
        assert not made
        await asyncio.sleep(0)
        assert len(made) == 2

    asyncio.run(main())
    assert lines_of(tmp_path) == [r"two\nlines 1", r"two\nlines 2"]


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_each_line_of_a_turn_that_finds_the_buffer_full_is_counted(
    level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = DirectLines(start(tmp_path, "%(message)s"))
    monkeypatch.setattr(BackgroundWriter, "_fits", lambda self, size, level: False)
    assert lines.write(logging.INFO, "before", PLACE)
    writers = [writer for _, writer in lines._decision.targets]
    dropped = [writer.dropped for writer in writers]

    async def main() -> None:
        for _ in range(3):
            assert lines.write(level, "x" * 100, PLACE)
        for writer in writers:
            monkeypatch.setattr(writer, "_max_bytes", 50)

    asyncio.run(main())
    assert [writer.dropped for writer in writers] == [count + 3 for count in dropped]


def test_what_is_gathered_when_logging_is_shut_down_is_written(tmp_path: Path) -> None:
    lines = DirectLines(start(tmp_path, "%(message)s"))
    run_one_turn(lambda: lines.write(logging.INFO, "last", PLACE))
    assert lines_of(tmp_path) == ["last"]


def test_what_a_loop_has_left_is_written_before_the_next_line(tmp_path: Path) -> None:
    lines = DirectLines(start(tmp_path, "%(message)s"))
    run_one_turn(lambda: lines.write(logging.INFO, "first", PLACE))
    run_one_turn(lambda: lines.write(logging.INFO, "second", PLACE))
    lines.write(logging.INFO, "outside of a loop", PLACE)
    assert lines_of(tmp_path) == ["first", "second", "outside of a loop"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_of_a_fork_does_not_write_what_its_parent_has_gathered(tmp_path: Path) -> None:
    lines = DirectLines(start(tmp_path, "%(message)s"))
    run_one_turn(lambda: lines.write(logging.INFO, "the parent's", PLACE))
    child = os.fork()
    if not child:
        shutdown_logging()
        os._exit(0)
    os.waitpid(child, 0)
    assert lines_of(tmp_path) == ["the parent's"]
