"""Each job writes a row; `key=` and `outbox=` say how often there may be one, and whether there has to be."""

import asyncio
import os
from typing import Any

from sqlalchemy import text

from torngas_aio.db.dbalchemy import current_session
from torngas_aio.jobs import job, outbox, redis

if "LAB_HASTE" in os.environ:  # a short run does not wait for what takes a minute
    redis.ALIVE_SECONDS, redis.BEAT_SECONDS, redis.SWEEP_SECONDS = 4.0, 0.5, 0.5
    outbox.RESEND_SECONDS, outbox.RELAY_SECONDS = 3.0, 0.5


async def _note(kind: str, number: int) -> None:
    statement = text("INSERT INTO done VALUES (:kind, :number)")
    await current_session().using_master().execute(statement, {"kind": kind, "number": number})
    if number % 50 == 0:
        await asyncio.sleep(0.2)  # some are always on their way when a process is killed


@job(retries=30)
async def plain(number: int) -> None:
    await _note("plain", number)


@job(retries=30, key="keyed:{number}")
async def keyed(number: int) -> None:
    await _note("keyed", number)


@job(retries=30, outbox=True)
async def boxed(number: int) -> None:
    await _note("boxed", number)


kinds = {"plain": plain, "keyed": keyed, "boxed": boxed}


def _scheduled(number: int) -> Any:
    async def tick() -> None:
        await _note(f"tick{number}", 1)

    return job(name=f"tick{number}", every=1, key=f"tick{number}", retries=30, catch_up=600)(tick)


ticks = [_scheduled(number) for number in range(4)]
