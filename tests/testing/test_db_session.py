"""The fixture `db_session`: whatever a test commits is gone for the next."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from torngas_aio.application import Application
from torngas_aio.channels import channels
from torngas_aio.db.dbalchemy import Model, metadata_of
from torngas_aio.db.dbalchemy.registry import cluster_of, open_clusters
from torngas_aio.handler import WebHandler
from torngas_aio.jobs import job
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Fruit(Model):
    __tablename__ = "testing_fruits"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


@job
async def ripen() -> None:
    (await Fruit.Q.one()).name = "ripe plum"


ended: list[str] = []


class AtomicFruits(WebHandler):
    async def post(self, how: str) -> None:
        Fruit.session.add(Fruit(name="plum"))
        await Fruit.session.flush()
        await ripen.enqueue()
        await channels.publish("fruits", how)
        Fruit.session.on_commit(lambda: ended.append("commit"))
        Fruit.session.on_rollback(lambda: ended.append("rollback"))
        if how == "fail":
            raise ValueError(how)


class Fruits(WebHandler):
    async def get(self) -> None:
        self.write({"count": await Fruit.Q.count()})

    async def post(self) -> None:
        Fruit.session.add(Fruit(name="plum"))
        await Fruit.session.commit()


@pytest.fixture(autouse=True)
async def tables(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    folder: Path = tmp_path_factory.getbasetemp() / "fruits.db"
    connection = {"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(folder)}
    with settings.override(DATABASE_CONNECTION={"default": {"connections": [connection]}}):
        async with cluster_of().master.engine.begin() as made:
            await made.run_sync(metadata_of("default").create_all)
        yield
        assert list(open_clusters()) == []  # the fixture closes the pools, where no application does


@pytest.mark.parametrize("time", ["first", "again"])
async def test_what_a_test_commits_is_undone(db_session: Any, time: str) -> None:
    application = Application([("/", Fruits)], middlewares=["torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware"])
    async with TestClient(application) as client:
        assert (await client.get("/")).json() == {"count": 0}
        await client.post("/")
        assert (await client.get("/")).json() == {"count": 1}
    db_session.add(Fruit(name="pear"))
    await db_session.commit()
    assert await Fruit.Q.count() == 2


async def test_requests_commit_and_roll_back_as_in_production(db_session: Any, job_queue: Any) -> None:
    ended.clear()
    application = Application(
        [("/(ok|fail)", AtomicFruits)], middlewares=["torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware"]
    )
    with settings.override(ATOMIC_REQUESTS=True):
        async with TestClient(application) as client, channels.subscribe("fruits") as messages:
            assert (await client.post("/fail")).status_code == 500
            assert (await Fruit.Q.count(), job_queue.calls(ripen), ended) == (0, [], ["rollback"])
            assert (await client.post("/ok")).status_code == 200
            assert (await Fruit.Q.count(), job_queue.calls(ripen), ended) == (1, [((), {})], ["rollback", "commit"])
            assert (await anext(messages)).data == "ok"


async def test_the_test_reads_what_a_job_has_changed(db_session: Any, job_queue: Any) -> None:
    fruit = Fruit(name="plum")
    db_session.add(fruit)
    await db_session.commit()
    await ripen.enqueue()
    assert await job_queue.run() == 1
    assert fruit.name == "plum"  # what is loaded stays, until it is read again
    assert (await Fruit.Q.one()).name == "ripe plum"
    assert (await db_session.get(Fruit, fruit.id)) is fruit
    assert fruit.name == "ripe plum"
