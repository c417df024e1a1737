"""JOBS: which backend an alias has, and what is wrong with an entry."""

from typing import Any

import pytest
from taskiq import InMemoryBroker

from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.jobs import BaseJobs
from torngas_aio.jobs.foreign import ForeignJobs
from torngas_aio.jobs.registry import jobs, make_jobs
from torngas_aio.settings_manager import Settings, settings
from torngas_aio.webserver.validation import service_findings

MEMORY = "torngas_aio.jobs.memory.MemoryJobs"
REDIS = "torngas_aio.jobs.redis.RedisJobs"


async def test_an_alias_has_one_backend_as_long_as_its_entry_is_the_same(memory: BaseJobs) -> None:
    assert jobs["default"] is memory
    with settings.override(JOBS={"default": {"BACKEND": MEMORY, "OPTIONS": {"CONCURRENCY": 3}}}):
        assert jobs["default"] is not memory
    with pytest.raises(UnknownAlias, match="'mail'"):
        jobs["mail"]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"BACKEND": "no.such.Backend"}, "dotted path"),
    ({"BACKEND": "torngas_aio.jobs.memory.Memory"}, "dotted path"),
    ({"BACKEND": "json.JSONDecoder"}, "subclass"),
    ({}, "subclass"),
    ({"BACKEND": MEMORY, "OPTIONS": {"CONCURENCY": 1}}, "no such option. Did you mean 'CONCURRENCY'"),
    ({"BACKEND": MEMORY, "OPTIONS": {"CONCURRENCY": 0}}, "at least 1"),
    ({"BACKEND": MEMORY, "OPTIONS": {"CONCURRENCY": True}}, "at least 1"),
    ({"BACKEND": MEMORY, "OPTIONS": 5}, "must be a dict"),
    ({"BACKEND": MEMORY, "OPTION": {}}, "no such key. Did you mean 'OPTIONS'"),
    ({"BACKEND": MEMORY, "DATABASE": "defualt"}, "DATABASE_CONNECTION has no"),
    ({"BACKEND": MEMORY, "DATABASE": None}, "DATABASE_CONNECTION has no"),
    ({"BACKEND": MEMORY, "CONCURRENCY": 1}, "no such key"),
    ({"BACKEND": REDIS}, "no address"),
    *(
        ({"BACKEND": REDIS, "LOCATION": "localhost", "OPTIONS": {name: value}}, name)
        for name, values in {
            "REPLICAS": (-1, 1.0, True, "1"),
            "KEY_PREFIX": ("", 5, None, "{a}"),
            "DEADLINE": (0, "x", float("nan"), True),
            "RETRY_SECONDS": ("x", float("nan")),
            "DEADLIN": (3,),
        }.items()
        for value in values
    ),
    ({"BACKEND": "taskiq.InMemoryBroker", "OPTIONS": {"no_such": 1}}, "cannot be made"),
]


@pytest.mark.parametrize(("entry", "told"), FAULTS)
def test_an_entry_that_cannot_work_is_refused(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_jobs("default", entry)


@pytest.mark.parametrize(("entry", "told"), FAULTS)
def test_check_knows_it(entry: dict[str, Any], told: str) -> None:
    values = Settings()
    values.configure(JOBS={"mail": entry})
    found, _ = service_findings(values, [])
    assert found
    assert {fault.code for fault in found} <= {"TGA103", "TGA401"}
    assert "JOBS['mail']" in found[0]


async def test_another_taskiq_broker_is_taken() -> None:
    found = make_jobs("default", {"BACKEND": InMemoryBroker, "OPTIONS": {"max_async_tasks": 3}})
    assert isinstance(found, ForeignJobs)
    await found.aclose()
