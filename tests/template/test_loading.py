"""Compiled templates are kept between starts."""

from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Book
from tests.template.test_jinja2_loader import Thing
from torngas_aio.exception import ConfigError
from torngas_aio.template.jinja2_loader import Jinja2TemplateLoader


async def test_bytecode_is_kept_between_starts_for_each_set_of_options(book: Book, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    book.write(page="{{ a }}{% for x in t.rows %}{{ x }}{% endfor %}")

    async def start(**options: Any) -> bytes:
        book.loader = Jinja2TemplateLoader(str(book.path), cache_directory=str(cache), **options)
        template = await book.load()
        return await template.render({"a": "<", "t": Thing(rows=[1, 2])})

    assert await start() == b"&lt;12"
    assert await start(enable_async=True) == b"&lt;12"
    kept = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert len(kept) == 2
    assert cache.stat().st_mode & 0o777 == 0o700
    assert await start() == b"&lt;12"
    assert {path.name for path in cache.iterdir()} == set(kept)
    assert await start(autoescape=False) == b"<12", "code made with escaping must not be taken up without, nor back"
    assert await start() == b"&lt;12"


async def test_a_cache_directory_that_others_may_write_to_is_refused(book: Book, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    book.loader = Jinja2TemplateLoader(str(book.path), cache_directory=str(cache))
    with pytest.raises(ConfigError, match=r"run as code.*chmod go-w"):
        await book.page("{{ a }}")


async def test_a_cache_directory_that_cannot_be_made_is_done_without(
    book: Book, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    book.loader = Jinja2TemplateLoader(str(book.path), cache_directory=str(tmp_path / "file" / "cache"))
    assert await (await book.page("{{ a }}")).render({"a": 1}) == b"1"
    assert "templates stay in memory" in caplog.text
