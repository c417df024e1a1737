"""Servers on hosts of the laboratory: nginx here, the stores from `tests.services`.

Begin with `place_on`.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.cluster.network import Host
from tests.services.process import Place, ServerProcess, accepts, binary

__all__ = ["HealthChecks", "Nginx", "place_on"]

CONFIGURATION = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream nodes {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen {address}:80;
        client_max_body_size 10m;
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_connect_timeout 1s;
            proxy_read_timeout 60s;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Real-IP "";
            proxy_set_header X-Scheme "";
            proxy_set_header Forwarded "";
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""


def place_on(host: Host) -> Place:
    """Return where servers of `tests.services` run that are to run on *host*."""
    return Place(host.address, host.prefix)


class Nginx:
    """nginx on *host*, before servers at *addresses*.

    Safe requests are sent to the next server when one fails; a POST only when its connection was refused.
    """

    def __init__(self, host: Host, addresses: Sequence[str]) -> None:
        self.address = host.address
        self._addresses = addresses
        self.process = ServerProcess(
            "nginx",
            lambda folder: [binary("nginx"), "-e", str(folder / "start.log"), "-c", str(folder / "nginx.conf")],
            lambda: accepts((host.address, 80)),
            prepare=self._configure,
            place=place_on(host),
        )

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    @property
    def url(self) -> str:
        """Where visitors go."""
        return f"http://{self.address}"

    def balance(self, addresses: Sequence[str]) -> None:
        """Send requests to servers at *addresses* only, from now on: the configuration is loaded again."""
        self._addresses = addresses
        self._configure(self.process.folder)
        os.kill(self.process.pid, signal.SIGHUP)

    def _configure(self, folder: Path) -> None:
        servers = "\n        ".join(f"server {address} max_fails=1 fail_timeout=1s;" for address in self._addresses)
        text = CONFIGURATION.format(folder=folder, servers=servers, address=self.address)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")


class HealthChecks:
    """Asks each server whether it is ready, and has nginx leave out those that are not, as a checking proxy does.

    Args:
        pause: Seconds between two rounds.
    """

    def __init__(self, nginx: Nginx, addresses: Sequence[str], *, pause: float = 0.2) -> None:
        self._nginx = nginx
        self._addresses = list(addresses)
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._check())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _check(self) -> None:
        known = self._addresses
        async with httpx2.AsyncClient(trust_env=False, timeout=1) as client:
            while True:
                ready = [address for address in self._addresses if await _is_ready(client, address)]
                if ready and ready != known:
                    known = ready
                    await asyncio.to_thread(self._nginx.balance, ready)
                await asyncio.sleep(self._pause)


async def _is_ready(client: httpx2.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"http://{address}/ready")).status_code == 200
    except httpx2.TransportError:
        return False
