"""A process that is told to stop stops, whatever hangs in it."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.webserver.conftest import Client, Recorder
from tests.webserver.project import SECRET, Project, RunningServer
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.serving import run_until_stopped, serving
from torngas_aio.webserver.stopping import Stopping, on_signals

pytestmark = pytest.mark.timeout(120)  # each test starts processes, on machines that may be busy

RUNSERVER = f"""
import asyncio, os, sys, time
import anyio.to_thread
from torngas_aio.application import Application
from torngas_aio.decorators.async_execute import async_execute
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.settings_manager import settings
from torngas_aio.webserver import Server

def tell(*words):
    print(*words, file=sys.stderr, flush=True)

async def stubborn():
    tell("in flight")
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@async_execute
def hang():
    tell("in flight")
    time.sleep(600)

class Events(WebHandler):
    async def get(self):
        tell("in flight")
        while not self.application.is_stopping:
            self.write("data: tick\\n\\n")
            await self.flush()
            try:
                async with asyncio.timeout(60):
                    await self.application.is_stopping.wait()
            except TimeoutError:
                pass
        self.write("data: over\\n\\n")

class Jobs(WebHandler):
    async def get(self):
        order = {{"password": "hunter2", "seconds": float(self.get_argument("s"))}}
        self.application.background.start_soon(self.job, order)

    async def job(self, order):
        tell("in flight")
        await asyncio.sleep(order["seconds"])
        tell("the job is done")

class Does(WebHandler):
    async def get(self, what):
        if what == "background":
            self.application.background.start_soon(stubborn)
        elif what == "thread":
            hang()
        elif what == "executor":
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
            tell("in flight")
        elif what == "anyio":
            self.application.background.start_soon(anyio.to_thread.run_sync, time.sleep, 600)
            tell("in flight")
        elif what == "task":
            self.application.held = asyncio.ensure_future(stubborn())
        elif what == "generator":
            async def endless():
                try:
                    yield 1
                finally:
                    await stubborn()
            self.application.held = endless()
            await anext(self.application.held)
            tell("in flight")
        elif what == "block":
            tell("in flight")
            time.sleep(600)
        elif what == "block-late":
            tell("in flight")
            await self.application.is_stopping.wait()
            await asyncio.sleep(0.2)
            time.sleep(600)

class Socket(WebSocketHandler):
    pass

class Starts:
    async def process_init(self, application):
        tell("starting")
        how = os.environ.get("HOW")
        if how == "wait":
            await asyncio.sleep(600)
        elif how == "swallow":
            await stubborn()
        elif how == "block":
            time.sleep(600)
        elif how == "thread":
            await anyio.to_thread.run_sync(time.sleep, 600)

    async def process_shutdown(self, application):
        tell("shutdown hook")
        if os.environ.get("HANGS") == "block-shutdown":
            time.sleep(600)

