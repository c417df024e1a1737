"""Servers on free ports, on both event loops."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.http.wire import Client, Served, get
from torngas_aio.http.server import HTTPServer

Start = Callable[..., Awaitable[Served]]


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test on asyncio's own loop and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server for an application: `await start(application, **options)`."""
    servers: list[HTTPServer] = []

    async def start_server(application: Any, **options: Any) -> Served:
        server = HTTPServer(application, **options)
        sockets = server.listen(0, "127.0.0.1")
        servers.append(server)
        await server.started()
        return Served(server, sockets[0].getsockname())

    yield start_server
    for server in servers:
        server.stop()
        await server.stop_gracefully(0.2)
        assert not server.server_state.running
        assert not server.server_state.connections


class Program:
    """A running `tests.http.supervised`."""

    def __init__(self, process: asyncio.subprocess.Process, fate: Path) -> None:
        self.process = process
        self.fate = fate
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None
        self.port = 0

    async def begin(self) -> None:
        assert self.process.stdout is not None
        self._reader = asyncio.create_task(self._read())
        self.port = int(await self.process.stdout.readline())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            async with self._news:
                self.lines.append(line.decode().strip())
                self._news.notify_all()

    async def said(self, words: str, times: int = 1) -> None:
        """Return once *times* lines of the program's log have held *words*."""
        async with self._news:
            await self._news.wait_for(lambda: sum(words in line for line in self.lines) >= times)

    def pids(self) -> list[int]:
        """The processes that have become ready, in that order."""
        return [int(line.split("process ")[1].split(",")[0]) for line in self.lines if "is ready (" in line]

    async def client(self) -> Client:
        return await Client.connect(("127.0.0.1", self.port))

    async def connect_for_long(self) -> None:
        """Connect again and again until the program has ended."""
        while self.process.returncode is None:
            async with await self.client():
                await asyncio.sleep(0.05)

    async def ask(self, path: str = "/") -> int:
        async with await self.client() as client:
            return int((await client.ask(get(path))).body)

    async def end(self) -> int:
        """Wait for the program's end; return its status."""
        status = await self.process.wait()
        if self._reader is not None:
            await self._reader
        return status

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.end()


Run = Callable[..., Awaitable[Program]]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """Start the program: `await run(2, "shared")`."""
    programs: list[Program] = []

    async def start(workers: int, *words: str, fate: str = "serve") -> Program:
        path = tmp_path / "fate"
        path.write_text(fate, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.http.supervised", str(workers), *words,
            env={**os.environ, "FATE": str(path)}, cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        program = Program(process, path)
        programs.append(program)
        await program.begin()
        return program

    yield start
    for program in programs:
        await program.kill()
