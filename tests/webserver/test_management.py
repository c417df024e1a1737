"""A listener of its own for `/-/` where MANAGEMENT names one."""

import asyncio
import os
import re
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.http.wire import Client
from tests.operations.test_metrics import RUNSERVER, SETTING, SITE_URLS
from tests.polling import until
from tests.services.process import free_port
from tests.webserver.project import Project, RunningServer
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.http.unix_sockets import UnixListener
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.listeners import (
    bind,
)
from torngas_aio.webserver.management import ManagementListener
from torngas_aio.webserver.serving import serving

pytestmark = pytest.mark.timeout(120)


async def status(address: tuple[str, int] | str, path: str, *lines: str) -> int:
    host = ("Host: 127.0.0.1", *lines) if not any(line.startswith("Host") for line in lines) else lines
    head = "\r\n".join([f"GET {path} HTTP/1.1", *host, "", ""]).encode()
    if isinstance(address, tuple):
        async with await Client.connect(address) as client:
            return (await client.ask(head)).status
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(head)
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


def project_of(path: Path, management: str) -> Project:
    project = Project(path)
    for name, text in {
        "runserver.py": RUNSERVER, "conf/__init__.py": "", "conf/setting.py": f"{SETTING}MANAGEMENT = {management!r}\n",
        "site_app/__init__.py": "", "site_app/urls.py": SITE_URLS,
    }.items():  # fmt: skip
        project.write(name, text)
    return project


@pytest.mark.parametrize("kind", ["one", "tornado", "workers", "unix", "unix workers"])
async def test_operators_paths_are_answered_there_only(kind: str, tmp_path: Path) -> None:
    port = free_port()
    is_unix, is_many = kind.startswith("unix"), kind.endswith("workers")
    where: tuple[str, int] | str = str(tmp_path / "m.sock") if is_unix else ("127.0.0.1", port)
    management = f"unix:{where}" if is_unix else f"127.0.0.1:{port}"
    options = ["--workers=2"] if is_many else ["--http_server=tornado"] if kind == "tornado" else []
    command = ["runserver.py", "--port=0", "--address=127.0.0.1", "--settings=conf.setting", *options]
    server = await asyncio.to_thread(RunningServer(project_of(tmp_path, management), command, {}).__enter__)
    try:
        await until(lambda: not (is_many and server.log.count(" is ready") < 2))
        assert str(port) not in server.address
        public = "127.0.0.1", int(server.address.rpartition(":")[2])
        assert await status(public, "/pid") == 200
        assert await status(where, "/pid") == 404
        for path in ("/-/live", "/-/ready", "/-/startup", "/-/metrics"):
            assert await status(public, path) == 404
            assert await status(where, path) == 200
        assert await status(where, "/-/absent") == 404
        assert await status(where, "/-/metrics", "X-Forwarded-For: 127.0.0.1") == 404
        assert await status(where, "/-/metrics", "Host: evil.example") == (200 if is_unix else 404)
        server.terminate()
        assert await asyncio.to_thread(server.wait) == 0
        assert not (tmp_path / "m.sock").exists()
        assert "laddr=" not in server.log  # of a listener that was not closed
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.mark.parametrize(
    "setting", ["9100", ":9100", "localhost:", "localhost:x", "localhost:0", "localhost:-1", "unix:"]
)
def test_what_is_no_address_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        ManagementListener(setting)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("9100", "write host:port"),
        ("192.0.2.1:9100", "cannot listen there: .* Choose an address of this machine"),
        ("no.such.host.invalid:9100", "cannot listen there: "),
        ("unix:missing/m.sock", "Cannot listen on the unix socket missing/m.sock: No such file"),
        (f"unix:{'x' * 200}", "Cannot listen on the unix socket x"),
    ],
)
def test_an_error_names_what_said_where(
    setting: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"^MANAGEMENT = '{setting}': {reason}"):
        ManagementListener(setting)
    with pytest.raises(ConfigError, match=f"^worker --management={setting}: {reason}"):
        ManagementListener(setting, named=f"worker --management={setting}")


