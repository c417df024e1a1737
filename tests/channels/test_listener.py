"""A cluster that loses a shard, or moves slots, while a process listens to all of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import Any

import pytest

from tests.channels.test_base import next_of
from tests.channels.test_redis import until_data, until_published
from tests.polling import until
from tests.services.redis import RedisCluster
from torngas_aio.channels.redis import RedisChannels
from torngas_aio.exception import Unavailable

pytestmark = pytest.mark.redis

Make = Callable[..., RedisChannels]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as servers:
        yield servers


@pytest.fixture
async def make(cluster: RedisCluster) -> AsyncIterator[Make]:
    cluster.heal()
    opened: list[RedisChannels] = []

    def made(**options: Any) -> RedisChannels:
        opened.append(RedisChannels(cluster.url, {"OPTIONS": {"DEADLINE": 2, **options}}))
        return opened[-1]

    yield made
    for each in opened:
        await each.aclose()


def names_by_shard(cluster: RedisCluster) -> list[list[str]]:
    """Two names for each of the masters."""
    found: dict[int, list[str]] = {}
    for number in range(40):
        found.setdefault(cluster.master_of(f"{{channel:room{number}}}").port, []).append(f"room{number}")
    return [names[:2] for names in found.values()]


@pytest.mark.parametrize("history", [0, 100])
async def test_a_dead_shard_silences_its_own_names_only(cluster: RedisCluster, make: Make, history: int) -> None:
    here, there = make(HISTORY=history), make(HISTORY=history)
    (dead, other), *others = names_by_shard(cluster)
    living = list(chain(*others))
    node = cluster.master_of(f"{{channel:{dead}}}").process
    async with here.subscribe(dead, other) as lost, here.subscribe(*living) as kept:
        await there.publish(dead, 0)
        assert await until_data(lost, 0) == [0]
        node.kill()
        await until(lambda: not here._listener.is_heard(("S", f"{{channel:{dead}}}")))
        for number in range(40):
            for name in living:
                await there.publish(name, number)
                message = await next_of(kept)
                assert (message.channel, message.is_gap, message.data) == (name, False, number)
            await asyncio.sleep(0.02)  # the dead one is tried again meanwhile
        with pytest.raises(Unavailable, match="cannot be subscribed"):
            await here.subscribe(dead, living[0]).__aenter__()
        async with here.subscribe(living[0]) as late:  # the shards that live take further subscribers
            await there.publish(living[0], "late")
            assert await until_data(late, "late") == ["late"]
        assert await until_data(kept, "late") == ["late"]
        node.restart()
        assert (await next_of(lost)).is_gap
        await until(lambda: not here._listener.lost)
        for name in (dead, other):
            await until_published(there, name, f"again {name}")
            assert await until_data(lost, f"again {name}") == [f"again {name}"]
        await there.publish(living[0], "end")
        assert await until_data(kept, "end") == ["end"]


@pytest.mark.parametrize("history", [0, 100])
async def test_a_slot_that_moves_takes_its_names_along(cluster: RedisCluster, make: Make, history: int) -> None:
    here, there = make(HISTORY=history), make(HISTORY=history)
    (moving, staying), *_ = names_by_shard(cluster)
    async with here.subscribe(moving) as moved, here.subscribe(staying) as stayed:
        for number in range(3):
            await there.publish(moving, number)
            assert (await next_of(moved)).data == number
            await asyncio.to_thread(cluster.move_slot, f"{{channel:{moving}}}")
            await until(lambda: not here._listener.lost)
            if not history:
                assert (await next_of(moved)).is_gap
        async with here.subscribe(moving) as late:
            await there.publish(moving, "end")
            assert await until_data(late, "end") == ["end"]
        await there.publish(staying, "end")
        assert await until_data(moved, "end") == ["end"]
        assert await until_data(stayed, "end") == ["end"]


async def test_with_a_history_nothing_is_missed_while_slots_move(cluster: RedisCluster, make: Make) -> None:
    here, there = make(HISTORY=10_000, QUEUE_SIZE=100_000), make(HISTORY=10_000)
    names = list(chain(*names_by_shard(cluster)))
    published: dict[str, list[int]] = {name: [] for name in names}
    is_moved = asyncio.Event()

    async def publish() -> None:
        number = 0
        while not is_moved.is_set():
            for name in names:
                number += 1
                try:
                    await there.publish(name, number)
                except Unavailable:  # such as TRYAGAIN, while its slot is on its way
                    continue
                published[name].append(number)

    async with here.subscribe(*names) as messages:
        publishing = asyncio.create_task(publish())
        for name in names:
            await asyncio.to_thread(cluster.move_slot, f"{{channel:{name}}}")
        is_moved.set()
        await publishing
        seen: dict[str, list[Any]] = {name: [] for name in names}
        for name in names:
            await there.publish(name, "end")
        while any(found[-1:] != ["end"] for found in seen.values()):
            message = await next_of(messages)
            assert not message.is_gap
            seen[message.channel].append(message.data)
    for name in names:
        assert [each for each in seen[name] if each in published[name]] == published[name]


async def test_a_frozen_shard_is_no_concern_of_the_others(
    cluster: RedisCluster, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torngas_aio.channels.listener.PING_SECONDS", 0.2)
    here, there = make(DEADLINE=1), make()
    (frozen, _), (living, _), _ = names_by_shard(cluster)
    node = cluster.master_of(f"{{channel:{frozen}}}").process
    async with here.subscribe(frozen) as lost, here.subscribe(living) as kept:
        node.pause()
        await until(lambda: not here._listener.is_heard(("S", f"{{channel:{frozen}}}")))
        await there.publish(living, 1)
        assert await until_data(kept, 1) == [1]
        node.resume()
        assert (await next_of(lost)).is_gap
        await until_published(there, frozen, 2)
        assert (await until_data(lost, 2))[-1] == 2


async def test_a_shard_that_is_not_needed_any_more_is_let_go(cluster: RedisCluster, make: Make) -> None:
    here = make()
    names = [each[0] for each in names_by_shard(cluster)]
    async with here.subscribe(names[0]):
        async with here.subscribe(*names):
            assert len(here._listener._lines) == 3
            cluster.master_of(f"{{channel:{names[1]}}}").process.kill()
        await until(lambda: len(here._listener._lines) == 1)
    await until(lambda: not here._listener._lines)
    assert not here._listener._homes
    assert not here._listener.lost
