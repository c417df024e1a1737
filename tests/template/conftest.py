"""What several test modules of this folder use."""

import asyncio
from pathlib import Path

import pytest

from torngas_aio.template.jinja2_loader import Jinja2Template, Jinja2TemplateLoader


class Book:
    """Templates written in a test, and the loader that reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loader = Jinja2TemplateLoader(str(path))

    def write(self, **sources: str) -> None:
        for name, source in sources.items():
            (self.path / f"{name}.html").write_text(source, encoding="utf-8")

    async def load(self, name: str = "page") -> Jinja2Template:
        return await asyncio.to_thread(self.loader.load, f"{name}.html")

    async def page(self, source: str) -> Jinja2Template:
        self.write(page=source)
        self.loader.reset()
        return await self.load()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)
