"""Every Python block of the documentation is a program of its own, and runs; settings that a block shows are valid."""

import ast
import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado import locale

from torngas_aio import global_settings
from torngas_aio.checks.shapes import shape_faults
from torngas_aio.db.dbalchemy.specs import parse_databases
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
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)
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


def shown_settings(text: str) -> Iterator[tuple[str, Any]]:
    """The settings that blocks of *text* assign as literals, those of a page's `text` blocks too."""
    for block in re.findall(r"^```(?:python|text)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        try:
            statements = ast.parse(block).body
        except SyntaxError:  # a command, a configuration of nginx, what a program prints
            continue
        assigned = [
            each for each in statements if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        ]
        for statement in assigned:
            name = ast.unparse(statement.targets[0])
            with contextlib.suppress(ValueError):  # not a literal: from the environment
                if hasattr(global_settings, name):
                    yield name, ast.literal_eval(statement.value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_settings_that_a_page_shows_are_valid(page: Path) -> None:
    for name, value in shown_settings(page.read_text(encoding="utf-8")):
        settings.configure(**{name: value})
        assert list(shape_faults(settings.as_dict())) == []
        parse_databases(settings.DATABASE_CONNECTION, {}, lambda *_: None)


GUIDES = sorted((ROOT / "docs" / "guide").glob("*.md"))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_page_has_its_parts(page: Path) -> None:
    """When to use it, an example, a table of options with defaults, pitfalls, see also; in both languages."""
    english = page.read_text(encoding="utf-8")
    chinese = (ROOT / "docs" / "zh" / "guide" / page.name).read_text(encoding="utf-8")
    assert english.split("\n\n")[1].startswith("For ")
    assert chinese.split("\n\n")[1].startswith("用于")
    assert "```python\n" in english
    for text, default, pitfalls, see_also in (
        (english, "default", "\n## Pitfalls\n", "\nSee also: "),
        (chinese, "默认", "\n## 注意\n", "\n另见"),
    ):
        assert any(default in header.lower() for header in re.findall(r"^(\|.*\|)\n\| ---", text, re.MULTILINE))
        assert pitfalls in text
        assert see_also in text


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_options_of_a_guide_page_are_those_of_the_chinese_page(page: Path) -> None:
    chinese = (ROOT / "docs" / "zh" / "guide" / page.name).read_text(encoding="utf-8")
    english = options_of(page.read_text(encoding="utf-8"), "default")
    assert options_of(chinese, "默认") == english, f"docs/zh/guide/{page.name} has other options or defaults"


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_defaults_that_a_table_gives_are_those_of_the_settings(page: Path) -> None:
    known = {name: value for name, value in vars(global_settings).items() if name.isupper()}
    for group in ("SESSION", "TEMPLATE_CONFIG", "TRANSLATIONS_CONF"):
        if f"`{group}`" in page.read_text(encoding="utf-8"):
            known |= getattr(global_settings, group)
    for name, default in options_of(page.read_text(encoding="utf-8"), "default"):
        with contextlib.suppress(ValueError, SyntaxError):  # text for readers: "none", "the server's"
            shown = ast.literal_eval(default.replace(",", "") if default[:1].isdigit() else default)
            if name in known and not isinstance(known[name], dict):
                assert shown == known[name], f"docs/guide/{page.name} tells another default of {name}"


def options_of(text: str, default: str) -> list[tuple[str, str]]:
    """The first name of each row, and its default as far as it is code or a number, of tables that give defaults."""
    rows = []
    for header, body in re.findall(r"^(\|.*\|)\n\| ---.*\n((?:\|.*\n)+)", text, re.MULTILINE):
        if default in header.lower():
            for row in body.splitlines():
                name, value = re.match(r"\| `(\w+)`", row), re.search(r"\| (?:`([^`|]*)`|([\d.,]+)) \|$", row)
                if name:
                    rows.append((name[1], (value[1] or value[2]) if value else ""))
    return rows
