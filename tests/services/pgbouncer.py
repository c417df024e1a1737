"""PgBouncer for the tests: transaction pooling in front of a PostgreSQL, with very few server connections.

Begin with `PgBouncer`.
"""

import os
import pwd
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.postgres import DATABASE, PASSWORD, USER, PostgresServer, as_postgres
from tests.services.process import HOST, ServerProcess, accepts, binary, free_port

__all__ = ["PgBouncer"]


class PgBouncer:
    """A pooler whose clients share *size* connections of *server*, each for one transaction at a time."""

    def __init__(self, server: PostgresServer, size: int = 2) -> None:
        self.port = free_port()
        self._server = server
        self._size = size
        self.process = ServerProcess("pgbouncer", self._command, self._answers, prepare=self._configure)

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    def _configure(self, folder: Path) -> None:
        (folder / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n', encoding="utf-8")
        (folder / "pgbouncer.ini").write_text(
            "\n".join(
                [
                    "[databases]",
                    f"{DATABASE} = host={HOST} port={self._server.port} dbname={DATABASE}",
                    "[pgbouncer]",
                    "pool_mode = transaction",
                    f"listen_addr = {HOST}",
                    f"listen_port = {self.port}",
                    "unix_socket_dir =",
                    "auth_type = scram-sha-256",
                    f"auth_file = {folder / 'users.txt'}",
                    f"default_pool_size = {self._size}",
                    "max_client_conn = 100",
                    "ignore_startup_parameters = extra_float_digits",
                ]
            ),
            encoding="utf-8",
        )
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            for path in (folder, *folder.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _command(self, folder: Path) -> list[str]:
        return [*as_postgres(), binary("pgbouncer"), str(folder / "pgbouncer.ini")]

    def _answers(self) -> bool:
        return accepts((HOST, self.port))
