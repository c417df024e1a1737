"""The standard library, Mako and the drivers of stores still have what `_compat` takes from them."""

import argparse
import asyncio
import subprocess
import sys
from typing import Any

import aiomcache
import aiomysql
import aiosqlite
import asyncmy.connection
import asyncpg
import pytest
from mako.lookup import TemplateLookup
from redis.asyncio import Connection

from torngas_aio._compat import aiomysql as mysql
from torngas_aio._compat import aiosqlite as sqlite
from torngas_aio._compat import drivers, mako
from torngas_aio._compat.aiomcache import validate_key
from torngas_aio._compat.redis import take_streams
from torngas_aio._compat.stdlib import enter_task, has_buffered, leave_task, options_of


def test_the_options_of_a_parser_and_of_its_chosen_subcommand_are_found() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--first", "-f")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("one", add_help=False).add_argument("--inner")
    commands.add_parser("two", add_help=False).add_argument("--other")
    assert options_of(parser, parser.parse_args(["one"])) == ["--first", "-f", "--inner"]


def test_a_function_is_called_before_the_interpreter_joins_its_threads() -> None:
    program = """
import threading, os
from torngas_aio._compat.stdlib import call_before_threads_are_joined
held = threading.Event()
threading.Thread(target=held.wait).start()
call_before_threads_are_joined(lambda text: (print(text, flush=True), held.set()), "called")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "called\n"


@pytest.mark.asyncio
async def test_a_callback_of_the_loop_may_be_a_task_for_a_while() -> None:
    loop, seen = asyncio.get_running_loop(), list[asyncio.Task[Any] | None]()
    may_end = asyncio.Event()
    task = asyncio.create_task(may_end.wait())

    def call() -> None:
        enter_task(loop, task)
        seen.append(asyncio.current_task())
        with pytest.raises(RuntimeError):
            enter_task(loop, task)
        leave_task(loop, task)
        seen.append(asyncio.current_task())
        may_end.set()

    loop.call_soon(call)
    await task
    assert seen == [task, None]


def test_a_line_of_a_mako_template_is_found() -> None:
    lookup = TemplateLookup()
    lookup.put_string("page.html", "one\n\n${1 / 0}\n")
    page = lookup.get_template("page.html")
    with pytest.raises(ZeroDivisionError) as caught:
        page.render()
    frame = caught.value.__traceback__
    assert frame is not None
    while frame.tb_next is not None:
        frame = frame.tb_next
    assert mako.template_line(frame.tb_frame.f_globals["__name__"], frame.tb_lineno) == 3


@pytest.mark.parametrize("key", [b"a b", b"a\r\nflush_all", b"k" * 251])
def test_a_key_that_would_be_read_as_a_part_of_the_command_is_refused(key: bytes) -> None:
    client = aiomcache.Client("127.0.0.1", 1)
    validate_key(client, b"good")
    with pytest.raises(aiomcache.ValidationException):
        validate_key(client, key)


@pytest.mark.asyncio
async def test_bytes_that_a_stream_reader_holds_are_seen() -> None:
    reader = asyncio.StreamReader()
    assert not has_buffered(reader)
    reader.feed_data(b"+PONG")
    assert has_buffered(reader)
    await reader.readexactly(5)
    assert not has_buffered(reader)


@pytest.mark.asyncio
async def test_the_streams_of_a_redis_connection_are_taken_once() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    connection = Connection(port=server.sockets[0].getsockname()[1], protocol=2, driver_info=None)
    await connection.connect()  # type: ignore[no-untyped-call]
    reader, writer = take_streams(connection)
    assert not reader.at_eof()
    assert not connection.is_connected
    with pytest.raises(ConnectionError, match="ended right after"):
        take_streams(connection)
    for each in (writer, *held):
        each.close()
        await each.wait_closed()
    server.close()


@pytest.mark.parametrize(
    ("driver", "names"),
    [
        (asyncpg.Connection, ["_transport"]),
        (asyncmy.connection.Connection, ["_transport", "_stream_broken"]),
        (aiomysql.Connection, ["_connect"]),
    ],
)
def test_a_driver_keeps_what_is_asked_of_its_connections(driver: type, names: list[str]) -> None:
    assert [name for name in names if not hasattr(driver, name)] == []


@pytest.mark.asyncio
async def test_the_parts_of_a_connection_that_is_not_open_are_found() -> None:
    connection = aiomysql.Connection()
    assert mysql.transport_of(connection) is None
    assert mysql.is_ended(connection)
    driver: Any = asyncmy.connection.Connection
    unopened = driver()
    assert drivers.transport_of(unopened) is None
    assert drivers.is_broken(unopened)  # until it is open


@pytest.mark.asyncio
async def test_a_connection_to_sqlite_runs_in_a_thread_that_keeps_no_process() -> None:
    connection = await sqlite.connect(":memory:", "PRAGMA foreign_keys = ON")
    thread = connection._thread
    assert thread.daemon
    assert thread.is_alive()
    await connection.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(connection, aiosqlite.Connection)
