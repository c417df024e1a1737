"""New code without a pause: deployments under load, with workers and with one process; service managers; limits."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tornado.websocket import WebSocketClosedError, websocket_connect

from tests.http.wire import Client, get
from tests.polling import until, wait_until
from tests.webserver.project import ROOT, SECRET, Project, RunningServer

pytestmark = pytest.mark.timeout(120)

RUNSERVER = "from torngas_aio.webserver import run\n\nif __name__ == '__main__':\n    run()\n"
SETTING = f"""
INSTALLED_APPS = ("site_app",)
MIDDLEWARE_CLASSES = ("site_app.hooks.Hooks",)
TORNADO_CONF = {{"cookie_secret": "{SECRET}"}}
"""
URLS = """
import asyncio
import os
from pathlib import Path
from tests.polling import until, wait_until
from torngas_aio.handler import EventStreamHandler, WebHandler, WebSocketHandler

with Path(__file__).parents[2].joinpath("loaded_by").open("a") as file:
    file.write(f"{os.getpid()}\\n")

class Version(WebHandler):
    async def get(self):
        self.write("VERSION")

class Pid(WebHandler):
    async def get(self):
        self.write(str(os.getpid()))

class Socket(WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message)

class Stream(EventStreamHandler):
    async def events(self):
        await asyncio.Event().wait()
        yield

urls = [("/", Version), ("/pid", Pid), ("/ws", Socket), ("/events", Stream)]
"""
HOOKS = """
class Hooks:
    async def process_init(self, application):
        pass
"""
FAILING_HOOKS = """
class Hooks:
    async def process_init(self, application):
        raise OSError("no database for this version")
"""
LOCAL = ("--port=0", "--address=127.0.0.1")


class Site(Project):
    """Releases in folders of their own, and a link to one of them that is switched: how deployments are made."""

    def release(self, version: str, *, hooks: str = HOOKS, urls: str = URLS) -> None:
        """Write a release and let `current` lead to it."""
        for name, text in {
            "runserver.py": RUNSERVER, "conf/__init__.py": "", "conf/setting.py": SETTING, "site_app/__init__.py": "",
            "site_app/urls.py": urls.replace("VERSION", version), "site_app/hooks.py": hooks,
        }.items():  # fmt: skip
            self.write(f"{version}/{name}", text)
        (self.path / "next").symlink_to(version)
        (self.path / "next").replace(self.path / "current")

    def environment(self, **more: str) -> dict[str, str]:
        """As the base class's."""
        runtime = self.path / "run"
        runtime.mkdir(exist_ok=True)
        return super().environment(
            PYTHONPATH=str(ROOT), TORNGAS_APP_SETTINGS="conf.setting", XDG_RUNTIME_DIR=str(runtime), **more
        )

    def start(self, *options: str, **environment: str) -> RunningServer:
        """Start the current release, by the path with the link."""
        return RunningServer(self, ["current/runserver.py", *LOCAL, *options], environment)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.release("one")
    return made


