"""The backends that the suite runs on: `make` gives one more process of the same channels."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from torngas_aio.channels.base import BaseChannels
from torngas_aio.channels.memory import MemoryChannels
from torngas_aio.channels.redis import RedisChannels

Make = Callable[..., BaseChannels]


@pytest.fixture(params=["memory", "redis", "cluster", "sentinel"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    opened: list[BaseChannels] = []
    fixture = {"redis": "redis_server", "cluster": "redis_cluster", "sentinel": "redis_sentinels"}.get(request.param)
    url = "" if fixture is None else request.getfixturevalue(fixture).url
    prefix = f"ch[a]n?el-{abs(hash(request.node.nodeid)) % 10**8}"

    def made(**options: Any) -> BaseChannels:
        if fixture is None:  # one process: every part of it shares one backend
            if not opened:
                opened.append(MemoryChannels("", {"OPTIONS": options}))
            return opened[0]
        opened.append(RedisChannels(url, {"OPTIONS": {"KEY_PREFIX": prefix, "DEADLINE": 10, **options}}))
        return opened[-1]

    yield made
    for each in opened:
        await each.aclose()
