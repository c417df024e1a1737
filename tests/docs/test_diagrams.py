"""Diagrams of the pages are SVG that text describes."""

import importlib.util
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_spec = importlib.util.spec_from_file_location("docs_diagrams", DOCS / "_diagrams.py")
assert _spec is not None
assert _spec.loader is not None
diagrams: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(diagrams)

PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "```diagram" in page.read_text(encoding="utf-8")]


def drawn(source: str) -> ET.Element:
    return ET.fromstring(diagrams.draw(source))


def test_an_arrow_leads_from_each_box_to_each_or_to_the_one_below() -> None:
    assert len(drawn("a | b\n-> c | d\n").findall("path")) == 4
    assert len(drawn("a | b\n=> c | d\n").findall("path")) == 2


def test_text_is_escaped_and_is_the_description() -> None:
    picture = drawn('a <b> & "c"\n-> d\n')
    assert picture.get("aria-label") == 'a <b> & "c"; then d'
    assert [text.text for text in picture.findall("text")] == ['a <b> & "c"', "d"]


def test_long_text_is_broken_into_lines_of_its_box() -> None:
    picture = drawn("reads before the first write | writes, and reads after them\n")
    assert len(picture.findall("text")) > 2
    assert all(len(text.text or "") < 30 for text in picture.findall("text"))
    chinese = [
        text.text or "" for text in drawn("第一次写入之前的读取和别的 | 写入以及之后的读取和别的\n").findall("text")
    ]
    assert all(0 < len(text) <= 14 for text in chinese)


def test_no_line_begins_with_punctuation() -> None:
    texts = [text.text or "" for text in drawn("缓存缓存缓存缓存、会话、任务 | 从库 | 主库\n").findall("text")]
    assert "".join(texts) == "缓存缓存缓存缓存、会话、任务从库主库"
    assert all(text[0] != "、" for text in texts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_diagrams_of_a_page_fit(page: Path) -> None:
    text = diagrams.draw_diagrams(page.read_text(encoding="utf-8"))
    assert "```diagram" not in text
    for line in text.splitlines():
        if line.startswith("<svg"):
            boxes = ET.fromstring(line).findall("rect")
            assert all(0 < float(box.get("x", 0)) + float(box.get("width", 0)) < diagrams.WIDTH for box in boxes)
