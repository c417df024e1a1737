"""Worker processes: spread, replaced, renewed, drained. Real processes, real signals."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.http.conftest import Run
from tests.http.wire import get
from tests.polling import until
from torngas_aio.http import supervisor
from torngas_aio.http.status_socket import ask_all
from torngas_aio.http.supervisor import Supervisor

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


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


@pytest.mark.parametrize("sockets", ["own", "shared", "bound"])
async def test_a_stop_ends_the_listening_of_every_worker(run: Run, sockets: str) -> None:
    """Newcomers are refused while one worker still finishes what it has begun: another server can have them."""
    program = await run(3, sockets)
    await program.said("is ready", 3)
    async with await program.client() as client:
        client.send(get("/stuck"))
        await program.said("answers /stuck")
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
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await program.client()) for _ in range(8)]
        for client in clients:
            client.send(get("/"))
        for pid in program.pids():
            os.kill(pid, signal.SIGKILL)
        answered_by = {int((await client.answer()).body) for client in clients}
    await program.said("is ready", 4)  # which a worker is before it is said
    assert answered_by <= set(program.pids()[2:])


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
        await program.said("answers /slow")
        program.process.send_signal(signal.SIGTERM)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await program.end() == 0
    assert sum("has ended" in line for line in program.lines) == 2


async def test_a_second_sigterm_ends_at_once(run: Run) -> None:
    program = await run(1)
    await program.said("is ready")
    async with await program.client() as client:
        client.send(get("/stuck"))
        await program.said("answers /stuck")
        program.process.send_signal(signal.SIGTERM)
        await program.said("SIGTERM: ")
        program.process.send_signal(signal.SIGTERM)
        assert await program.end() == 1


async def test_workers_that_cannot_start_end_the_program(run: Run) -> None:
    program = await run(2, fate="fail")
    assert await program.end() == 1
    assert any("as told" in line for line in program.lines)
    assert any("the server does not start" in line for line in program.lines)


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


async def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one process"):
        Supervisor(supervisor.Program.of_this_process(), 0)


async def test_while_a_worker_starts_another_accepts_its_connections(run: Run) -> None:
    program = await run(3, fate="hang but the first")
    await program.said("is ready")
    assert set(await asyncio.gather(*(program.ask() for _ in range(40)))) == set(program.pids())


async def test_while_the_replacement_of_a_dead_worker_starts_another_accepts_its_connections(run: Run) -> None:
    """Afterwards each worker has its share again."""
    program = await run(2)
    await program.said("is ready", 2)
    first, second = program.pids()
    program.fate.write_text("hang", encoding="utf-8")
    os.kill(first, signal.SIGKILL)
    await program.said(f"process {first}, signal SIGKILL")
    await program.said("hangs")
    assert set(await asyncio.gather(*(program.ask() for _ in range(40)))) == {second}
    (hanging,) = (each["pid"] for each in await _workers(program.process.pid) if each["state"] == "starting")
    program.fate.write_text("serve", encoding="utf-8")
    os.kill(hanging, signal.SIGKILL)
    await program.said("is ready", 3)
    third = program.pids()[2]
    for pid in (second, third):
        assert await _listening(pid) == 1
    assert {await program.ask() for _ in range(40)} == {second, third}


@pytest.mark.parametrize("sockets", ["own", "shared"])
async def test_a_worker_whose_loop_is_blocked_is_told_of_relieved_and_replaced(run: Run, sockets: str) -> None:
    program = await run(2, sockets, "silence=2", "hang_timeout=4")
    await program.said("is ready", 2)
    async with await program.client() as client:
        client.send(get("/block"))
        await program.said(
            "its event loop is blocked. Another worker accepts its connections. It is replaced after 4 s."
        )
        told = await _workers(program.process.pid)
        assert sorted(worker["state"] for worker in told) == ["hung", "ready"]
        (well,) = (worker["pid"] for worker in told if worker["state"] == "ready")
        assert set(await asyncio.gather(*(program.ask() for _ in range(40)))) == {well}
        await program.said("it is killed. The stacks of its threads follow")
        await program.said("in serve_request")
        await program.said("signal SIGKILL); the next one starts")
        await program.said("is ready", 3)
    assert {await program.ask() for _ in range(40)} <= {well, program.pids()[2]}


async def test_a_worker_that_comes_back_is_not_replaced(run: Run) -> None:
    program = await run(2, "silence=2", "hang_timeout=60")
    await program.said("is ready", 2)
    first, second = program.pids()
    os.kill(first, signal.SIGSTOP)
    await program.said("its event loop is blocked")
    os.kill(first, signal.SIGCONT)
    await program.said("reports again, after ")
    assert {await program.ask() for _ in range(40)} == {first, second}
    assert await _listening(second) == 1


async def test_a_stop_of_the_whole_server_is_not_taken_for_hung_workers(run: Run) -> None:
    program = await run(2, "silence=2", "hang_timeout=4")
    await program.said("is ready", 2)
    everyone = [program.process.pid, *program.pids()]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(6)
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert not [line for line in program.lines if "blocked" in line]


async def test_a_failed_renewal_is_told_to_those_who_ask(run: Run) -> None:
    program = await run(2)
    await program.said("is ready", 2)
    assert (await _told(program.process.pid))["renewal"] == {"state": "none"}
    program.fate.write_text("fail", encoding="utf-8")
    program.process.send_signal(signal.SIGHUP)
    await program.said("the old ones stay")
    renewal = (await _told(program.process.pid))["renewal"]
    assert renewal["state"] == "failed"
    assert "ended with status 1 before it was ready" in renewal["error"]
    program.fate.write_text("serve", encoding="utf-8")
    program.process.send_signal(signal.SIGHUP)
    await program.said("has ended", 2)
    assert (await _told(program.process.pid))["renewal"]["state"] == "done"


async def _told(parent: int) -> dict[str, Any]:
    found = await asyncio.to_thread(lambda: list(ask_all()))
    (told,) = (each for each in found if each["pid"] == parent)
    return told


async def _workers(parent: int) -> list[dict[str, Any]]:
    workers: list[dict[str, Any]] = (await _told(parent))["workers"]
    return workers


async def _listening(pid: int) -> int:
    """How many listening sockets the process has, once it has closed those that it no longer serves."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    listening = {f"socket:[{line.split()[9]}]" for line in lines if " 0A " in line}

    def found() -> list[str]:
        links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
        return [link for link in links if link in listening]

    await until(lambda: len(found()) <= 1, 5)
    return len(found())
