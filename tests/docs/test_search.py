"""The site's search finds, among its first three results, the page that answers what newcomers ask."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NODE = shutil.which("node")

QUESTIONS = {
    "en": {
        "websocket": "guide/handlers/",
    },
    "zh": {
        "两个数据库": "zh/howto/several-databases/",
    },
}
"""What was typed into the search box, by language, and an address that answers it."""

_RUN = """
const [, worker, file, language] = process.argv;
globalThis.location = {search: `?lang=${language}`};
require("vm").runInThisContext(require("fs").readFileSync(worker, "utf8") + "\\n;globalThis.answer = answer;");
const {docs, queries} = JSON.parse(require("fs").readFileSync(file, "utf8"));
answer({type: 0, data: {docs}});
const found = (query) => answer({type: 2, data: query}).data.items;
console.log(JSON.stringify(queries.map(found)));
"""


_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def _without_comments(block: re.Match[str]) -> str:
    return block[0].replace("\n#", "\n ")


def sections(page: Path) -> list[dict[str, str]]:
    """Return *page* as MkDocs indexes it: the page, then an entry for each heading."""
    name = page.relative_to(DOCS).with_suffix("").as_posix()
    address = re.sub(r"(^|/)index/$", r"\1", f"{name}/")
    text = re.sub(r"\]\([^)]*\)|[`*\[]", "", _CODE.sub(_without_comments, page.read_text(encoding="utf-8")))
    parts = re.split(r"^#{1,3} (.+)$", html.escape(text), flags=re.MULTILINE)
    return [
        {"location": f"{address}#{number}" if number else address, "title": title, "text": body}
        for number, (title, body) in enumerate(zip(parts[1::2], parts[2::2], strict=True))
    ]


def ask(folder: Path, language: str, *queries: str) -> list[list[list[dict[str, str]]]]:
    """Return the results for each of *queries*: pages, each with its sections."""
    index = folder / "index.json"
    docs = [entry for page in sorted(DOCS.rglob("*.md")) for entry in sections(page)]
    index.write_text(json.dumps({"docs": docs, "queries": queries}), encoding="utf-8")
    command = [str(NODE), "-e", _RUN, str(DOCS / "search.js"), str(index), language]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return list(json.loads(done.stdout))


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("language", QUESTIONS)
def test_pages_that_answer_are_among_the_first_three(tmp_path: Path, language: str) -> None:
    questions = QUESTIONS[language]
    results = ask(tmp_path, language, *questions)
    found = [[page[0]["location"] for page in pages[:3]] for pages in results]
    missed = [(query, pages) for query, pages in zip(questions, found, strict=True) if questions[query] not in pages]
    assert not missed


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_pages_of_the_other_language_are_left_out_where_there_is_one_of_this(tmp_path: Path) -> None:
    english, chinese = (ask(tmp_path, language, "CACHES")[0] for language in ("en", "zh"))
    assert not any(page[0]["location"].startswith("zh/") for page in english)
    assert "guide/cache/" not in [page[0]["location"] for page in chinese]


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_marks_stand_outside_of_entities_and_nothing_else_is_markup(tmp_path: Path) -> None:
    pages = ask(tmp_path, "en", "lt quot amp html script")[0]
    for text in (section[key] for page in pages for section in page for key in ("title", "text")):
        assert "<" not in re.sub(r"</?mark>", "", text)
        assert not re.search(r"&<mark>|&\w*<", text)
