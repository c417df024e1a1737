"""Names and forms that SQLAlchemy 2 has removed are written in those that take their place."""

# ruff: noqa: E501  the texts of files
from pathlib import Path

import pytest

from torngas_aio.cli.port.rewriting import rewrite


def rewritten(text: str) -> str:
    made = rewrite(text, Path("app.py"), Path(), ())
    assert rewrite(made, Path("app.py"), Path(), ()) == made, "a second time something else"
    return made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("select([A.id, A.name])", "select(A.id, A.name)"),
        ("select([A.id,], A.id > 1)", "select(A.id,).where(A.id > 1)"),
        ("sa.select([A]).limit(1)", "sa.select(A).limit(1)"),
        ("select([A], order_by=A.id)", "select([A], order_by=A.id)"),
        ("db.select(['a'])", "db.select(['a'])"),
        ("select(A.id)", "select(A.id)"),
        ("A.Q.with_lockmode('update').first()", "A.Q.with_for_update().first()"),
        ("s.query(A).with_lockmode('read')", "s.query(A).with_for_update(read=True)"),
        ("A.Q.with_lockmode(mode)", "A.Q.with_lockmode(mode)"),
        ("A.Q.filter(b).options(joinedload('c'), defer('d'))", "A.Q.filter(b).options(joinedload(A.c), defer(A.d))"),
        ("s.query(A).options(orm.subqueryload('c'))", "s.query(A).options(orm.subqueryload(A.c))"),
        ("self.Q.options(joinedload('c'))", "self.Q.options(joinedload(type(self).c))"),
        ("q.options(joinedload('c'))", "q.options(joinedload('c'))"),
        ("A.Q.join('posts')", "A.Q.join(A.posts)"),
        ("','.join('ab')", "','.join('ab')"),
        ("os.path.join('a', 'b')", "os.path.join('a', 'b')"),
        ("A.Q[0:10]", "A.Q.slice(0, 10).all()"),
        ("A.Q.filter(b)[:n]", "A.Q.filter(b).slice(0, n).all()"),
        ("A.Q.order_by(A.id)[n:]", "A.Q.order_by(A.id).offset(n).all()"),
        ("A.Q.all()[0:10]", "A.Q.all()[0:10]"),
        ("A.Q.all()[0].name[:10]", "A.Q.all()[0].name[:10]"),
        ("A.Q[-5:]", "A.Q[-5:]"),
        ("names[0:10]", "names[0:10]"),
    ],
)
def test_queries(before: str, after: str) -> None:
    head = "from sqlalchemy import select\n\n"
    assert rewritten(f"{head}x = {before}\n") == f"{head}x = {after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from sqlalchemy.orm import relation, backref\nx = relation('A')\n", "from sqlalchemy.orm import relationship, backref\nx = relationship('A')\n"),
        ("from sqlalchemy.orm import relation, relationship\nx = relation('A')\n", "from sqlalchemy.orm import relationship\nx = relationship('A')\n"),
        ("from sqlalchemy.orm import *\nx = relation('A')\n", "from sqlalchemy.orm import *\nx = relationship('A')\n"),
        ("from sqlalchemy.orm import eagerload as e\nx = e\n", "from sqlalchemy.orm import joinedload as e\nx = e\n"),
        ("from own import relation\nx = relation('A')\n", "from own import relation\nx = relation('A')\n"),
    ],
)  # fmt: skip
def test_names(before: str, after: str) -> None:
    assert rewritten(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("s.begin(subtransactions=True)\n    s.commit()", "pass\n    s.commit()"),
        ("with s.begin(subtransactions=True):\n        x()", "with s.begin_nested():\n        x()"),
        ("s.begin()", "s.begin()"),
        ("for r in A.session.execute(x):\n        print(r['a'], r[0])", "for r in A.session.execute(x):\n        print(r._mapping['a'], r[0])"),
        ("rows = session.execute(x).fetchall()\n    return [r['a'] for r in rows]", "rows = session.execute(x).fetchall()\n    return [r._mapping['a'] for r in rows]"),
        ("s = A.session\n    rs = s.execute(x)\n    r = rs.fetchone()\n    return r['a']", "s = A.session\n    rs = s.execute(x)\n    r = rs.fetchone()\n    return r._mapping['a']"),
        ("r = self.session.execute(x).first()\n    return r['a']", "r = self.session.execute(x).first()\n    return r._mapping['a']"),
        ("a = self.session['a']\n    return a['b']", "a = self.session['a']\n    return a['b']"),
        ("for r in db.query(x):\n        print(r['a'])", "for r in db.query(x):\n        print(r['a'])"),
        ("n = self.session.execute(x).scalar()\n    return n['a']", "n = self.session.execute(x).scalar()\n    return n['a']"),
    ],
)  # fmt: skip
def test_sessions_and_rows(before: str, after: str) -> None:
    assert rewritten(f"def f(self, s, session, x):\n    {before}\n") == f"def f(self, s, session, x):\n    {after}\n"


def test_sql_of_an_event_on_a_connection_is_a_text() -> None:
    text = "from sqlalchemy import event, text\n\n\n@event.listens_for(A, 'after_insert')\ndef f(mapper, connection, target):\n    connection.execute(%s)\n"
    assert rewritten(text % '"INSERT INTO a VALUES (1)"') == text % 'text("INSERT INTO a VALUES (1)")'
    other = "def f(connection):\n    connection.execute('SELECT 1')\n"
    assert rewritten(other) == other
