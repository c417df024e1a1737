"""MariaDB servers for the tests: a master and two replicating slaves, on free ports.

    MariaServer     one server; `execute()`, and `.process` to pause, kill and restart it
    MariaCluster    master > slave, slave; `wait_for_slaves()`, `stop_replication()`, `start_replication()`
    shared_cluster  the one cluster of this test run, started on first use

Slaves are read-only, and the application's user cannot override that: a write to a slave fails.
Begin with `MariaCluster`.
"""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymysql

from tests.polling import wait_until
from tests.services.process import HERE, Place, ServerProcess, accepts, binary, free_port

__all__ = ["DATABASE", "PASSWORD", "USER", "MariaCluster", "MariaServer", "close_shared", "shared_cluster"]

USER = "torngas"
PASSWORD = "s3cret-&-p@ss/word"
DATABASE = "torngas"

_SMALL = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
]


class MariaServer:
    """One server with an empty data folder.

    Args:
        number: Its server id for replication, from 1.
        read_only: Refuse the writes of ordinary users.
        options: Further arguments of mariadbd.
        place: Where it runs.
    """

    def __init__(
        self, number: int = 1, *, read_only: bool = False, options: Sequence[str] = (), place: Place = HERE
    ) -> None:
        self.number = number
        self.host = place.address
        self.port = free_port() if place == HERE else 3306
        self._read_only = read_only
        self._options = list(options)
        self.process = ServerProcess(
            f"mariadb{number}", self._command, self._answers, prepare=self._install, start_seconds=30, place=place
        )

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    def execute(self, statement: str, database: str | None = None) -> list[dict[str, Any]]:
        """Run *statement* as root and return its rows; the timeout is 5 s."""
        connection = pymysql.connect(
            unix_socket=str(self._socket),
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=5,
            read_timeout=5,
            cursorclass=pymysql.cursors.DictCursor,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def status(self, name: str) -> int:
        """Return the value of a counter of `SHOW GLOBAL STATUS`."""
        return int(self.execute(f"SHOW GLOBAL STATUS LIKE '{name}'")[0]["Value"])

    @contextmanager
    def general_log(self) -> Iterator[list[str]]:
        """Yield a list that holds the application's commands after the block, such as `Query SELECT 1`, `Ping`."""
        seen: list[str] = []
        self.execute("SET GLOBAL log_output = 'TABLE'")
        self.execute("TRUNCATE TABLE mysql.general_log")
        self.execute("SET GLOBAL general_log = ON")
        try:
            yield seen
        finally:
            self.execute("SET GLOBAL general_log = OFF")
            rows = self.execute("SELECT user_host, command_type, argument FROM mysql.general_log ORDER BY event_time")
            seen.extend(
                f"{row['command_type']} {row['argument']}".strip()
                for row in rows
                if row["user_host"].startswith(f"{USER}[")
            )

    @property
    def _socket(self) -> Path:
        return self.process.folder / "db.sock"

    def _install(self, folder: Path) -> None:
        shutil.copytree(_installed(), folder / "data")

    def _command(self, folder: Path) -> list[str]:
        words = [binary("mariadbd", "mysqld"), "--no-defaults", "--user=root", f"--datadir={folder / 'data'}"]
        words += [f"--socket={self._socket}", f"--port={self.port}", f"--bind-address={self.host}", *_SMALL]
        words += [f"--server-id={self.number}", f"--pid-file={folder / 'db.pid'}", "--skip-name-resolve"]
        # Written at each commit, flushed once a second: data survives a killed server, not a crash of the machine.
        words += ["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2", "--max-connections=700"]
        words += ["--master-retry-count=0", "--slave-net-timeout=5", "--character-set-server=utf8mb4"]
        words += ["--read-only=ON"] if self._read_only else ["--log-bin=binlog"]
        return [*words, *self._options]

    def _answers(self) -> bool:
        if not self._socket.exists() or not accepts((self.host, self.port)):
            return False
        try:
            self.execute("SELECT 1")
        except pymysql.err.Error:
            return False
        return True


class MariaCluster:
    """One master and two slaves, with a database and a user for the application.

    Changes of the master reach the slaves within a few milliseconds; `wait_for_slaves` waits for that.

    Args:
        places: Where the master and each slave run.
        options: Further arguments of mariadbd, for every server.
    """

    def __init__(self, places: Sequence[Place] = (HERE,) * 3, options: Sequence[str] = ()) -> None:
        self.master = MariaServer(1, options=options, place=places[0])
        self.slaves = [
            MariaServer(number, read_only=True, options=options, place=place)
            for number, place in enumerate(places[1:], start=2)
        ]
        self._lags = False

    def __enter__(self) -> Self:
        binary("mariadbd", "mysqld")  # checked here, as only the fixture's own thread can skip a test
        _installed()
        try:
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda server: server.process.start(), self.servers))
            self._set_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for server in self.servers:
            server.process.close()

    @property
    def servers(self) -> list[MariaServer]:
        """The master, then the slaves."""
        return [self.master, *self.slaves]

    def heal(self) -> None:
        """Restart killed servers, resume paused ones, and wait until the slaves have caught up."""
        is_whole = all(server.process.is_running for server in self.servers)
        for server in self.servers:
            if server.process.is_running:
                server.process.resume()
            server.process.start()
        if self._lags or not is_whole:
            self.start_replication()
            self.wait_for_slaves()

    def stop_replication(self) -> None:
        """Stop replication on the slaves: they lag until `start_replication`."""
        self._lags = True
        for slave in self.slaves:
            slave.execute("STOP SLAVE")

    def start_replication(self) -> None:
        """Resume replication on the slaves; no effect on slaves that replicate already."""
        self._lags = False
        for slave in self.slaves:
            slave.execute("START SLAVE")

    def wait_for_slaves(self, seconds: float = 10) -> None:
        """Wait until both slaves have applied all commits of the master."""
        position = self.master.execute("SELECT @@gtid_binlog_pos AS position")[0]["position"]
        for slave in self.slaves:
            _wait_until(lambda slave=slave: _has_reached(slave, position), seconds, slave)  # type: ignore[misc]

    def delay(self, seconds: int) -> None:
        """Delay the slaves: each applies a change *seconds* after the master."""
        for slave in self.slaves:
            slave.execute("STOP SLAVE")
            slave.execute(f"CHANGE MASTER TO MASTER_DELAY={seconds}")
            slave.execute("START SLAVE")

    def switch_over(self) -> None:
        """Make the first slave the master, without killing any connection.

        The servers need the options `--log-bin=binlog` and `--log-slave-updates`.
        """
        old, new = self.master, self.slaves[0]
        old.execute("SET GLOBAL read_only = ON")
        self.wait_for_slaves()
        for statement in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF"):
            new.execute(statement)
        self.master, self.slaves = new, [*self.slaves[1:], old]
        for slave in self.slaves:
            slave.execute("STOP SLAVE")
            self._replicate(slave, "current_pos")

    def _set_up(self) -> None:
        for statement in (
            f"CREATE DATABASE {DATABASE}",
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON `{DATABASE}%`.* TO '{USER}'@'%'",
            "CREATE USER 'replica'@'%' IDENTIFIED BY 'replica'",
            "GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%'",
        ):
            self.master.execute(statement)
        for slave in self.slaves:
            self._replicate(slave, "slave_pos")
        self.wait_for_slaves()

    def _replicate(self, slave: MariaServer, position: str) -> None:
        slave.execute(
            f"CHANGE MASTER TO MASTER_HOST='{self.master.host}', MASTER_PORT={self.master.port}, "
            f"MASTER_USER='replica', MASTER_PASSWORD='replica', MASTER_USE_GTID={position}, MASTER_CONNECT_RETRY=1"
        )
        slave.execute("START SLAVE")


