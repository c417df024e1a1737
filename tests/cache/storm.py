"""A storm of calls on one cache of which half are cancelled, many after their bytes have left.

Every answer is checked: a get returns its own key's value, counters end between what was acknowledged and what was
sent. Begin with `storm`.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from torngas_aio.cache.backends.base import MISSING, BaseCache

__all__ = ["Tally", "storm"]

KEYS = 200
COUNTERS = 8
WORKERS = 64
ATTEMPTS = 0.6  # calls that are to be cancelled; some of them have returned by then


@dataclass
class Tally:
    """What became of the calls.

    Attributes:
        answered: Calls that returned.
        cancelled: Calls that were cancelled before they returned.
        faults: What should not have happened, in words.
        acknowledged: For each counter, how many of its increments returned.
        tried: For each counter, how many of its increments were begun.
    """

    answered: int = 0
    cancelled: int = 0
    faults: list[str] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=lambda: [0] * COUNTERS)
    tried: list[int] = field(default_factory=lambda: [0] * COUNTERS)


async def storm(cache: BaseCache, operations: int, turns: Sequence[int] = (0, 1, 2, 2, 2, 3), seed: int = 7) -> Tally:
    """Run *operations* calls, cancel half of them, check all that return, and then look at what stands there.

    Args:
        turns: After how many turns of the loop calls are cancelled; one turn begins the call.
    """
    chance = random.Random(seed)
    await cache.set_many({f"key{number}": f"value{number}" for number in range(KEYS)}, None)
    for number in range(COUNTERS):
        await cache.set(f"counter{number}", 0, None)
    tally = Tally()
    async with asyncio.TaskGroup() as group:
        for worker in range(WORKERS):
            count = operations // WORKERS + (worker < operations % WORKERS)
            group.create_task(_work(cache, tally, count, turns, random.Random(chance.random())))
    for number in range(KEYS):
        if await cache.get(f"key{number}") != f"value{number}":
            tally.faults.append(f"key{number} is not what was put there")
    for number in range(COUNTERS):
        count = await cache.get(f"counter{number}")
        if not tally.acknowledged[number] <= count <= tally.tried[number]:
            tally.faults.append(f"counter{number} is {count}")
    return tally


async def _work(cache: BaseCache, tally: Tally, count: int, turns: Sequence[int], chance: random.Random) -> None:
    for _ in range(count):
        task = asyncio.create_task(_call(cache, tally, chance))
        if chance.random() < ATTEMPTS:
            for _ in range(chance.choice(turns)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            await task
            tally.answered += 1
        except asyncio.CancelledError:
            tally.cancelled += 1


async def _call(cache: BaseCache, tally: Tally, chance: random.Random) -> None:
    kind = chance.random()
    number = chance.randrange(KEYS)
    if kind < 0.6:
        _expect(tally, f"key{number}", await cache.get(f"key{number}", MISSING), f"value{number}")
    elif kind < 0.8:
        counter = number % COUNTERS
        tally.tried[counter] += 1
        found = await cache.incr(f"counter{counter}")
        tally.acknowledged[counter] += 1
        if not tally.acknowledged[counter] <= found <= tally.tried[counter]:
            tally.faults.append(f"counter{counter} answered {found}")
    elif kind < 0.9:
        wanted = {f"key{each % KEYS}": f"value{each % KEYS}" for each in range(number, number + 5)}
        _expect(tally, "many", await cache.get_many(wanted), wanted)
    else:
        await cache.set(f"key{number}", f"value{number}", None)


def _expect(tally: Tally, what: str, found: object, wanted: object) -> None:
    if found != wanted:
        tally.faults.append(f"{what}: {found!r} instead of {wanted!r}")