class Load:
    """Clients that ask for the version again and again, each on a connection for as long as the server keeps it.

    Attributes:
        versions: How often each has answered.
        close_codes: Those that the server has closed WebSockets with; their clients come back.
        stream_ends: The last event of each event stream that has ended.
    """

    def __init__(self, port: int, clients: int = 8, listeners: int = 0) -> None:
        self.versions: Counter[str] = Counter()
        self.close_codes: Counter[int | None] = Counter()
        self.stream_ends: Counter[bytes] = Counter()
        self.failures: list[BaseException] = []
        self._listeners = listeners
        self._address = ("127.0.0.1", port)
        self._clients = clients
        self._is_over = False

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        for _ in range(self._listeners):
            self._tasks += [asyncio.create_task(self._echo()), asyncio.create_task(self._listen())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        for task in self._tasks[self._clients :]:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self.failures.append(result)

    async def _ask(self) -> None:
        while not self._is_over:
            try:
                async with await Client.connect(self._address) as client:
                    while not self._is_over:
                        answer = await client.ask(get())
                        assert answer.status == 200
                        self.versions[answer.body.decode()] += 1
                        if answer.headers.get("connection") == "close":
                            break
                        await asyncio.sleep(0.005)
            except (OSError, AssertionError, EOFError) as exc:
                self.failures.append(exc)

    async def _echo(self) -> None:
        while True:
            socket = await websocket_connect(f"ws://127.0.0.1:{self._address[1]}/ws")
            try:
                with contextlib.suppress(WebSocketClosedError):  # at once, where the process was ending
                    await socket.write_message("here")
                if (message := await socket.read_message()) is not None:
                    assert message == "here"
                    assert await socket.read_message() is None
                self.close_codes[socket.close_code] += 1
            finally:
                socket.close()

    async def _listen(self) -> None:
        while True:
            async with await Client.connect(self._address) as client:
                answer = await client.ask(get("/events"))
                self.stream_ends[answer.body.strip().rpartition(b"\n\n")[2]] += 1

    async def saw(self, version: str, more: int = 20, seconds: float = 30) -> None:
        """Return once *version* has answered *more* times."""
        wanted = self.versions[version] + more
        await until(lambda: self.versions[version] >= wanted, seconds)


async def logged(server: RunningServer, words: str, times: int = 1) -> None:
    """Return once *times* lines of the server's log have held *words*."""

    def is_logged() -> bool:
        return sum(words in line for line in server.log.splitlines()) >= times

    await until(lambda: is_logged() or server.process.poll() is not None)
    assert is_logged(), server.log


def port_of(server: RunningServer) -> int:
    return int(server.address.rpartition(":")[2])


def ask(server: RunningServer, path: str = "/") -> str:
    with socket.create_connection(("127.0.0.1", port_of(server))) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        with client.makefile("rb") as answer:
            return answer.read().partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def started() -> Iterator[Callable[[RunningServer], RunningServer]]:
    """Enter a server, and leave it at the end."""
    servers: list[RunningServer] = []

    def enter(server: RunningServer) -> RunningServer:
        servers.append(server.__enter__())
        return server

    yield enter
    for server in servers:
        server.__exit__(None, None, None)


Started = Callable[[RunningServer], RunningServer]


@pytest.mark.parametrize(
    ("workers", "deployments", "requests"),
    [(1, 2, 0), (2, 2, 0), pytest.param(2, 10, 100_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
async def test_deployments_under_load_fail_no_request(
    site: Site, started: Started, workers: int, deployments: int, requests: int
) -> None:
    """The link is switched, SIGHUP sent: the new code answers, in the same parent or process.

    Each WebSocket is closed with 1012, and each event stream told when to come back. With `-s` the slow one prints
    its figures.
    """
    listeners = 2
    server = await asyncio.to_thread(started, site.start(f"--workers={workers}"))
    async with Load(port_of(server), listeners=listeners) as load:
        await load.saw("one")
        for number in range(deployments):
            site.release(f"release{number}")
            server.terminate(signal.SIGHUP)
            await load.saw(f"release{number}", max(20, requests // deployments), 80)
            if workers > 1:
                await logged(server, " has ended (process", workers * (number + 1))
    told = f"{load.versions.total()} requests, {len(load.failures)} failed; {load.close_codes}, {load.stream_ends}"
    print(told)  # noqa: T201  the figures, for -s
    assert load.failures == [], told
    assert load.versions.total() >= requests
    for ends, wanted in ((load.close_codes, 1012), (load.stream_ends, b"retry: 3000")):
        assert set(ends) == {wanted}, told
        assert (
            ends.total() >= deployments * listeners
        )  # more where a client came back to a worker that is replaced next
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0, server.log
    parent = str(server.process.pid)
    assert (parent in (site.path / "loaded_by").read_text().split()) is (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"hooks": FAILING_HOOKS}, "no database for this version"),
        ({"urls": "this is no Python\n"}, "invalid syntax"),
        ({"urls": "urls = 5\n"}, "urls"),
    ],
    ids=["hook", "syntax", "route"],
)
async def test_new_code_that_does_not_start_leaves_the_old_one(
    site: Site, started: Started, workers: int, fault: dict[str, str], told: str
) -> None:
    server = await asyncio.to_thread(started, site.start(f"--workers={workers}"))
    await logged(server, " is ready", workers if workers > 1 else 0)
    site.release("broken", **fault)
    server.terminate(signal.SIGHUP)
    await logged(server, "the old ones stay" if workers > 1 else "still serving the code of")
    assert told in server.log
    assert ask(server) == "one"
    site.release("mended")
    server.terminate(signal.SIGHUP)
    await asyncio.to_thread(_wait_for_version, server, "mended")
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0, server.log


async def test_a_worker_that_dies_while_the_code_is_broken_costs_no_request(site: Site, started: Started) -> None:
    """The connections that the system gives to its sockets are accepted by another worker."""
    server = await asyncio.to_thread(started, site.start("--workers=2"))
    await logged(server, " is ready", 2)
    site.release("broken", hooks=FAILING_HOOKS)
    os.kill(int(ask(server, "/pid")), signal.SIGKILL)
    await logged(server, "died (process", 2)
    answers = await asyncio.to_thread(lambda: [ask(server) for _ in range(30)])
    assert set(answers) == {"one"}
    site.release("mended")
    await logged(server, " is ready", 3)
    await asyncio.to_thread(_wait_for_version, server, "mended")
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0, server.log


def _wait_for_version(server: RunningServer, version: str) -> None:
    def is_so() -> bool:
        assert server.process.poll() is None, server.log
        return ask(server) == version

    wait_until(is_so)


async def test_one_process_keeps_its_number_and_its_unix_socket(site: Site) -> None:
    path = site.path / "app.sock"
    command = ["current/runserver.py", f"--unix_socket={path}"]
    with RunningServer(site, command, {}) as server:
        site.release("two")
        server.terminate(signal.SIGHUP)
        await logged(server, "Serving on", 2)
        assert path.exists()
        server.terminate()
        assert server.wait() == 0, server.log
    assert not path.exists()


@pytest.mark.parametrize("kind", ["unix", "port"])
async def test_one_process_answers_its_health_checks_all_along(
    site: Site, started: Started, unused_tcp_port: int, kind: str
) -> None:
    """The management's sockets stay open, too: a proxy that asks there must not take the only process out."""
    path = site.path / "management.sock"
    setting = f"unix:{path}" if kind == "unix" else f"127.0.0.1:{unused_tcp_port}"
    address = str(path) if kind == "unix" else ("127.0.0.1", unused_tcp_port)
    for version in ("one", "two"):
        site.release(version)
        file = site.path / version / "conf/setting.py"
        file.write_text(f"{SETTING}\nMANAGEMENT = {setting!r}\n")
        if version == "one":
            server = await asyncio.to_thread(started, site.start())
    server.terminate(signal.SIGHUP)
    renewed = asyncio.create_task(logged(server, "Serving on", 2))
    while not renewed.done():
        async with asyncio.timeout(60), await Client.connect(address) as client:
            assert (await client.ask(get("/-/live", "Connection: close"))).status == 200, server.log
        await asyncio.sleep(0.01)
    await renewed
    assert await asyncio.to_thread(ask, server) == "two"
    async with await Client.connect(address) as client:
        assert (await client.ask(get("/"))).status == 404
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0, server.log
    assert not path.exists()


async def test_a_stop_during_a_renewal_is_a_stop(site: Site, started: Started) -> None:
    server = await asyncio.to_thread(started, site.start())
    async with await Client.connect(("127.0.0.1", port_of(server))) as client:
        await client.ask(get())
        server.terminate(signal.SIGHUP)
        await logged(server, "SIGHUP: accepting no more")
        server.terminate(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait) == 0
    assert server.log.count("Serving on") == 1 or "The server has ended" in server.log


class Manager:
    """What listens where a service manager would."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(40)
        self.told: list[str] = []

    def wait_for(self, words: str, times: int = 1) -> None:
        """Return once *times* messages have begun with *words*."""
        while sum(each.startswith(words) for each in self.told) < times:
            self.told.append(self._socket.recv(4096).decode())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_service_manager_is_told(site: Site, started: Started, manager: Manager, workers: int) -> None:
    """READY, RELOADING with the clock, READY, STOPPING, and WATCHDOG all along."""
    server = await asyncio.to_thread(
        started, site.start(f"--workers={workers}", NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="400000")
    )
    await asyncio.to_thread(manager.wait_for, "READY=1")
    await asyncio.to_thread(manager.wait_for, "WATCHDOG=1", 3)
    before = time.monotonic() * 1e6
    server.terminate(signal.SIGHUP)
    await asyncio.to_thread(manager.wait_for, "RELOADING=1\nMONOTONIC_USEC=")
    clock = next(int(each.rpartition("=")[2]) for each in manager.told if each.startswith("RELOADING"))
    assert before - 1 <= clock <= time.monotonic() * 1e6
    await asyncio.to_thread(manager.wait_for, "READY=1", 2)
    site.release("broken", hooks=FAILING_HOOKS)
    server.terminate(signal.SIGHUP)
    await asyncio.to_thread(manager.wait_for, "READY=1", 3)  # the reload is over, and the old code serves
    server.terminate()
    await asyncio.to_thread(manager.wait_for, "STOPPING=1")
    assert await asyncio.to_thread(server.wait) == 0, server.log


ACTIVATE = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
os.dup2(os.dup(listening.fileno()), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_sockets_of_a_service_manager_are_used(site: Site, started: Started, workers: int) -> None:
    """And kept over a renewal."""
    command = ["-c", ACTIVATE, "current/runserver.py", "--port=1", f"--workers={workers}"]
    server = await asyncio.to_thread(started, RunningServer(site, command, {}))
    assert port_of(server) > 1
    site.release("two")
    server.terminate(signal.SIGHUP)
    await asyncio.to_thread(_wait_for_version, server, "two")
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0, server.log


@pytest.mark.parametrize("limit", ["--max-requests=50", "--max-rss=1M"])
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_worker_that_has_had_enough_is_replaced(site: Site, started: Started, limit: str, workers: int) -> None:
    server = await asyncio.to_thread(started, site.start(f"--workers={workers}", limit))
    async with Load(port_of(server), 2) as load:
        await logged(server, "MiB: it is replaced", workers)
        await logged(server, "has ended (process", workers)
        await load.saw("one")
    assert load.failures == []
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0, server.log


async def test_ps_shows_the_workers(site: Site, started: Started) -> None:
    server = await asyncio.to_thread(started, site.start("--workers=2"))
    await logged(server, " is ready", 2)
    for _ in range(10):
        ask(server)

    def ps(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "torngas_aio", "ps", *words],
            cwd=site.path, env=site.environment(), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout

    def counted() -> int:
        (told,) = json.loads(ps("--json"))
        assert told["pid"] == server.process.pid
        assert {worker["state"] for worker in told["workers"]} == {"ready"}
        assert all(worker["code"] == str(site.path / "one") for worker in told["workers"])
        return sum(worker["requests"] for worker in told["workers"])

    while await asyncio.to_thread(counted) < 10:
        pass
    shown = await asyncio.to_thread(ps)
    assert str(server.process.pid) in shown
    assert str(site.path / "one") in shown
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0
    assert await asyncio.to_thread(ps) == "No server with workers runs for this user.\n"
    assert list((site.path / "run" / f"torngas_aio-{os.getuid()}").iterdir()) == []
