"""The pool: first come, first served; a bounded wait; room that comes free is told."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.util.concurrency import await_, greenlet_spawn
from sqlalchemy.util.queue import Empty, Full

from torngas_aio.db.dbalchemy.cluster import Node
from torngas_aio.db.dbalchemy.pool import FairQueue, WaitingPool
from torngas_aio.db.dbalchemy.specs import parse_database
from torngas_aio.exception import DatabaseUnavailable, PoolExhausted


def node(path: Path, **options: Any) -> Node:
    connections = {"default": {"connections": [{"DATABASE": str(path)}]}}
    configuration = {f"sqlalchemy.{name}": value for name, value in options.items()}
    return Node("default", parse_database("default", connections, configuration).master)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def waiting(queue: FairQueue[str], timeout: float | None = 5) -> "asyncio.Task[Any]":
    return asyncio.create_task(greenlet_spawn(queue.get, True, timeout))


async def test_what_is_put_goes_to_the_first_in_line_and_not_to_a_newcomer() -> None:
    queue = FairQueue[str](2)
    first, second = waiting(queue), waiting(queue)
    await turns()
    assert queue.waiting == 2
    queue.put("a")
    with pytest.raises(Empty):
        queue.get_nowait()
    queue.put("b")
    assert [await first, await second] == ["a", "b"]
    assert queue.empty()


async def test_a_cancelled_waiter_hands_on_what_it_was_given() -> None:
    queue = FairQueue[str](2)
    first, second = waiting(queue), waiting(queue)
    await turns()
    queue.put("a")
    first.cancel()
    assert await second == "a"
    with pytest.raises(asyncio.CancelledError):
        await first
    third = waiting(queue)
    await turns()
    queue.put("b")
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await third
    assert queue.get_nowait() == "b"


async def test_a_waiter_gives_up_at_its_deadline_and_leaves_the_line() -> None:
    queue = FairQueue[str](1)
    with pytest.raises(Empty):
        await waiting(queue, 0.01)
    assert queue.waiting == 0
    queue.put("a")
    assert queue.get_nowait() == "a"


def test_the_order_of_idle_ones_and_the_limit() -> None:
    fifo, lifo = FairQueue[str](2), FairQueue[str](2, use_lifo=True)
    for queue in (fifo, lifo):
        queue.put("a")
        queue.put_nowait("b")
        assert queue.full()
        with pytest.raises(Full):
            queue.put("c")
    assert [fifo.get(False), fifo.get(False)] == ["a", "b"]
    assert [lifo.get(False), lifo.get(False)] == ["b", "a"]
    assert fifo.qsize() == 0


async def test_a_full_pool_makes_wait_and_then_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    server = node(tmp_path / "a.db", pool_size=1, max_overflow=1, pool_timeout=0.05)
    async with server.engine.connect(), server.engine.connect():
        with pytest.raises(
            PoolExhausted, match=r"database 'default', master .*: all 2 connections stayed in use"
        ) as caught:
            await server.engine.connect().start()
    assert caught.value.status_code == 503
    assert "size 2, in use 2, in line 0, waited 0.0" in caplog.text
    async with server.engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    await server.engine.dispose()


async def test_a_waiter_opens_its_own_connection_when_another_could_not(tmp_path: Path) -> None:
    server = node(tmp_path / "a.db", pool_size=1, max_overflow=0, pool_timeout=5)
    opening = asyncio.Event()
    failing = asyncio.Event()
    module: Any = server.sync_engine.dialect.loaded_dbapi
    real: Callable[..., Any] = module.connect

    def connect(*args: Any, **kwargs: Any) -> Any:
        if not failing.is_set():
            opening.set()
            await_(failing.wait())
            raise module.OperationalError("no")
        return real(*args, **kwargs)

    module.connect = connect  # a server that is slow to refuse
    first = asyncio.create_task(_use(server))
    await opening.wait()
    second = asyncio.create_task(_use(server))
    await turns()
    failing.set()
    with pytest.raises(DatabaseUnavailable, match="no connection"):
        await first
    assert await second == 1
    await server.engine.dispose()


async def _use(server: Node) -> Any:
    async with server.engine.connect() as connection:
        return (await connection.exec_driver_sql("SELECT 1")).scalar()


async def test_a_newcomer_does_not_take_the_place_of_a_connection_that_could_not_be_opened(tmp_path: Path) -> None:
    server = node(tmp_path / "a.db", pool_size=1, max_overflow=0, pool_timeout=5)
    opening, failing = asyncio.Event(), asyncio.Event()
    used: list[str] = []
    tasks: list[asyncio.Task[None]] = []
    module: Any = server.sync_engine.dialect.loaded_dbapi
    real: Callable[..., Any] = module.connect

    async def use(name: str) -> None:
        await _use(server)
        used.append(name)

    def connect(*args: Any, **kwargs: Any) -> Any:
        if failing.is_set():
            return real(*args, **kwargs)
        opening.set()
        await_(failing.wait())
        tasks.append(asyncio.create_task(use("newcomer")))  # it runs before the one in line hears of the failure
        raise module.OperationalError("no")

    module.connect = connect
    first = asyncio.create_task(_use(server))
    await opening.wait()
    tasks.append(asyncio.create_task(use("in line")))
    await turns()
    failing.set()
    with pytest.raises(DatabaseUnavailable, match="no connection"):
        await first
    await asyncio.gather(*tasks)
    assert used == ["in line", "newcomer"]
    await server.engine.dispose()


async def test_a_connection_that_comes_back_to_a_closed_pool_is_closed(tmp_path: Path) -> None:
    server = node(tmp_path / "a.db", pool_size=1, max_overflow=0)
    connection = await server.engine.connect()
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await server.engine.dispose()
    assert driver.in_transaction is False
    await connection.close()
    with pytest.raises(ValueError, match="no active connection"):
        _ = driver.in_transaction
    assert await _use(server) == 1
    pool = server.sync_engine.pool
    assert isinstance(pool, WaitingPool)
    assert pool.label == f"database {server.label}"
    await server.engine.dispose()


async def test_a_wait_that_is_closed_hands_on_what_it_was_given() -> None:
    """As when its loop is torn down."""
    queue = FairQueue[str](1)
    wait = queue._wait(5)
    wait.send(None)
    queue.put("a")
    wait.close()
    assert queue.get_nowait() == "a"
