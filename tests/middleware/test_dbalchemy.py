"""The database layer in requests over a socket: commits before the answer, visitors who read what they wrote."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import pytest
from sqlalchemy import select, text
from tornado.web import create_signed_value

from tests.db.models import User
from tests.db.support import configured, maria, pg, prepared, server
from tests.polling import until
from tests.services import mariadb, postgres
from tests.services.mariadb import DATABASE, MariaCluster
from tests.services.postgres import PostgresStandby
from torngas_aio.application import Application
from torngas_aio.db.dbalchemy import mysql_dialects, session_scope
from torngas_aio.db.dbalchemy.monitoring import KeepAlive
from torngas_aio.exception import ConfigError
from torngas_aio.handler import ApiHandler, WebHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.middleware.dbalchemy import COOKIE, DBAlchemyMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

SECRET = "c" * 32


class Users(ApiHandler):
    """Reads, writes, and does both badly."""

    async def get(self) -> None:
        server = await User.session.scalar(select(text("1")))
        names = sorted([user.name for user in await User.Q.all()])
        self.write({"names": names, "server": server})

    async def post(self) -> None:
        User.session.add(User(name=self.get_argument("name")))
        how = self.get_argument("how", "")
        if how in ("commit", "flush", "rollback"):
            await getattr(User.session, how)()
        self.write({"ok": True})
        if how == "raise":
            raise ValueError("after the write")
        if how == "status":
            self.set_status(500)
        if how == "early":
            self.finish()
            await asyncio.sleep(0)
            User.session.add(User(name="late"))
        if how == "after":
            await self.finish()
            User.session.add(User(name="lost"))
        if how == "twice":
            User.session.add(User(id=1, name="again"))


class Server(WebHandler):
    """Which server answers a read."""

    async def get(self) -> None:
        self.write(str(await User.session.scalar(select(text("@@server_id")))))

    async def post(self) -> None:
        async with session_scope() as session:
            session.add(User(name="x"))
            await session.commit()
        self.write("ok")


class Where(WebHandler):
    """Whether the master answers, and how many users it sees."""

    async def get(self) -> None:
        count = await User.Q.count()
        self.write(f"{'master' if User.session.is_on_master else 'slave'}, {count}")


class Busy(WebHandler):
    """Needs two connections of a pool of one."""

    async def get(self) -> None:
        await User.Q.count()
        async with session_scope():
            await User.Q.count()


class Export(WebHandler):
    """Sends rows as they are read."""

    async def get(self) -> None:
        assert await User.Q.count() == 7  # on a slave's connection, outside of a transaction
        async for user in User.Q.order_by(User.id).execution_options(stream_rows=2):
            self.write(f"{user.name} ")
            await self.flush()


def app(*, middlewares: Sequence[type] = (DBAlchemyMiddleware,), **more: Any) -> Application:
    handlers = [("/users", Users), ("/server", Server), ("/busy", Busy), ("/where", Where), ("/export", Export)]
    return Application(handlers, middlewares=list(middlewares), cookie_secret=SECRET, **more)


Opened = Callable[..., TestClient]


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[None]:
    """A pool of one: a request that kept its connection would leave the next one without."""
    with configured({"default": {"connections": [{"DATABASE": str(tmp_path / "a.db")}]}}, pool_size=1, max_overflow=0):
        async with prepared():
            yield


async def names(client: TestClient) -> list[str]:
    got: list[str] = (await client.get("/users")).json()["names"]
    return got


async def test_a_request_commits_when_it_says_so(on_sqlite: None) -> None:
    async with TestClient(app()) as client:
        assert (await client.post("/users", data={"name": "a"})).status_code == 200
        assert await names(client) == []
        assert (await client.post("/users", data={"name": "b", "how": "commit"})).status_code == 200
        assert await names(client) == ["b"]


async def test_an_atomic_request_is_committed_before_its_answer(on_sqlite: None) -> None:
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(app()) as client:
            assert (await client.post("/users", data={"name": "a"})).status_code == 200
            assert await names(client) == ["a"]
            assert (await client.post("/users", data={"name": "b", "how": "early"})).status_code == 200
            assert await names(client) == ["a", "b", "late"]


@pytest.mark.postgres
@pytest.mark.parametrize("is_atomic", [True, False])
@pytest.mark.parametrize("has_slave", [True, False])
async def test_rows_are_read_on_while_they_are_sent(has_slave: bool, is_atomic: bool) -> None:
    servers = pg(postgres.shared_postgres(), has_slave=has_slave)
    with configured(servers, ATOMIC_REQUESTS=is_atomic, pool_size=1, max_overflow=0):
        async with prepared(), TestClient(app()) as client:
            for name in "abcdefg":
                await client.post("/users", data={"name": name, "how": "commit"})
            for _ in range(2):  # the connection came back, without a transaction
                assert (await client.get("/export")).text == "a b c d e f g "
                idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
                assert postgres.shared_postgres().execute(idle) == "0"


async def test_a_change_after_the_answer_has_left_is_told(on_sqlite: None, caplog: pytest.LogCaptureFixture) -> None:
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(app()) as client:
            assert (await client.post("/users", data={"name": "a", "how": "after"})).status_code == 200
            assert await names(client) == ["a"]
    assert "nothing has committed them when the request of POST /users" in caplog.text
    caplog.clear()


@pytest.mark.parametrize(
    ("how", "is_told"), [("", True), ("flush", True), ("commit", False), ("rollback", False), ("raise", False)]
)
async def test_changes_that_nothing_committed_are_told(
    on_sqlite: None, how: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Without ATOMIC_REQUESTS they are lost though the answer is 200; a failure and a rollback need no line."""
    async with TestClient(app()) as client:
        await client.post("/users", data={"name": "a", "how": how})
        assert await names(client) == ["a"] * (how == "commit")
    assert ("nothing has committed them when the request of POST /users" in caplog.text) is is_told
    caplog.clear()


