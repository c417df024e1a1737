"""Files that pages show as text, because they belong into a project, work in one."""

import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "TORNGAS_APP_SETTINGS"}


def shown(page: str, holding: str) -> str:
    """The text block of *page* in which *holding* stands."""
    blocks = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    return next(str(block) for block in blocks if holding in block)


def run(*command: str, folder: Path) -> str:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, cwd=folder, env=environment
    ).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    run("-m", "torngas_aio", "startproject", "mysite", folder=tmp_path)
    return tmp_path / "mysite"


def test_the_asgi_module_serves_the_project(project: Path) -> None:
    (project / "asgi.py").write_text(shown("guide/asgi.md", "# asgi.py"), encoding="utf-8")
    script = (
        "import asyncio, asgi\n"
        "from torngas_aio.testing import TestClient\n"
        "async def main():\n"
        "    async with TestClient(asgi.application.application) as client:\n"
        "        print((await client.get('/')).status_code)\n"
        "asyncio.run(main())\n"
    )
    assert run("-c", script, folder=project).split() == ["200"]


def test_a_new_project_prints_the_pipeline_that_is_shown(project: Path) -> None:
    assert run("-m", "torngas_aio", "pipeline", "/", folder=project) == shown("getting-started.md", "name index")


def test_babel_finds_the_texts_of_a_tornado_template() -> None:
    pytest.importorskip("babel")
    names: dict[str, Any] = {}
    exec(shown("guide/i18n.md", "def extract("), names)
    page = b"""{% comment don't %}{{ _("hello") }}
{% if x %}{{ ngettext("%(n)d post", "%(n)d posts", n) % {"n": n} }}{% end %}{# a (note #}
{% module Menu(_("menu")) %}{% raw _(
  "raw") %}"""
    found = [(line, text) for line, _, text, _ in names["extract"](BytesIO(page), ("_", "ngettext"), (), {})]
    assert [line for line, _ in found] == [1, 2, 3, 4]
    assert "hello" in found[0]
    assert found[1][1][:2] == ("%(n)d post", "%(n)d posts")


def test_the_project_of_the_testing_guide_passes_its_tests(tmp_path: Path) -> None:
    page = (ROOT / "docs/guide/testing.md").read_text(encoding="utf-8")
    files = dict(re.findall(r'```python title="(.*?)"\n(.*?)```', page, re.DOTALL))
    assert set(files) == {"settings/setting.py", "shop/urls.py", "tests/conftest.py", "tests/test_shop.py"}
    for name, text in {**files, "pyproject.toml": shown("guide/testing.md", "asyncio_mode")}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    printed = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path)
    assert f"{files['tests/test_shop.py'].count('async def test_')} passed" in printed