async def test_the_port_of_a_workers_management_listens_once_it_serves() -> None:
    """What connected before would wait for its start, and other workers may serve already."""
    address = "127.0.0.1", free_port()
    worker: Any = object()
    listener = ManagementListener(f"127.0.0.1:{address[1]}", worker=worker)
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(address)
    application = Application()
    async with serving(application, make_backend(application), listener.sockets):
        assert await status(address, "/nothing") == 404


def test_an_error_of_a_port_in_use_names_what_said_where() -> None:
    sockets = bind(0, "127.0.0.1")
    setting = f"127.0.0.1:{sockets[0].getsockname()[1]}"
    with pytest.raises(ConfigError, match=f"^--management={setting}: cannot listen there: Address already in use"):
        ManagementListener(setting, named=f"--management={setting}")
    for each in sockets:
        each.close()


class Workers:
    """Two workers whose MANAGEMENT is a path."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "m.sock"
        self.project = project_of(folder, f"unix:{self.path}")
        self.server = RunningServer(
            self.project,
            ["runserver.py", "--port=0", "--address=127.0.0.1", "--settings=conf.setting", "--workers=2"],
            {},
        )

    async def __aenter__(self) -> "Workers":
        await asyncio.to_thread(self.server.__enter__)
        await self.ready(2)
        return self

    async def ready(self, times: int) -> None:
        await until(lambda: self.server.log.count(" is ready") == times)

    async def __aexit__(self, *exc: object) -> None:
        if self.server.process.poll() is None and exc == (None, None, None):
            self.server.terminate()
            assert await asyncio.to_thread(self.server.wait) == 0, self.server.log
        await asyncio.to_thread(self.server.__exit__, None, None, None)

    def pid_of(self, number: int) -> int:
        return int(re.findall(rf"Worker {number} is ready \(process (\d+)", self.server.log)[-1])


async def test_the_path_of_workers_is_the_parents(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "m.sock"))
    stale.close()
    async with Workers(tmp_path) as site:
        assert stat.S_IMODE(site.path.stat().st_mode) == 0o660
        inode = site.path.stat().st_ino
        for ready, number in ((3, 0), (4, 1)):
            os.kill(site.pid_of(number), signal.SIGKILL)
            await until(lambda: "200" in str(asked_of(site.path)), accepts=(OSError,))
            await site.ready(ready)
        site.server.terminate(signal.SIGHUP)
        await site.ready(6)
        assert await status(str(site.path), "/-/ready") == 200
        assert site.path.stat().st_ino == inode
        site.project.write("conf/setting.py", f"{SETTING}MANAGEMENT = 'unix:other.sock'\n")  # in the project's folder
        site.server.terminate(signal.SIGHUP)
        await site.ready(8)
        await until(lambda: not site.path.exists())
        assert await status(str(tmp_path / "other.sock"), "/-/ready") == 200
    assert not (tmp_path / "other.sock").exists()


def asked_of(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(b"GET /-/live HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        return client.recv(100).decode()


async def test_workers_do_not_take_the_path_of_a_live_server(tmp_path: Path) -> None:
    live = await asyncio.to_thread(UnixListener, str(tmp_path / "m.sock"), backlog=8)
    site = Workers(tmp_path)
    done = await asyncio.to_thread(site.project.run, *site.server._command)
    assert done.returncode == 1
    told = (
        f"MANAGEMENT = 'unix:{site.path}': Cannot listen on the unix socket {site.path}: another server listens there"
    )
    assert told in done.stderr
    assert site.path.exists()
    live.socket.close()


async def test_what_a_killed_parent_left_is_taken_over(tmp_path: Path) -> None:
    async with Workers(tmp_path) as site:
        workers = [site.pid_of(0), site.pid_of(1)]
        site.server.process.kill()
        await asyncio.to_thread(site.server.process.wait)
        await until(lambda: not any(Path(f"/proc/{each}/cmdline").exists() for each in workers))
    assert (tmp_path / "m.sock").exists()
    async with Workers(tmp_path) as site:
        assert await status(str(site.path), "/-/ready") == 200
    assert not (tmp_path / "m.sock").exists()
