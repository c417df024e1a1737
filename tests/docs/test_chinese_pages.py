"""Chinese pages show the programs of the English pages that they mirror."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MIRRORED = [page for folder in ("start", "guide", "deploy") for page in sorted((DOCS / "zh" / folder).glob("*.md"))]

_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", MIRRORED, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_programs_of_a_page_are_those_of_the_english_page(page: Path) -> None:
    english = DOCS / page.relative_to(DOCS / "zh")
    assert _BLOCK.findall(page.read_text(encoding="utf-8")) == _BLOCK.findall(english.read_text(encoding="utf-8"))
