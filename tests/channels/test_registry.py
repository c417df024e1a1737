"""Channels by their alias."""

from typing import Any

import pytest

from tests.channels.test_base import next_of
from torngas_aio.channels import channels
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.settings_manager import settings

MEMORY = "torngas_aio.channels.memory.MemoryChannels"


async def test_the_registry_opens_each_alias_once() -> None:
    assert channels["default"] is channels["default"]
    async with channels.subscribe("x") as messages:
        await channels.publish("x", 1)
        assert (await next_of(messages)).data == 1
    with pytest.raises(UnknownAlias, match="'default'"):
        channels["nowhere"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"BACKEND": "torngas_aio.channels.nowhere.X"}, "BACKEND"),
        ({"BACKEND": "torngas_aio.cache.backends.dummy.DummyCache"}, "subclass"),
        ({"BACKEND": MEMORY, "OPTIONS": {"HISTORY": -1}}, "whole number"),
        ({"BACKEND": MEMORY, "OPTIONS": {"QUEUE_SIZE": 2**60}}, "whole number"),
        ({"BACKEND": MEMORY, "OPTIONS": {"QUEUE_SIZE": True}}, "whole number"),
        ({"BACKEND": MEMORY, "OPTIONS": {"HISTORI": 1}}, "no such option. Did you mean 'HISTORY'"),
        ({"BACKEND": MEMORY, "OPTIONS": "HISTORY"}, "must be a dict"),
        ({"BACKEND": MEMORY, "OPTION": {}}, "no such key. Did you mean 'OPTIONS'"),
    ],
)
async def test_an_entry_that_cannot_work_says_why(entry: dict[str, Any], told: str) -> None:
    with settings.override(CHANNELS={"default": entry}), pytest.raises(ConfigError, match=told):
        channels["default"]
