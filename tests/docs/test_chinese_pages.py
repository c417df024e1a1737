"""Chinese pages show the programs of the English pages that they mirror."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
FOLDERS = ("start", "guide", "howto", "deploy", "migration")
MIRRORED = [page for folder in FOLDERS for page in sorted((DOCS / "zh" / folder).glob("*.md"))]
MIRRORED.append(DOCS / "zh" / "tutorial.md")

_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def programs(page: Path) -> list[str]:
    """The blocks of *page* that are the same in each language: all but diagrams."""
    return [block for block in _BLOCK.findall(page.read_text(encoding="utf-8")) if not block.startswith("```diagram")]


@pytest.mark.parametrize("page", MIRRORED, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_programs_of_a_page_are_those_of_the_english_page(page: Path) -> None:
    english = DOCS / page.relative_to(DOCS / "zh")
    assert programs(page) == programs(english), f"copy the programs of {english.relative_to(DOCS)} to docs/zh"


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_english_page_has_a_chinese_one(folder: str) -> None:
    english, chinese = ({page.name for page in (root / folder).glob("*.md")} for root in (DOCS, DOCS / "zh"))
    assert chinese == english, (
        f"docs/zh/{folder} lacks {sorted(english - chinese)} and has {sorted(chinese - english)} beyond docs/{folder}; "
        "see 'Pages in two languages' in CONTRIBUTING.md"
    )


def test_chinese_page_of_the_porting_tool_explains_each_code() -> None:
    codes = re.compile(r"^## (TGM\d+)", re.MULTILINE)
    english, chinese = (root / "migration" / "codes.md" for root in (DOCS, DOCS / "zh"))
    wanted, found = (codes.findall(page.read_text(encoding="utf-8")) for page in (english, chinese))
    assert found == wanted, (
        f"docs/zh/migration/codes.md lacks {sorted({*wanted} - {*found})}, has {sorted({*found} - {*wanted})} "
        "beyond the English page, or another order; see 'Pages in two languages' in CONTRIBUTING.md"
    )
