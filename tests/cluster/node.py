"""A host that serves the site: `runserver.py` with workers, as an operator starts it.

Begin with `Node`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.network import Host
from tests.cluster.services import place_on
from tests.services.process import ServerProcess, accepts

__all__ = ["Node", "job_worker", "make_tables"]

PORT = 8000
_SITE = Path(__file__).parent / "site"
_ROOT = Path(__file__).parents[2]


class Node:
    """The site on one host.

    Args:
        lab: Settings of this site, such as CACHES and DATABASE_CONNECTION.
        workers: Worker processes.
        options: Further arguments of `runserver.py`.
        clock: Seconds by which its clock is fast.
    """

    def __init__(
        self,
        host: Host,
        lab: Mapping[str, Any],
        *,
        workers: int = 2,
        options: tuple[str, ...] = (),
        clock: float = 0,
    ) -> None:
        self.host = host
        self.address = f"{host.address}:{PORT}"
        self._workers = workers
        self._options = options
        trusted = {"XHEADERS": True, "TRUSTED_PROXIES": [f"{host.address.rpartition('.')[0]}.0/24"]}
        self.process = ServerProcess(
            f"node-{host.name}",
            self._command,
            lambda: accepts((host.address, PORT)),
            prepare=lambda folder: shutil.copytree(_SITE, folder / "site"),
            environment={
                "LAB": json.dumps({**trusted, **lab}),
                "LAB_NODE": host.name,
                "LAB_CLOCK": str(clock),
                "TORNGAS_APP_SETTINGS": "setting",
                "PYTHONPATH": str(_ROOT),
            },
            start_seconds=40,
            place=place_on(host),
        )
        self.process.environment["LAB_LOGS"] = str(self.process.folder / "logs")

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    def _command(self, folder: Path) -> list[str]:
        words = [sys.executable, str(folder / "site" / "runserver.py"), f"--port={PORT}"]
        return [*words, f"--address={self.host.address}", f"--workers={self._workers}", *self._options]

    def stop(self) -> None:
        """Stop as an operator does, and return when the process has ended."""
        self.process.stop()

    def restart(self) -> None:
        """Stop, and start again."""
        self.process.stop()
        self.process.start()

    def renew(self) -> None:
        """Have the workers renewed (SIGHUP); returns at once."""
        os.kill(self.process.pid, signal.SIGHUP)

    def worker_ids(self) -> list[int]:
        """Return the process ids of the workers."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]

    @property
    def log(self) -> str:
        """Everything it has logged, to the terminal and to files."""
        files = sorted((self.process.folder / "logs").glob("*"))
        return "\n".join([self.process.log, *(path.read_text(encoding="utf-8") for path in files)])


def job_worker(host: Host, lab: Mapping[str, Any]) -> ServerProcess:
    """Return `torngas-aio worker` of the site with the settings *lab* on *host*, to be started."""
    words = [sys.executable, "-m", "torngas_aio", "worker", "--settings=setting", "--concurrency=20"]
    process = ServerProcess(
        host.name, lambda folder: words, lambda: True, environment=_environment(host, lab), place=place_on(host)
    )
    process.environment["LAB_LOGS"] = str(process.folder / "logs")
    return process


def make_tables(host: Host, lab: Mapping[str, Any]) -> None:
    """Make the tables of the site's jobs."""
    words = [*host.prefix, sys.executable, "-m", "torngas_aio", "syncdb", "--settings=setting"]
    environment = {**os.environ, **_environment(host, lab)}
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=60)


def _environment(host: Host, lab: Mapping[str, Any]) -> dict[str, str]:
    path = f"{_ROOT}{os.pathsep}{_SITE}"
    return {"LAB": json.dumps(lab), "LAB_CLOCK": "0", "LAB_NODE": host.name, "LAB_LOGS": "", "PYTHONPATH": path}
