"""The small tools."""

import asyncio
import contextvars
import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from tornado import gen
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from torngas_aio.context import enter_request, leave_request
from torngas_aio.exception import OutsideRequest
from torngas_aio.utils import (
    Null,
    cached_property,
    escape_controls,
    iterbetter,
    request_context,
    safestr,
    safeunicode,
    sleep,
)


def make_request(path: str) -> HTTPServerRequest:
    class Connection:
        context = None

    return HTTPServerRequest(
        connection=Connection(),  # type: ignore[arg-type]
        start_line=RequestStartLine("GET", path, "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "localhost"}),
    )


def test_the_request_context_is_empty_outside_a_request() -> None:
    assert not request_context
    with pytest.raises(OutsideRequest, match="outside any request"):
        _ = request_context.request
    with pytest.raises(LookupError):
        _ = request_context.request


async def test_each_task_sees_the_request_it_was_started_for() -> None:
    async def path_below() -> str:
        await asyncio.sleep(0)
        return request_context.request.path

    async def serve(path: str) -> str:
        enter_request(make_request(path))
        return await asyncio.create_task(path_below())

    paths = [f"/{number}" for number in range(20)]
    assert await asyncio.gather(*(serve(path) for path in paths)) == paths
    assert not request_context


def test_leaving_a_request_gives_back_the_one_before() -> None:
    def nested() -> None:
        outer = enter_request(make_request("/outer"))
        inner = enter_request(make_request("/inner"))
        assert request_context
        assert request_context.request.path == "/inner"
        leave_request(inner)
        assert request_context.request.path == "/outer"
        leave_request(outer)
        assert not request_context

    contextvars.copy_context().run(nested)


def test_text_comes_out_of_everything() -> None:
    assert safestr("ä") == safestr("ä".encode()) == safeunicode(bytearray("ä", "utf-8")) == "ä"
    assert safestr("ä".encode("latin-1"), "latin-1") == "ä"
    assert safestr(3) == safeunicode(3) == "3"
    assert safeunicode(memoryview(b"a")) == "a"
    with pytest.raises(UnicodeDecodeError):
        safestr(b"\xff")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain ü 漢字", "plain ü 漢字"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x00\x7f\x9b", "\\x1b[2J\\x00\\x7f\\x9b"),
        ("a\u2028b\u2029\u202e\u0085", "a\\u2028b\\u2029\\u202e\\x85"),
        ("a\u061cb\u200e", "a\\u061cb\\u200e"),
        ("\ud800", "\\ud800"),
    ],
    ids=ascii,
)
def test_control_characters_are_written_out(text: str, written: str) -> None:
    assert escape_controls(text) == written
    assert len(escape_controls(text).splitlines()) == 1


def test_iterbetter_goes_forwards_only() -> None:
    def numbers() -> Iterator[int]:
        yield from range(6)

    items = iterbetter(numbers())
    assert bool(items)
    assert items[0] == 0
    assert items[2] == 2
    with pytest.raises(IndexError, match="Item 1 was read already; the next one is 3"):
        _ = items[1]
    assert items.first() == 3
    assert items.list() == [4, 5]
    assert not items
    assert items.first("none") == "none"
    assert items.first() is None
    with pytest.raises(IndexError, match="no item 9; there were 6"):
        _ = items[9]


def test_null_does_nothing_and_never_minds() -> None:
    null: Any = Null("whatever", option=1)
    null.a.b.c = 1
    null["x"] = 2
    del null["x"], null.a
    assert null.any.thing(1)[2].more == Null()
    assert not null
    assert list(null) == []
    assert len({null, Null()}) == 1
    assert (str(null), repr(null), len(null)) == ("", "<Null>", 0)
    assert null != 0
    assert copy.copy(null) == pickle.loads(pickle.dumps(null)) == null
    assert not hasattr(null, "__html__")


async def test_sleep_is_awaited_or_yielded() -> None:
    @gen.coroutine
    def old_style() -> Any:
        yield sleep(0)
        return "rested"

    await sleep(0)
    assert await old_style() == "rested"


def test_a_cached_property_is_computed_once() -> None:
    class Page:
        computed = 0

        @cached_property
        def title(self) -> str:
            self.computed += 1
            return "title"

    page = Page()
    assert page.title == page.title == "title"
    assert page.computed == 1
