"""Worker processes: spread, replaced, renewed, drained. Real processes, real signals."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.http.wire import Client, get
from torngas_aio.http import supervisor
from torngas_aio.http.supervisor import Supervisor

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


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
            self.process.kill()
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
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
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        program = Program(process, path)
        programs.append(program)
        await program.begin()
        return program

    yield start
    for program in programs:
        await program.kill()


@pytest.mark.parametrize("sockets", ["own", "shared", "bound"])
async def test_every_worker_serves(run: Run, sockets: str) -> None:
    program = await run(2, sockets)
    await program.said("is ready", 2)
    seen: set[int] = set()
    while len(seen) < 2:
        seen.add(await program.ask())
    assert seen == set(program.pids())


async def test_a_worker_that_dies_is_replaced_at_once(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    async with await program.client() as client:
        client.send(get("/die"))
        assert await client.rest() == b""
    await program.said("status 7); the next one starts in 0.0 s")
    await program.said("is ready", 3)
    seen = {await program.ask() for _ in range(30)}
    assert program.pids()[2] in seen


async def test_a_worker_that_keeps_dying_is_replaced_after_growing_pauses(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    for count in range(1, 4):
        async with await program.client() as client:
            client.send(get("/die"))
            await client.rest()
        await program.said("is ready", count + 1)
    pauses = [line.rpartition("starts in ")[2] for line in program.lines if "starts in" in line]
    assert pauses == ["0.0 s.", "0.1 s.", "0.4 s."]


async def test_the_pause_before_a_restart_is_never_longer_than_a_second() -> None:
    """The connections that wait in a dead worker's sockets wait for its successor."""
    assert max(supervisor._PAUSES) <= 1.0


@pytest.mark.parametrize("sockets", ["own", "shared", "bound"])
async def test_a_stop_ends_the_listening_of_every_worker(run: Run, sockets: str) -> None:
    """Newcomers are refused while one worker still finishes what it has begun: another server can have them."""
    program = await run(3, sockets)
    await program.said("is ready", 3)
    async with await program.client() as client:
        client.send(get("/stuck"))
        await asyncio.sleep(0.1)
        program.process.send_signal(signal.SIGTERM)
        await program.said("has ended", 2)
        with pytest.raises(ConnectionRefusedError):
            await program.connect_for_long()
        assert sum("has ended" in line for line in program.lines) == 2


async def test_what_a_dead_worker_has_not_accepted_its_successor_does(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    for pid in program.pids():
        os.kill(pid, signal.SIGSTOP)
    asking = [asyncio.create_task(program.ask()) for _ in range(8)]
    await asyncio.sleep(0.1)
    for pid in program.pids():
        os.kill(pid, signal.SIGKILL)
    assert set(await asyncio.gather(*asking)) <= set(program.pids()[2:])


async def test_the_log_says_which_code_new_workers_run(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    program.process.send_signal(signal.SIGHUP)
    await program.said(
        f"SIGHUP: 1 workers are replaced, one after the other; the new ones run the code that is in {Path.cwd()} now."
    )


async def test_sighup_renews_all_workers_and_no_request_fails(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    is_over = asyncio.Event()
    answers = 0

    async def keep_asking() -> None:
        """Ask on one connection for as long as the server keeps it, then on the next."""
        nonlocal answers
        while not is_over.is_set():
            async with await program.client() as client:
                while not is_over.is_set():
                    answer = await client.ask(get())
                    assert answer.status == 200
                    answers += 1
                    if answer.headers.get("connection") == "close":
                        break

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(keep_asking())
        program.process.send_signal(signal.SIGHUP)
        await program.said("has ended", 2)
        is_over.set()
    assert answers > 100
    assert {await program.ask() for _ in range(30)} <= set(program.pids()[2:])


async def test_sigterm_lets_every_worker_finish_what_it_has_begun(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    async with await program.client() as client:
        client.send(get("/slow"))
        await asyncio.sleep(0.1)
        program.process.send_signal(signal.SIGTERM)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await program.end() == 0
    assert sum("has ended" in line for line in program.lines) == 2


async def test_a_worker_that_is_still_starting_ends_in_order(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    program.fate.write_text("hang", encoding="utf-8")
    program.process.send_signal(signal.SIGHUP)
    await asyncio.sleep(0.5)
    program.process.send_signal(signal.SIGTERM)
    assert await program.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_whole_group_ends_a_start_in_order(run: Run, number: signal.Signals) -> None:
    """As Ctrl-C in a terminal, or a service manager, sends it."""
    program = await run(2, fate="hang")
    parent = program.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children")
    while len(children.read_text(encoding="ascii").split()) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # until they sleep
    for pid in (parent, *map(int, children.read_text(encoding="ascii").split())):
        os.kill(pid, number)
    assert await program.end() == 0


async def test_a_second_sigterm_ends_at_once(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    async with await program.client() as client:
        client.send(get("/stuck"))
        await asyncio.sleep(0.1)
        program.process.send_signal(signal.SIGTERM)
        await program.said("SIGTERM: ")
        program.process.send_signal(signal.SIGTERM)
        assert await program.end() == 1


async def test_workers_that_cannot_start_end_the_program(run: Run) -> None:
    program = await run(2, fate="fail")
    assert await program.end() == 1
    assert any("as told" in line for line in program.lines)
    assert any("the server does not start" in line for line in program.lines)


async def test_a_worker_that_does_not_get_ready_is_killed(run: Run) -> None:
    program = await run(1, "ready_timeout=0.2", fate="hang")
    assert await program.end() == 1
    assert any("is not ready in time" in line for line in program.lines)


async def test_old_workers_stay_when_new_ones_cannot_start(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    program.fate.write_text("fail", encoding="utf-8")
    program.process.send_signal(signal.SIGHUP)
    await program.said("the old ones stay")
    assert {await program.ask() for _ in range(30)} <= set(program.pids())
    assert len(program.pids()) == 2
    program.process.send_signal(signal.SIGTERM)
    assert await program.end() == 0


async def test_a_worker_that_ends_badly_shows_in_the_status(run: Run) -> None:
    program = await run(1, fate="leave badly")
    await program.said("is ready")
    program.process.send_signal(signal.SIGINT)
    assert await program.end() == 1


async def test_workers_end_when_their_parent_is_killed(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    program.process.kill()
    assert await program.end() == -signal.SIGKILL  # the log, which is waited for, ends when the last worker has


async def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one process"):
        Supervisor(supervisor.Program.of_this_process(), 0)
