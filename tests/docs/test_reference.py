"""The generated reference pages name every setting, sub-key, command and option."""

import argparse
import importlib.util
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from torngas_aio import global_settings
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cli.registry import BUILT_IN, load_command
from torngas_aio.webserver.options import BUILT_IN as SERVER_OPTIONS

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "_hooks.py")
assert _spec is not None
assert _spec.loader is not None
hooks: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hooks)


@pytest.fixture(scope="module")
def settings_page() -> str:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    return str(hooks.on_page_markdown(page))


@pytest.fixture(scope="module")
def commands_page() -> str:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    return str(hooks.on_page_markdown(page))


@pytest.mark.parametrize("name", [name for name in vars(global_settings) if name.isupper()])
def test_reference_has_each_setting_with_its_type(settings_page: str, name: str) -> None:
    assert f"### `{name}`\n\nType: `" in settings_page


@pytest.mark.parametrize("setting", hooks.SUB_KEYS)
def test_reference_has_the_keys_of(settings_page: str, setting: str) -> None:
    module, name = hooks.SUB_KEYS[setting]
    defaults = getattr(import_module("torngas_aio." + module.removesuffix(".py").replace("/", ".")), name)
    section = settings_page.partition(f"### `{setting}`\n")[2].partition("\n### ")[0]
    listed = section.partition("Keys and their defaults:")[2]
    assert listed.count(": ") >= len(defaults)
    for key in defaults:
        assert f'"{key}"' in listed


@pytest.mark.parametrize("name", BUILT_IN)
def test_reference_has_each_command_with_its_options(commands_page: str, name: str) -> None:
    section = commands_page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
    parser = argparse.ArgumentParser()
    load_command(name).add_arguments(parser)
    for each in hooks.parsers_of(parser):
        for action in each._actions:
            assert all(option in section for option in action.option_strings)
    assert section


@pytest.mark.parametrize("name", [name for name in vars(global_settings) if name.isupper()])
@pytest.mark.parametrize("docs", ["docs", "docs/zh"])
def test_guide_of_a_setting_names_it(docs: str, name: str) -> None:
    page = (ROOT / docs / "guide" / f"{hooks.guide_of(name)}.md").resolve()
    is_named = re.search(rf"\b{name}\b", page.read_text(encoding="utf-8"))
    assert is_named, f"explain {name} in {page.relative_to(ROOT)}, or name another page in GUIDES of docs/_hooks.py"


def test_no_setting_is_misspelt_in_the_list_of_guides() -> None:
    assert all(hasattr(global_settings, name) for names in hooks.GUIDES.values() for name in names.split())


PLUMBING = {"begin_attempts", "compute_once", "is_down_for", "life", "refresh_soon"}
"""Public methods of caches that only `cached` and the backends call."""


@pytest.mark.parametrize("docs", ["docs", "docs/zh"])
def test_guide_of_caches_has_each_call(docs: str) -> None:
    page = ROOT / docs / "guide" / "cache.md"
    named = set(re.findall(r"`(\w+)\(", page.read_text(encoding="utf-8")))
    calls = {name for name, value in vars(BaseCache).items() if inspect.isfunction(value) and name[0] != "_"}
    assert calls - PLUMBING <= named, (
        f"add {sorted(calls - PLUMBING - named)} to the table of calls of {docs}/guide/cache.md"
    )


@pytest.mark.parametrize("path", [path for paths in hooks.BACKENDS.values() for path in paths])
def test_reference_tells_the_options_of(path: str) -> None:
    assert "OPTIONS" in hooks._options_of(path)


def test_reference_has_each_option_of_the_server(commands_page: str) -> None:
    for name, default, _, _ in SERVER_OPTIONS:
        assert f"| `--{name.replace('_', '-')}` | `{default!r}` |" in commands_page


def test_deployment_guide_has_the_defaults_of_the_server_s_options() -> None:
    known = {name: default for name, default, *_ in SERVER_OPTIONS}
    page = (ROOT / "docs/guide/deployment.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `--(\w+)` \| .* \| `?([\w.]+)`?(?:: never)? \|$", page, re.MULTILINE)
    assert len(shown) > 8
    for name, default in shown:
        served = known[name]
        if served in (None, ""):  # which server is known at the start only: the first where httptools is installed
            served = "torngas_aio" if name == "http_server" else "none"
        assert default == (f"{served:g}" if isinstance(served, float) else str(served)), name
