"""One list of codes: what the code uses, what the list has and what the documentation explains are the same."""

import ast
import re
from pathlib import Path

import pytest

from torngas_aio.checks import check_settings
from torngas_aio.codes import CODES
from torngas_aio.exception import ConfigError
from torngas_aio.settings_manager import Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/codes.md").read_text(encoding="utf-8")


def test_every_code_in_the_code_is_in_the_list_and_the_other_way_round() -> None:
    used: set[str] = set()
    for path in (ROOT / "torngas_aio").rglob("*.py"):
        if path.name != "codes.py":
            used.update(re.findall(r"\bTGA\d{3}\b", path.read_text(encoding="utf-8")))
    assert used == set(CODES), "use each code of torngas_aio/codes.py in the package, and list each that is used"


MIXED = {"webserver/server.py", "asgi/application.py"}  # they gather faults that have codes already


def test_every_config_error_is_made_with_a_code() -> None:
    """Of its own, or of the fault that it is made of; the class's own code tells nothing."""
    without = []
    for path in sorted((ROOT / "torngas_aio").rglob("*.py")):
        place = path.relative_to(ROOT / "torngas_aio").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if "cli/templates" not in place else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"ConfigError", "ConfigError.gather"}:
                is_coded = any(keyword.arg == "code" for keyword in node.keywords)
                if not is_coded and not ("gather" in ast.unparse(node.func) and place in MIXED):
                    without.append(f"{place}:{node.lineno}")
    assert without == [], "give each a code=, of torngas_aio/codes.py"


def test_every_code_is_explained_on_the_page_and_the_other_way_round() -> None:
    found = re.findall(r"^### (TGA\d{3}): (.+)$", PAGE, re.MULTILINE)
    assert found == list(CODES.items()), "docs/reference/codes.md: one '### TGA...: title' for each of CODES, in order"
    assert set(re.findall(r"TGA\d{3}", PAGE)) == set(CODES)


@pytest.mark.parametrize("section", re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:], ids=lambda text: text[:6])
def test_each_section_has_cause_fix_and_example(section: str) -> None:
    """In this order, none of them empty."""
    parts = r"\*\*Cause\.\*\* \S.+\n\n\*\*Fix\.\*\* \S.+\n\n\*\*Example\.\*\*\n\n```text\n\S.+\n```"
    assert re.search(parts, section, re.DOTALL)


def test_the_page_is_in_the_documentation_s_menu() -> None:
    assert "reference/codes.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"THREADS_NUM": 0}, "TGA103"),
        ({"INSTALLED_APPS": "home"}, "TGA103"),
        ({"CACHE": {}}, "TGA102"),
        ({"SESSION": {"expire": 1}}, "TGA102"),
        ({"TORNADO_CONF": {"static_pth": "x"}}, "TGA102"),
        ({"MIDDLEWARE_CLASSES": ["no.such.Middleware"]}, "TGA104"),
        ({"CACHES": {}}, "TGA107"),
        ({"DEBUG": False, "TORNADO_CONF": {}}, "TGA106"),
    ],
)
def test_faults_of_the_settings_have_codes(values: dict[str, object], code: str) -> None:
    settings = Settings()
    settings.configure(**{"DEBUG": True, "MIDDLEWARE_CLASSES": (), **values})
    (fault,) = ConfigError(*check_settings(settings)).faults
    assert fault.code == code
