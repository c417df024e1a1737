"""A model file of torngas 1.8 works after its package's name was changed and `await` was added."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.db.support import configured, in_request, prepared

# The torngas 1.8 document's own example, and a handler's lines as its users wrote them.
SNIPPET = """
from torngas.db.dbalchemy import Model
from sqlalchemy import *
from sqlalchemy.dialects.mysql import INTEGER


class BaseModel(Model):
    __abstract__ = True
    __connection_name__ = 'default'

    ID = Column('id', INTEGER(11, unsigned=True).with_variant(Integer, 'sqlite', 'postgresql'), primary_key=True,
                nullable=False)


class OldUser(BaseModel):

    __tablename__ = 'old_users'

    name = Column(String(10), nullable=False)
    password = Column(String(64), nullable=False)


class Handler:
    def post(self):
        session = OldUser.session.using_master()
        session.add(OldUser(name='jack', password='x'))
        session.add(OldUser(name='jill', password='y'))
        AWAIT session.commit()

    def get(self):
        jacks = AWAIT OldUser.Q.filter(OldUser.name == 'jack').all()
        same = AWAIT OldUser.session.query(OldUser).filter_by(name='jack').first()
        query = OldUser.Q.all()
        pagelist_obj = AWAIT query.paginate(page=1, per_page=1, default=None)
        total = pagelist_obj.total
        page = pagelist_obj.page
        items = pagelist_obj.items
        return jacks, same, total, page, items

    def put(self):
        session = OldUser.session.using_master()
        AWAIT session.query(OldUser).filter(OldUser.name == 'jack').update({'password': 'z'})
        AWAIT session.query(OldUser).filter(OldUser.name == 'jill').delete()
        AWAIT session.commit()
"""


@pytest.fixture(scope="module")
def module() -> Iterator[dict[str, Any]]:
    """The file as it runs here."""
    source = SNIPPET.replace("torngas.", "torngas_aio.").replace("AWAIT", "await").replace("    def ", "    async def ")
    names: dict[str, Any] = {"__name__": "old_models"}
    exec(compile(source, "old_models.py", "exec"), names)
    yield names
    model = names["OldUser"]
    model.metadata.remove(model.__table__)


async def test_the_model_file_of_torngas_1_8(module: dict[str, Any], sqlite: dict[str, Any]) -> None:
    user, handler = module["OldUser"], module["Handler"]()
    with configured(sqlite):
        async with prepared():
            async with in_request():
                await handler.post()
            async with in_request():
                jacks, same, total, page, items = await handler.get()
                assert [jack.name for jack in jacks] == ["jack"]
                assert same is jacks[0]
                assert same.ID == 1
                assert (total, page, len(items)) == (2, 1, 1)
            async with in_request():
                await handler.put()
            async with in_request():
                assert [(each.name, each.password) for each in await user.Q.all()] == [("jack", "z")]
