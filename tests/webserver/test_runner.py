"""The loop that a server runs on."""

import asyncio

from torngas_aio.webserver.runner import LoopRunner


def test_a_loop_of_its_own_gives_the_result_and_closes() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    with LoopRunner() as runner:
        assert runner.run(answer()) == 42
