"""Everything under `/-/` has a listener of its own where MANAGEMENT names one."""

import asyncio
from pathlib import Path

import pytest

from tests.http.wire import Client
from tests.operations.test_metrics import RUNSERVER, SETTING, SITE_URLS
from tests.polling import until
from tests.services.process import free_port
from tests.webserver.project import Project, RunningServer
from torngas_aio.exception import ConfigError
from torngas_aio.webserver.listeners import ManagementListener

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


@pytest.mark.parametrize("kind", ["one", "tornado", "workers", "unix"])
async def test_operators_paths_are_answered_there_only(kind: str, tmp_path: Path) -> None:
    port = free_port()
    where: tuple[str, int] | str = str(tmp_path / "m.sock") if kind == "unix" else ("127.0.0.1", port)
    management = f"unix:{where}" if kind == "unix" else f"127.0.0.1:{port}"
    options = {"workers": ["--workers=2"], "tornado": ["--http_server=tornado"]}.get(kind, [])
    command = ["runserver.py", "--port=0", "--address=127.0.0.1", "--settings=conf.setting", *options]
    server = await asyncio.to_thread(RunningServer(project_of(tmp_path, management), command, {}).__enter__)
    try:
        await until(lambda: not (kind == "workers" and server.log.count(" is ready") < 2))
        assert str(port) not in server.address
        public = "127.0.0.1", int(server.address.rpartition(":")[2])
        assert await status(public, "/pid") == 200
        assert await status(where, "/pid") == 404
        for path in ("/-/live", "/-/ready", "/-/startup", "/-/metrics"):
            assert await status(public, path) == 404
            assert await status(where, path) == 200
        assert await status(where, "/-/absent") == 404
        assert await status(where, "/-/metrics", "X-Forwarded-For: 127.0.0.1") == 404
        assert await status(where, "/-/metrics", "Host: evil.example") == (200 if kind == "unix" else 404)
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


def test_workers_cannot_share_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers cannot share a path"):
        ManagementListener(f"unix:{tmp_path}/m.sock", is_shared=True)
