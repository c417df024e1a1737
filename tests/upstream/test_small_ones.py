"""The standard library, Mako and aiomcache still have what `_compat` takes from them."""

import argparse
import asyncio
import subprocess
import sys

import aiomcache
import pytest
from mako.lookup import TemplateLookup

from torngas_aio._compat import mako
from torngas_aio._compat.aiomcache import validate_key
from torngas_aio._compat.stdlib import enter_task, leave_task, options_of


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
    loop, seen = asyncio.get_running_loop(), list[asyncio.Task[None] | None]()
    task = asyncio.create_task(asyncio.sleep(0.1))

    def call() -> None:
        enter_task(loop, task)
        seen.append(asyncio.current_task())
        with pytest.raises(RuntimeError):
            enter_task(loop, task)
        leave_task(loop, task)
        seen.append(asyncio.current_task())

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
