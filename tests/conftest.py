"""What every test stands on: the plugin that users get, the stores' servers, a watch for blocking calls."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from torngas_aio.logger import shutdown_logging

pytest_plugins = ["torngas_aio.testing.plugin", "tests.services.fixtures"]


@pytest.hookimpl(trylast=True)  # what is deselected counts for nothing
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let test processes begin with the files of the longest tests, as their timeouts tell, then with the fullest.

    Else one of them is left with the long ones when the other has ended; see `_workers` in noxfile.py.
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
    """A call that blocks the loop (a file, a sleep, a synchronous socket) inside torngas_aio fails the test.

    Left alone: a database engine, made once in a program's life, imports its driver and looks at its path; asyncpg
    looks for certificates and a password file whenever it connects, which is its own affair; a full log buffer
    holds the loop for 10 ms at most, as its documentation says.
    """
    with blockbuster_ctx("torngas_aio", excluded_modules=["torngas_aio.testing"]) as watch:
        for function in watch.functions.values():
            function.can_block_in("dbalchemy/engines.py", "make_engine")
            function.can_block_in("logger/background.py", "_fits")
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        yield watch


@pytest.fixture(autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """What a command has set up within this process would take the records of later tests."""
    yield
    shutdown_logging(1)


@pytest.fixture(autouse=True)
def only_jobs_of_its_package_are_declared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Jobs with a schedule run in every application while they are declared: those of other tests are put aside."""
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