@cache
def _installed() -> Path:
    """Return a data folder to copy; installing takes a second, and may fail beside another installation."""
    folder = Path(tempfile.mkdtemp(prefix="torngas-mariadb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for _ in range(5):
        done = subprocess.run(
            [
                binary("mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                f"--datadir={folder / 'data'}",
                "--user=root",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                *_SMALL,
            ],
            check=False,
            capture_output=True,
            timeout=60,
        )
        if done.returncode == 0:
            return folder / "data"
        shutil.rmtree(folder / "data", ignore_errors=True)
    raise RuntimeError(f"mariadb-install-db fails:\n{done.stdout.decode()}{done.stderr.decode()}")


@cache
def shared_cluster() -> MariaCluster:
    """Return the cluster that all tests of this run share, started on first use; see `close_shared`."""
    return MariaCluster().__enter__()


def close_shared() -> None:
    """Stop the cluster of `shared_cluster`, if it was started."""
    if shared_cluster.cache_info().currsize:
        shared_cluster().__exit__(None, None, None)
        shared_cluster.cache_clear()


def _has_reached(slave: MariaServer, position: str) -> bool:
    # At the position or beyond it: the master may have written more since.
    if slave.execute(f"SELECT MASTER_GTID_WAIT('{position}', 0) AS missed")[0]["missed"] == 0:
        return True
    status = slave.execute("SHOW SLAVE STATUS")
    failed = status[0]["Last_SQL_Error"] if status else ""
    if failed:
        raise RuntimeError(f"Replication of {slave.process.name} has stopped: {failed}")
    return False


def _wait_until(is_done: Callable[[], bool], seconds: float, slave: MariaServer) -> None:
    try:
        wait_until(is_done, seconds)
    except TimeoutError:
        status = slave.execute("SHOW SLAVE STATUS")
        raise RuntimeError(f"{slave.process.name} does not catch up: {status}") from None
