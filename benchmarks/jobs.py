"""What a job costs beside its function, against bare taskiq: `python -m benchmarks.jobs`.

Both run the same messages through their receivers, without a store, a session or a result. CPU time, median of rounds.
"""

import asyncio
import logging
import statistics
import time
from collections.abc import Callable

from taskiq import AckableMessage, InMemoryBroker
from taskiq.receiver import Receiver

from torngas_aio.jobs import job, jobs
from torngas_aio.jobs.worker import _JobReceiver

COUNT, ROUNDS = 5000, 7

broker = InMemoryBroker()


@broker.task
async def bare(number: int) -> None:
    """Do nothing."""


@job
async def ours(number: int) -> None:
    """Do nothing."""


async def _nothing() -> None:
    return


async def _run(receiver: Receiver, data: bytes) -> float:
    message = AckableMessage(data=data, ack=_nothing)
    started = time.process_time()
    for _ in range(COUNT):
        await asyncio.create_task(receiver.callback(message))
    return (time.process_time() - started) / COUNT * 1e6


def _make(make: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(COUNT):
        make()
    return (time.process_time() - started) / COUNT * 1e6


async def main() -> None:
    """Print both, in microseconds."""
    logging.disable(logging.INFO)
    backend = jobs["default"]
    makers = {
        "taskiq": lambda: broker.formatter.dumps(bare.kicker()._prepare_message(1)).message,
        "ours": lambda: backend.formatter.dumps(ours.message((1,))).message,
    }
    receivers = {"taskiq": Receiver(broker, max_async_tasks=10), "ours": _JobReceiver(backend, 10, 1.0)}
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
    for _ in range(ROUNDS):  # in turn, so that load of the machine meets both
        for name, make in makers.items():
            rows[name].append((_make(make), await _run(receivers[name], make())))
    for name, found in rows.items():
        made, run = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{name:8} message {made:5.1f} us   run {run:5.1f} us")


if __name__ == "__main__":
    asyncio.run(main())
