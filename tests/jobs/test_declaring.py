"""`@job`: what it takes, names and keys of jobs."""

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from torngas_aio.exception import ArgumentError, ConfigError, NotCallableError
from torngas_aio.jobs import job
from torngas_aio.jobs.declaring import declared


def test_only_async_functions_are_jobs() -> None:
    def plain() -> None: ...

    async def partly(number: int) -> None: ...

    @job
    async def made() -> None: ...

    for wrong in (plain, functools.partial(partly, 1), "name", made):
        with pytest.raises(NotCallableError, match="async def"):
            job(wrong)  # type: ignore[arg-type]


def test_a_method_is_refused() -> None:
    class Mails:
        async def send(self, number: int) -> None: ...

    with pytest.raises(ConfigError, match="a method cannot be a job"):
        job(Mails.send)


def test_every_fault_is_told_at_once_with_its_place() -> None:
    async def function(key: str) -> None: ...

    with pytest.raises(ConfigError) as caught:
        job(retries="3", timeot=5, every=0.5, tz="Mars", queue=5)(function)  # type: ignore[call-overload]
    line = function.__code__.co_firstlineno
    assert all(f"test_declaring.py:{line})" in fault for fault in caught.value.faults)
    told = ("'timeot'. Did you mean 'timeout'?", "retries = '3'", "queue = 5", "tz = 'Mars'", "every = 0.5", "'key'")
    assert [each for each in told if each not in str(caught.value)] == []


MODULE = """
from torngas_aio.jobs import job

@job(name={name!r})
async def {function}(): ...
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write the module of that name, and import it or reload it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = []

    def write(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        if name in made:
            return importlib.reload(sys.modules[name])
        made.append(name)
        return importlib.import_module(name)

    yield write
    for name in made:
        sys.modules.pop(name, None)
    for name in [name for name, found in declared.items() if found.function.__module__ in made]:
        del declared[name]


Write = Callable[[str, str], ModuleType]


def test_a_second_job_of_a_name_is_refused_with_both_places(write: Write) -> None:
    write("first_jobs", MODULE.format(name="mail", function="send"))
    with pytest.raises(ConfigError, match=r"second_jobs\.py:5\): .*first_jobs\.py:4 declares") as caught:
        write("second_jobs", "\n" + MODULE.format(name="mail", function="post"))
    assert "'mail'" in str(caught.value)


@pytest.mark.parametrize("name", [None, "given"])
def test_a_second_job_of_a_name_in_one_module_is_refused(write: Write, name: str | None) -> None:
    text = MODULE.format(name=name, function="send")
    with pytest.raises(ConfigError, match=r"twice_jobs\.py:9\): .*twice_jobs\.py:4 declares"):
        write("twice_jobs", text + text)


def test_a_module_may_be_reloaded_and_its_jobs_are_the_new_ones(write: Write) -> None:
    first = write("again_jobs", MODULE.format(name="again", function="send")).send
    second = write("again_jobs", "\n\n" + MODULE.format(name="again", function="send")).send
    third = write("again_jobs", "\n" + MODULE.format(name="again", function="renamed")).renamed
    assert first is not second
    assert declared["again"] is third
    with pytest.raises(ConfigError, match="other_jobs"):
        write("other_jobs", MODULE.format(name="again", function="send"))


def test_a_key_is_checked_where_it_is_made() -> None:
    @job(key="{number:03d}")
    async def keyed(number: Any) -> None: ...

    assert keyed.message((7,)).labels["key"] == "007"
    with pytest.raises(ArgumentError, match="cannot be made"):
        keyed.message(("x",))
    for key in (7, "", b"x", 10**5000):
        with pytest.raises(ArgumentError, match="must be text"):
            keyed.message((7,), key=key)  # type: ignore[arg-type]


async def test_a_job_that_is_called_runs_at_once() -> None:
    @job
    async def double(number: int) -> int:
        return 2 * number

    assert await double(4) == 8
    assert double.name.endswith(":test_a_job_that_is_called_runs_at_once.<locals>.double")
