"""Every public name is on a page of the API reference, with a description."""

import importlib
import inspect
from typing import Any

import pytest

from tests.docs.test_reference import hooks

PACKAGES = hooks.public_packages()


@pytest.mark.parametrize("package", PACKAGES)
def test_page_of_a_package_describes_each_name(package: str) -> None:
    module, page = importlib.import_module(package), hooks.package_page(package)
    for name in hooks.exported(package):
        value: Any = getattr(module, name)
        path = hooks._path_of(value)
        assert f"## `{name}`" in page or f"::: {path}\n" in page
        assert path is None or inspect.getdoc(value), f"{package}.{name} has no docstring"


def test_each_class_and_function_is_described_on_one_page() -> None:
    pages = "".join(map(hooks.package_page, PACKAGES))
    described = [line for line in pages.splitlines() if line.startswith("::: ")]
    assert len(described) > 100
    assert len(described) == len(set(described))


def test_reference_lists_all_packages() -> None:
    page = hooks.on_page_markdown("<!-- packages -->")
    assert all(f"[`{package}`](api/{package}.md)" in page for package in PACKAGES)
