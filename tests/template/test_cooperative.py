"""Long pages are made part by part."""

import asyncio

import pytest

from tests.template.conftest import Book


async def test_calls_of_a_long_page_are_made_once(book: Book) -> None:
    template = await book.page("{{ count() }}{% for x in rows %}{{ x }}{% endfor %}{{ count() }}")
    numbers = iter("ab")
    rest = template.begin({"count": lambda: next(numbers), "rows": ["-"] * 10_000})
    assert not isinstance(rest, bytes)
    page = await rest()
    assert page == b"a" + b"-" * 10_000 + b"b"


async def test_a_long_page_that_fails_tells_the_template_s_line(book: Book) -> None:
    from torngas_aio.template.position import place_of_frame

    template = await book.page("{% for x in rows %}\n{{ 1 / x }}\n{% endfor %}")
    rest = template.begin({"rows": [1] * 2000 + [0]})
    assert not isinstance(rest, bytes)
    with pytest.raises(ZeroDivisionError) as caught:
        await rest()
    traceback = caught.value.__traceback__
    found = []
    while traceback is not None:
        found.append(place_of_frame(traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    assert [place.line for place in found if place is not None][-1] == 2


async def test_long_pages_let_the_loop_run(book: Book) -> None:
    template = await book.page("{% for x in rows %}{{ x }}\n{% endfor %}")
    values = {"rows": range(100_000)}
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    rest = template.begin(values)
    assert not isinstance(rest, bytes), "too long to be made in one go"
    page = await rest()
    assert turns > 3
    assert await template.render(values) == page
    counting.cancel()
    assert page.count(b"\n") == 100_000