settings.configure(TORNADO_CONF={{"cookie_secret": "{SECRET}"}})
server = Server()
server.parse_command()
routes = [("/events", Events), ("/jobs", Jobs), ("/ws", Socket), ("/does/(.*)", Does)]
server.load_all(Application(routes, middlewares=[Starts], cookie_secret="{SECRET}"))
server.start()
"""


_SLOW = ("thread", "executor", "task", "generator")  # each waits five seconds for what hangs


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("runserver.py", RUNSERVER)
    return made


def wait_for(said: Callable[[], str], words: str, process: "subprocess.Popen[str]") -> None:
    wait_until(lambda: words in said() or process.poll() is not None)
    assert words in said(), said()


@pytest.mark.parametrize(
    ("how", "workers"),
    [
        ("wait", 2),
        ("swallow", 1),
        ("block", 1),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("wait", 1), ("swallow", 2), ("block", 2), ("thread", 1)]
        ),
    ],
)
def test_a_signal_ends_a_start(project: Project, how: str, workers: int, tmp_path: Path) -> None:
    """A hook that swallows its cancellation, or blocks the loop, does not hold it up."""
    log = tmp_path / "log"
    with log.open("w") as stream:
        command = [sys.executable, "runserver.py", "--port=0", "--address=127.0.0.1", f"--workers={workers}"]
        process = subprocess.Popen(
            command, cwd=project.path, env=project.environment(HOW=how), stderr=stream, text=True
        )
        try:
            wait_for(log.read_text, "starting", process)
            process.send_signal(signal.SIGTERM)
            if how == "block":
                for _ in range(4):  # impatience: one is enough, after some seconds
                    time.sleep(0.1)
                    process.send_signal(signal.SIGTERM)
            status = process.wait(60)
        finally:
            process.kill()
    said = log.read_text()
    if workers == 1 and how != "block":
        assert "SIGTERM: the start is given up." in said
        assert status == 0
    elif workers == 1:
        assert "its loop is blocked" in said
        assert "in process_init" in said


@pytest.mark.parametrize(
    "what",
    ["background", "anyio", *(pytest.param(each, marks=pytest.mark.slow) for each in _SLOW)],
)
def test_a_signal_ends_what_hangs(project: Project, what: str) -> None:
    """It is named in the log, and the status is 0."""
    with project.serve("--port=0", "--address=127.0.0.1", "--graceful_timeout=0.5") as server:
        _ask(server, f"/does/{what}")
        wait_for(lambda: server.log, "in flight", server.process)
        server.terminate()
        assert server.wait() == 0
    assert "shutdown hook" in server.log
    if what in {"background", "task"}:
        assert "was cancelled twice and does not end" in server.log
    elif what != "generator":
        assert "the process ends without it" in server.log


@pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
def test_a_stop_without_file_descriptors_cuts_nothing_off(project: Project, http_server: str) -> None:
    with (
        project.serve("--port=0", "--address=127.0.0.1", f"--http_server={http_server}") as server,
        _connection(server) as client,
    ):
        client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.log, "in flight", server.process)
        number = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (number, number))
        server.terminate()
        received = b""
        while part := client.recv(4096):
            received += part
        assert b"data: over\n\n" in received
        assert server.wait() == 0, server.log


async def test_the_deadline_of_a_blocked_loop_counts_from_its_last_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step of a stop blocks it: the hooks' own, longer deadline is for loops that run."""
    deadlines: list[float] = []
    turned = asyncio.Event()

    class Recorder:
        def set_deadline(self, seconds: float) -> None:
            deadlines.append(seconds)
            if len(deadlines) == 4:
                turned.set()

        def close(self) -> None:
            pass

    monkeypatch.setattr("torngas_aio.webserver.stopping.Watchdog", Recorder)
    monkeypatch.setattr("torngas_aio.webserver.stopping.TURN_SECONDS", 0.01)
    heard: list[int] = []
    with on_signals(heard.append, [0.0, 100.0, 1.0].__getitem__, 5.0, bool):
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await turned.wait()
        assert set(deadlines) == {5.0}
        signal.raise_signal(signal.SIGTERM)
        assert 0 < deadlines[-1] <= 1.0
        await asyncio.sleep(0)
    assert heard == [signal.SIGTERM, signal.SIGTERM]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["block", "block-late", "block-shutdown"])
