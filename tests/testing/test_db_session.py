"""The fixture `db_session`: whatever a test commits is gone for the next."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from torngas_aio.application import Application
from torngas_aio.db.dbalchemy import Model, metadata_of
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.handler import WebHandler
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Fruit(Model):
    __tablename__ = "testing_fruits"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


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