@pytest.mark.parametrize(("how", "status"), [("raise", 500), ("status", 500)])
async def test_an_atomic_request_that_fails_is_rolled_back(on_sqlite: None, how: str, status: int) -> None:
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(app()) as client:
            assert (await client.post("/users", data={"name": "a", "how": how})).status_code == status
            assert await names(client) == []


async def test_a_commit_that_fails_is_a_500_and_never_an_ok(on_sqlite: None) -> None:
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(app()) as client:
            await client.post("/users", data={"name": "a"})
            answer = await client.post("/users", data={"name": "b", "how": "twice"})
            assert answer.status_code == 500
            assert b"ok" not in answer.content
            assert await names(client) == ["a"]


async def test_a_full_pool_is_answered_503(on_sqlite: None) -> None:
    pool = {"sqlalchemy.pool_size": 1, "sqlalchemy.max_overflow": 0, "sqlalchemy.pool_timeout": 0.1}
    with settings.override(SQLALCHEMY_CONFIGURATION=pool):
        async with TestClient(app()) as client:
            assert (await client.get("/busy")).status_code == 503
            assert await names(client) == []


async def test_databases_are_checked_at_start() -> None:
    broken = {"default": {"connections": [{"ROLE": "slave", "PORT": "x"}]}}
    with configured(broken), pytest.raises(ConfigError, match=r"\['PORT'\] = 'x'"):
        await app().startup()
    with configured({}, STICK_TO_MASTER=3):
        application = Application([], middlewares=[DBAlchemyMiddleware])
        with pytest.raises(ConfigError, match="STICK_TO_MASTER signs a cookie"):
            await application.startup()


async def test_pings_run_from_start_to_shutdown(on_sqlite: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pinged = asyncio.Event()
    calls: list[tuple[str, ...]] = []
    real = KeepAlive.ping

    async def ping(self: KeepAlive) -> None:
        await real(self)
        calls.append(tuple(cluster.name for cluster in self._clusters()))
        pinged.set()

    monkeypatch.setattr(KeepAlive, "ping", ping)
    with settings.override(PING_DB=0.001, PING_CONN_COUNT=1):
        async with TestClient(app()) as client:
            await names(client)
            pinged.clear()
            await pinged.wait()
    assert calls[-1] == ("default",)
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


def _earlier(seconds: float) -> float:
    return time() - seconds


@pytest.mark.mariadb
@pytest.mark.parametrize("driver", ["mysql+aiomysql", "mysql+asyncmy"])
async def test_a_visitor_reads_from_slaves_that_have_what_he_wrote(driver: str) -> None:
    cluster: MariaCluster = mariadb.shared_cluster()
    with configured(maria(cluster, driver), STICK_TO_MASTER=0.001):
        async with prepared(cluster):
            async with TestClient(app()) as writer, TestClient(app()) as other:
                assert (await writer.get("/server")).text in {"2", "3"}
                assert COOKIE not in writer.cookies
                cluster.stop_replication()
                for _ in range(2):
                    wrote = await writer.post("/server")
                    cookie = wrote.headers["set-cookie"].lower()
                    assert all(part in cookie for part in ("max-age=600", "httponly", "samesite=lax"))
                    assert [(await writer.get("/server")).text for _ in range(3)] == ["1"] * 3
                assert (await other.get("/server")).text in {"2", "3"}
                cluster.start_replication()
                cluster.wait_for_slaves()
                assert {(await writer.get("/server")).text for _ in range(5)} <= {"2", "3"}
            assert cluster.master.execute("SELECT COUNT(*) AS n FROM users", DATABASE) == [{"n": 2}]


class LoadsUser(BaseMiddleware):
    """Opens the request's session, as `AuthMiddleware` does."""

    before_body = True

    async def process_request(self, handler: Any, clear: object) -> None:
        assert int(await User.session.scalar(select(text("@@server_id")))) > 0


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "middlewares", [(DBAlchemyMiddleware, LoadsUser), (LoadsUser, DBAlchemyMiddleware)], ids=["behind", "before"]
)
async def test_what_is_written_is_read_where_a_hook_has_used_the_database_before(middlewares: Sequence[type]) -> None:
    cluster: MariaCluster = mariadb.shared_cluster()
    with configured(maria(cluster), STICK_TO_MASTER=0.001, ATOMIC_REQUESTS=True):
        async with prepared(cluster), TestClient(app(middlewares=middlewares)) as client:
            assert await names(client) == []
            cluster.stop_replication()
            try:
                for number in range(1, 5):
                    assert (await client.post("/users", data={"name": f"u{number}"})).status_code == 200
                    assert len(await names(client)) == number
            finally:
                cluster.start_replication()


