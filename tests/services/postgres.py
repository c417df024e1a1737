"""PostgreSQL servers for the tests: one on a free port, which never runs as root, and its standbys.

Begin with `PostgresServer`.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.process import HOST, ServerProcess, accepts, binary, free_port

__all__ = [
    "DATABASE",
    "PASSWORD",
    "USER",
    "PostgresServer",
    "PostgresStandby",
    "as_postgres",
    "close_shared",
    "shared_postgres",
]

USER = "torngas"
PASSWORD = "s3cret-&-p@ss/word"
DATABASE = "torngas"

_FOLDERS = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


class PostgresServer:
    """One server with an empty database `torngas`, owned by the user `torngas`.

    If the tests run as root, it runs as the user `postgres`, which the system's package creates.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.process = ServerProcess("postgres", self._command, self._answers, prepare=self._install, start_seconds=30)

    def __enter__(self) -> Self:
        self.process.start()
        self.execute(f"CREATE USER {USER} PASSWORD '{PASSWORD}'")
        self.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run *statement* as the superuser with psql and return its rows, one a line."""
        done = subprocess.run(
            [*self._client("psql"), "-d", database, "-v", "ON_ERROR_STOP=1", "-Atc", statement],
            check=True,
            capture_output=True,
            text=True,
            timeout=15,
        )
        return done.stdout.strip()

    def _client(self, name: str) -> list[str]:
        return [binary(name, folders=_FOLDERS), "-h", str(self.process.folder), "-p", str(self.port), "-U", "postgres"]

    def _install(self, folder: Path) -> None:
        _give_to_postgres(folder)
        command = [
            binary("initdb", folders=_FOLDERS),
            "-D",
            str(folder / "data"),
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
        ]
        command += [
            "--auth-local=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
            f"--pwfile={self._password_file(folder)}",
        ]
        subprocess.run([*as_postgres(), *command], check=True, capture_output=True, timeout=60, cwd=folder)

    def _password_file(self, folder: Path) -> Path:
        path = folder / "password"
        path.write_text(PASSWORD, encoding="utf-8")
        path.chmod(0o644)
        return path

    def _command(self, folder: Path) -> list[str]:
        words = [
            *as_postgres(),
            binary("postgres", folders=_FOLDERS),
            "-D",
            str(folder / "data"),
            "-p",
            str(self.port),
        ]
        words += ["-h", HOST, "-k", str(folder), "-c", "fsync=off", "-c", "max_connections=60"]
        words += ["-c", "dynamic_shared_memory_type=mmap"]  # in the folder: a killed server leaves nothing in /dev/shm
        return words

    def _answers(self) -> bool:
        if not accepts((HOST, self.port)):
            return False
        done = subprocess.run([*self._client("pg_isready"), "-q"], check=False, timeout=5)
        return done.returncode == 0


class PostgresStandby(PostgresServer):
    """A hot standby that replicates *primary*, until it is promoted by `SELECT pg_promote()`."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self._primary = primary

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def _install(self, folder: Path) -> None:
        _give_to_postgres(folder)
        command = [*self._primary._client("pg_basebackup"), "-D", str(folder / "data"), "-R", "-c", "fast", "--no-sync"]
        subprocess.run([*as_postgres(), *command], check=True, capture_output=True, timeout=60, cwd=folder)


@cache
def shared_postgres() -> PostgresServer:
    """Return the server that all tests of this run share, started on first use; see `close_shared`."""
    return PostgresServer().__enter__()


def close_shared() -> None:
    """Stop the server of `shared_postgres`, if it was started."""
    if shared_postgres.cache_info().currsize:
        shared_postgres().__exit__(None, None, None)
        shared_postgres.cache_clear()


def _give_to_postgres(folder: Path) -> None:
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def as_postgres() -> Sequence[str]:
    """Return the command prefix that runs PostgreSQL as another user; empty unless the tests run as root."""
    if os.getuid() != 0:
        return ()
    # setpriv execs the command, so signals reach the server, not a parent process.
    found = shutil.which("setpriv")
    assert found is not None, "setpriv (util-linux) is missing; PostgreSQL refuses to run as root"
    return (found, "--reuid=postgres", "--regid=postgres", "--init-groups")
