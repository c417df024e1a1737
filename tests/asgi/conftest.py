"""ASGI servers, each a process of its own on a free port; and a site that a test asks without one."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.asgi.client import Site
from tests.polling import until
from tests.services.process import HOST, accepts, free_port

ROOT = Path(__file__).parent.parent.parent
SITE = "tests.asgi.site:application"

COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "uvicorn": lambda port: ["uvicorn", SITE, f"--port={port}", "--ws=websockets-sansio"],
    "granian": lambda port: ["granian", "--interface=asgi", f"--port={port}", SITE],
    "hypercorn": lambda port: ["hypercorn", f"--bind=127.0.0.1:{port}", SITE],
}


class Served:
    """A running server: a client of it, its address, and what the application notes."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, client: httpx2.AsyncClient) -> None:
        self.process = process
        self.port = port
        self.client = client
        self.output: list[str] = []
        self._arrived = asyncio.Condition()

    async def read(self) -> None:
        """Collect the process's output to its end."""
        assert self.process.stdout is not None
        while line := (await self.process.stdout.readline()).decode():
            async with self._arrived:
                self.output.append(line.strip())
                self._arrived.notify_all()

    async def noted(self, line: str, times: int = 1) -> None:
        """Return once the application has noted *line* so often."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: self.output.count(f"note: {line}") >= times)

    async def stop(self) -> None:
        self.process.terminate()
        await self.process.wait()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """The site that `Server` asks."""
    site = Site()
    yield site
    await site.application.shutdown()


@pytest.fixture(params=COMMANDS)
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """The site behind each server."""
    pytest.importorskip(request.param)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *COMMANDS[request.param](str(port)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        found = Served(process, port, client)
        reading = asyncio.ensure_future(found.read())
        try:
            await answering(port, process)
            yield found
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the workers that the server may have
            await process.wait()
            await reading


async def answering(port: int, process: asyncio.subprocess.Process) -> None:
    await until(lambda: accepts((HOST, port)) or process.returncode is not None)
    assert process.returncode is None, "The server ended before it answered."