@pytest.mark.mariadb
async def test_without_a_position_reads_go_to_the_master_for_seconds() -> None:
    cluster: MariaCluster = mariadb.shared_cluster()
    pinned, far = json.dumps({"default": ["", time() + 60]}), json.dumps({"default": ["mariadb 0-1-999999", 0]})
    with configured(maria(cluster), STICK_TO_MASTER=30):
        async with prepared(cluster), TestClient(app()) as client:
            for value, age, servers in [
                (pinned, 10, {"1"}),
                (pinned, 700, {"2", "3"}),
                (json.dumps({"default": ["", time() - 1]}), 0, {"2", "3"}),
                (far, 10, {"1"}),
                (far, 700, {"2", "3"}),
                (json.dumps({"other": ["mariadb 0-1-999999", time() + 60]}), 0, {"2", "3"}),
                ("default", 0, {"2", "3"}),
                ('{"default": 3}', 0, {"2", "3"}),
                ("[]", 0, {"2", "3"}),
            ]:
                signed = create_signed_value(SECRET, COOKIE, value, clock=partial(_earlier, age))
                client.cookies.set(COOKIE, signed.decode())
                assert (await client.get("/server")).text in servers
            client.cookies.set(COOKIE, pinned)  # not signed
            assert (await client.get("/server")).text in {"2", "3"}


@pytest.mark.mariadb
async def test_a_commit_whose_position_cannot_be_asked_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The visitor then reads from the master for STICK_TO_MASTER seconds."""
    cluster: MariaCluster = mariadb.shared_cluster()

    def fail(self: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(mysql_dialects._AiomysqlConnection, "committed_position", fail)
    with configured(maria(cluster), STICK_TO_MASTER=30):
        async with prepared(cluster), TestClient(app()) as client:
            assert (await client.post("/server")).status_code == 200
            cluster.wait_for_slaves()
            assert [(await client.get("/server")).text for _ in range(3)] == ["1"] * 3


@pytest.mark.postgres
async def test_positions_of_postgresql_are_followed_too() -> None:
    primary = postgres.shared_postgres()
    with PostgresStandby(primary) as standby:
        servers = [server("master", primary.port, "postgresql+asyncpg")]
        servers.append(server("slave", standby.port, "postgresql+asyncpg"))
        with configured({"default": {"connections": servers}}, STICK_TO_MASTER=0.001):
            async with prepared(), TestClient(app()) as client:
                for number in range(1, 4):
                    standby.execute("SELECT pg_wal_replay_pause()")
                    assert (await client.post("/users", data={"name": "a", "how": "commit"})).status_code == 200
                    assert (await client.get("/where")).text == f"master, {number}"
                    standby.execute("SELECT pg_wal_replay_resume()")

                    async def has_arrived(number: int = number) -> bool:
                        return (await client.get("/where")).text == f"slave, {number}"

                    await until(has_arrived)


@pytest.mark.mariadb
async def test_a_dead_master_is_answered_503_and_reads_go_on() -> None:
    cluster: MariaCluster = mariadb.shared_cluster()
    with configured(maria(cluster), ATOMIC_REQUESTS=True):
        async with prepared(cluster), TestClient(app()) as client:
            assert (await client.post("/users", data={"name": "a"})).status_code == 200
            cluster.wait_for_slaves()
            cluster.master.process.kill()
            try:
                assert (await client.post("/users", data={"name": "b"})).status_code == 503
                assert await names(client) == ["a"]
            finally:
                cluster.heal()
            assert (await client.post("/users", data={"name": "c"})).status_code == 200
