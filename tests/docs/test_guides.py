"""Every Python block of the documentation is a program of its own, and runs."""

import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado import locale

from torngas_aio.settings_manager import settings

ROOT = Path(__file__).parents[2]
# The tutorial's blocks are files of one project: see test_tutorial.py. Chinese pages in folders have the programs of
# the English ones: see test_chinese_pages.py.
PAGES = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if page.stem != "tutorial" and "zh" not in page.parent.relative_to(ROOT / "docs").parts[:-1]
]

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> Iterator[Any]:
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text[: match.start()].count("\n") + 2
            yield pytest.param(name, line, match[1], id=f"{name}:{line}")


@pytest.fixture(autouse=True)
def all_is_put_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the examples leave their folders behind
    yield
    settings.reset()
    locale._translations, locale._use_gettext = {}, False
    locale._supported_locales = frozenset({"en_US"})
    locale.Locale._cache.clear()
    locale.set_default_locale("en_US")


@pytest.mark.parametrize(("name", "line", "source"), list(blocks()))
def test_the_examples_run(name: str, line: int, source: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # examples of errors log them
    code = compile("\n" * (line - 1) + source, str(ROOT / name), "exec")
    exec(code, {"__name__": "__main__"})
