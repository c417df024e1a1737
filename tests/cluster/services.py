"""Servers on hosts of the laboratory: nginx here, the stores from `tests.services`.

Begin with `place_on`.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster.network import Host
from tests.services.process import Place, ServerProcess, accepts, binary

__all__ = ["Nginx", "place_on"]

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

    def _configure(self, folder: Path) -> None:
        servers = "\n        ".join(f"server {address} max_fails=1 fail_timeout=1s;" for address in self._addresses)
        text = CONFIGURATION.format(folder=folder, servers=servers, address=self.address)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
