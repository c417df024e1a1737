"""What a maintainer looks for is there, named where it is looked for, and holds what it names."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "RELEASING.md", "docs/internals.md", "README.md"]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:torngas_aio|tests|docs|[a-z_]+)/[\w/.-]+|_\w+\.py|[\w]+\.py)`", text)
    named += [link for link in re.findall(r"\]\(([\w./-]+)\)", text) if "://" not in link]
    places = (ROOT, ROOT / "torngas_aio", ROOT / "docs", ROOT / "docs" / "guide")
    generated = {"settings/setting.py", "myapp/urls.py"}
    missing = [name for name in named if name not in generated and not any((place / name).exists() for place in places)]
    assert not missing, f"{page} names files that are not there: write their paths from the root"


def test_the_sdist_can_be_carried_on_with() -> None:
    included = project()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in ("torngas_aio", "tests", "examples", "benchmarks", "docs", "noxfile.py", "mkdocs.yml", "LICENSE"):
        assert name in included
        assert (ROOT / name).exists()
    assert "*.md" in included


def test_the_continuous_integration_runs_each_supported_python() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    versions = [
        line.rpartition(" ")[2] for line in project()["project"]["classifiers"] if re.search(r"Python :: 3\.\d+$", line)
    ]
    assert versions
    for version in versions:
        assert f'"{version}"' in workflow


def test_the_change_log_has_a_place_for_what_is_not_released() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