def test_one_signal_ends_a_loop_that_is_blocked_after_the_graceful_time(project: Project, what: str) -> None:
    """And ten seconds: what shutdown hooks may take is for loops that run."""
    with (
        project.serve("--port=0", "--address=127.0.0.1", "--graceful_timeout=0.5", HANGS=what) as server,
        _connection(server) as client,
    ):
        path = "anyio" if what == "block-shutdown" else what
        client.sendall(f"GET /does/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: server.log, "in flight", server.process)
        server.terminate()
        assert server.wait() == 1
    assert "The process does not stop: its loop is blocked" in server.log


def test_three_signals_end_a_loop_that_is_blocked(project: Project) -> None:
    """With a dump of what its threads do."""
    with project.serve("--port=0", "--address=127.0.0.1") as server, _connection(server) as client:
        client.sendall(b"GET /does/block HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.log, "in flight", server.process)
        for _ in range(3):
            server.terminate()
            time.sleep(0.1)
        assert server.wait() == 1
    assert "The process does not stop: its loop is blocked" in server.log
    assert "runserver.py" in server.log


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
def test_a_stream_is_told_of_the_stop(project: Project, http_server: str, workers: int) -> None:
    with project.serve(
        "--port=0", "--address=127.0.0.1", f"--workers={workers}", f"--http_server={http_server}"
    ) as server:
        with _connection(server) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: server.log, "in flight", server.process)
            server.terminate()
            received = b""
            while part := client.recv(4096):
                received += part
        assert b"data: over\n\n" in received
        assert server.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_background_work_gets_the_graceful_time(project: Project, workers: int) -> None:
    """What takes longer is dropped by name, its arguments masked."""
    with project.serve("--port=0", "--address=127.0.0.1", f"--workers={workers}", "--graceful_timeout=20") as server:
        _ask(server, "/jobs?s=1")
        wait_for(lambda: server.log, "in flight", server.process)
        server.terminate()
        assert server.wait() == 0
    assert server.log.index("the job is done") < server.log.rindex("shutdown hook")
    with project.serve("--port=0", "--address=127.0.0.1", f"--workers={workers}", "--graceful_timeout=1") as server:
        _ask(server, "/jobs?s=600")
        wait_for(lambda: server.log, "in flight", server.process)
        server.terminate()
        assert server.wait() == 0
    assert "The background task Jobs.job({'password': ••••••••, 'seconds': 600.0}) was dropped" in server.log


TAKE_TERMINAL = """
import fcntl, os, sys, termios
terminal = int(sys.argv[1])
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.parametrize(
    ("workers", "told"), [(1, "SIGHUP: accepting no more"), (2, "SIGHUP, the terminal has closed")]
)
def test_a_terminal_that_closes_is_a_stop_in_order_and_no_second_signal(
    project: Project, workers: int, told: str
) -> None:
    """It cuts nothing off, and no new code is started without a terminal."""
    ours, theirs = os.openpty()
    with project.path.joinpath("log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, str(theirs), "runserver.py", "--port=0", "--address=127.0.0.1",
             f"--workers={workers}"],
            cwd=project.path, env=project.environment(), stderr=log, text=True, pass_fds=[theirs],
            start_new_session=True,
        )  # fmt: skip
    os.close(theirs)
    try:
        read = project.path.joinpath("log").read_text
        wait_for(read, "Serving on", process)
        url = re.search(r"Serving on (\S+)", read())
        assert url
        urllib.request.urlopen(f"{url[1]}jobs?s=1").close()
        wait_for(read, "in flight", process)
        os.close(ours)
        wait_for(read, told, process)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.wait()
    assert "the job is done" in read()
    assert "shutdown hook" in read()


async def test_a_hangup_that_is_ignored_stays_ignored(
    recorder: Recorder, http_server: str, listener: list[socket.socket]
) -> None:
    """`nohup` ignores it for the server, workers do for themselves."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ready = asyncio.Event()
        door = make_backend(recorder, http_server)
        serve = run_until_stopped(recorder, door, listener, on_ready=ready.set)
        task = asyncio.create_task(serve)
        await ready.wait()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.raise_signal(signal.SIGTERM)
        await task
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_of_the_shell_ends_what_it_has_started(tmp_path: Path) -> None:
    """Also a task that swallows its cancellation."""
    project = Project(tmp_path)
    project.write("conf.py", f"MIDDLEWARE_CLASSES = ()\nTORNADO_CONF = {{'cookie_secret': '{SECRET}'}}\n")
    project.write(
        "jobs.py",
        "import asyncio\n\nasync def stubborn():\n    while True:\n        try:\n            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n            pass\n\n"
        "async def start(application):\n    application.background.start_soon(stubborn, daemon=True)\n"
        "    await asyncio.sleep(0)\n",
    )
    command = "import jobs; await jobs.start(application)"
    done = project.run("-m", "torngas_aio", "shell", "--settings=conf", "-c", command)
    assert done.returncode == 0, done.stderr
    assert "was cancelled twice and does not end" in done.stderr


async def test_a_drain_goes_on_serving(recorder: Recorder, http_server: str, listener: list[socket.socket]) -> None:
    """Each answer says `Connection: close`, newcomers are accepted, and the stop comes after it."""
    stopping = Stopping(drain_seconds=0.5)
    recorder.is_stopping = asyncio.Event()  # type: ignore[attr-defined]
    address = listener[0].getsockname()
    task = asyncio.create_task(_serve(recorder, http_server, listener, stopping))
    client = await Client.connect(listener)
    assert "Connection: close" not in await client.ask()
    task.cancel()
    await recorder.is_stopping.wait()  # type: ignore[attr-defined]
    assert "Connection: close" in await client.ask()
    newcomer = Client(*await asyncio.open_connection(*address))
    assert "Connection: close" in await newcomer.ask()
    await asyncio.wait([task])
    for each in (client, newcomer):
        await each.aclose()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_a_connection_that_was_idle_for_long_may_still_bring_a_request(
    recorder: Recorder, http_server: str, listener: list[socket.socket]
) -> None:
    """A proxy's request that is on its way is answered, with `Connection: close`."""
    recorder.is_stopping = asyncio.Event()  # type: ignore[attr-defined]
    task = asyncio.create_task(_serve(recorder, http_server, listener, Stopping(20)))
    client = await Client.connect(listener)
    assert (await client.ask()).endswith("hello")
    await asyncio.sleep(2.1)
    task.cancel()
    await recorder.is_stopping.wait()  # type: ignore[attr-defined]
    answer = await client.ask()
    assert "Connection: close" in answer
    assert answer.endswith("hello")
    await asyncio.wait([task])
    await client.aclose()


async def _serve(recorder: Recorder, http_server: str, listener: list[socket.socket], stopping: Stopping) -> None:
    async with serving(recorder, make_backend(recorder, http_server), listener, stopping=stopping):
        await asyncio.Event().wait()


def _connection(server: RunningServer) -> socket.socket:
    host, _, port = server.address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def _ask(server: RunningServer, path: str) -> None:
    with _connection(server) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        while client.recv(4096):
            pass
