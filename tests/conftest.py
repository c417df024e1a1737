"""Fixtures of every test: the public pytest plugin, the stores' servers, detection of blocking calls."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from torngas_aio.logger import shutdown_logging

pytest_plugins = ["torngas_aio.testing.plugin", "tests.services.fixtures"]


@pytest.hookimpl(trylast=True)  # last, so that deselected tests are not counted
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files for parallel runs: longest test timeout first, then the largest number of tests.

    Otherwise one process may run the long tests alone at the end; see `_workers` in noxfile.py.
    """
    if not hasattr(config, "workerinput"):
        return
    longest: Counter[Path] = Counter()
    count = Counter(item.path for item in items)
    for item in items:
        mark = item.get_closest_marker("timeout")
        longest[item.path] = max(longest[item.path], mark.args[0] if mark else 0)
    items.sort(key=lambda item: (-longest[item.path], -count[item.path]))


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[BlockBuster]:
    """Fail the test if torngas_aio blocks the event loop: by file access, a sleep or a synchronous socket.

    Allowed: creating a database engine, once per process, imports its driver and checks its path. asyncpg looks for
    certificates and a password file on each connection. A full log buffer blocks for at most 10 ms, as documented.
    """
    with blockbuster_ctx("torngas_aio", excluded_modules=["torngas_aio.testing"]) as watch:
        for function in watch.functions.values():
            function.can_block_in("dbalchemy/engines.py", "make_engine")
            function.can_block_in("logger/background.py", "_fits")
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        yield watch


@pytest.fixture(autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """Shut logging down after each test: a command run in this process may have configured it."""
    yield
    shutdown_logging(1)


@pytest.fixture(autouse=True)
def only_jobs_of_its_package_are_declared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Undeclare the jobs of other test packages: every application runs all scheduled jobs that are declared."""
    declared = _declared_jobs()
    before = dict(declared)
    for name, each in before.items():
        if _package_of(each.function.__module__) != _package_of(request.module.__name__):
            del declared[name]
    yield
    declared = _declared_jobs()
    declared.clear()
    declared.update(before)


def _package_of(module: str) -> str:
    return module.rpartition(".")[0]


def _declared_jobs() -> dict[str, Any]:
    module = sys.modules.get("torngas_aio.jobs.declaring")
    return {} if module is None else module.declared
