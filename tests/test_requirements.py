"""Versions that pyproject allows: a library of which private names are used has an upper bound that was tried."""

import importlib.metadata
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

COUPLED = [
    "tornado", "httptools", "redis", "hiredis", "aiomcache", "sqlalchemy", "alembic", "aiomysql", "PyMySQL", "asyncmy",
    "aiosqlite", "asyncpg", "mako", "limits",
]  # fmt: skip


def requirements() -> Iterator[Requirement]:
    path = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return (Requirement(line) for line in lines)


@pytest.mark.parametrize("name", COUPLED)
def test_a_coupled_library_has_both_bounds_and_the_installed_version_lies_within(name: str) -> None:
    (found,) = [each for each in requirements() if each.name == name]
    assert {each.operator for each in found.specifier} == {">=", "<"}
    assert importlib.metadata.version(name) in found.specifier
