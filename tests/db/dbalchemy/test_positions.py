"""Positions of each kind of server are compared, merged and read back; what a visitor has written is remembered."""

import json
from dataclasses import dataclass

import pytest
from sqlalchemy import select, text

from tests.db.models import User
from tests.db.support import configured, maria, prepared, servers_of
from tests.services.mariadb import MariaCluster
from torngas_aio.db.dbalchemy import DbSession
from torngas_aio.db.dbalchemy.positions import Gtids, GtidSet, Lsn, Position, Stickiness, parse_position

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4e11fa47-71ca-11e1-9e33-c80aa9429562"


@pytest.mark.parametrize(
    ("here", "there", "has"),
    [
        (Gtids("0-1-100"), Gtids("0-1-100"), True),
        (Gtids("0-1-99"), Gtids("0-1-100"), False),
        (Gtids("0-2-101"), Gtids("0-1-100"), True),
        (Gtids("0-1-100,1-1-7"), Gtids("1-1-6"), True),
        (Gtids("0-1-100"), Gtids("0-1-1,1-1-1"), False),
        (Gtids("0-1-18446744073709551615"), Gtids("0-1-9"), True),
        (GtidSet(f"{A}:1-5"), GtidSet(f"{A}:5"), True),
        (GtidSet(f"{A}:1-5"), GtidSet(f"{A}:1-6"), False),
        (GtidSet(f"{A}:1-3:5-9"), GtidSet(f"{A}:3-5"), False),
        (GtidSet(f"{A}:1-3:4-9"), GtidSet(f"{A}:3-5"), True),
        (GtidSet(f"{A}:1-5,\n{B}:1"), GtidSet(f"{B}:1"), True),
        (GtidSet(f"{A.upper()}:1-5"), GtidSet(f"{A}:1"), True),
        (GtidSet(f"{A}:1-5:tag:1-2"), GtidSet(f"{A}:tag:3"), False),
        (GtidSet(f"{A}:1-5"), GtidSet(f"{B}:1"), False),
        (Lsn("16/B374D848"), Lsn("16/B374D848"), True),
        (Lsn("16/0"), Lsn("15/FFFFFFFF"), True),
        (Lsn("9/0"), Lsn("10/0"), False),
        (Lsn("9/0"), Gtids("0-1-1"), False),
    ],
)
def test_a_position_is_reached_or_not(here: Position, there: Position, has: bool) -> None:
    assert here.has_reached(there) is has


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Gtids("0-1-100"), Gtids("0-2-101,1-1-7")),
        (GtidSet(f"{A}:1-5:9"), GtidSet(f"{A}:6-8,{B}:1")),
        (Lsn("16/0"), Lsn("15/FFFFFFFF")),
    ],
)
def test_merged_positions_are_past_both(one: Position, other: Position) -> None:
    for merged in (one.merged(other), other.merged(one)):
        assert merged.has_reached(one)
        assert merged.has_reached(other)
        assert parse_position(str(merged)) == merged
    assert one.merged(None) == one


def test_positions_of_different_kinds_are_not_merged() -> None:
    assert Lsn("1/0").merged(Gtids("0-1-1")) == Lsn("1/0")


@pytest.mark.parametrize(
    "text", ["", "mariadb", "mariadb ", "mariadb 0-1", "mariadb 0-1-x", "mariadb 0-1-1,", "mariadb \u0661-1-1",
             "mysql x", "postgresql 1", "postgresql G/1", "postgresql 1/1 ", "oracle 5", "mariadb 0-1-" + "9" * 21,
             "mariadb " + "0-1-1," * 400 + "0-1-1"],
)  # fmt: skip
def test_other_text_is_no_position(text: str) -> None:
    assert parse_position(text) is None


@dataclass
class Session:
    has_written: bool = True
    committed: Position | None = None


def remembered(stickiness: Stickiness, until: float = 100) -> Stickiness:
    text = stickiness.remember(until)
    assert text is not None
    return Stickiness(text, now=50)


def test_nothing_is_remembered_of_reads() -> None:
    stickiness = Stickiness(json.dumps({"default": ["mariadb 0-1-5", 0]}))
    stickiness.watch("default", Session(has_written=False))
    assert stickiness.remember(100) is None


def test_a_position_is_merged_with_what_the_request_brought() -> None:
    stickiness = Stickiness(json.dumps({"default": ["mariadb 0-1-5,1-1-9", 0], "other": ["postgresql 1/0", 0]}))
    stickiness.watch("default", Session(committed=Gtids("0-1-7")))
    later = remembered(stickiness)
    assert later.wanted("default") == Gtids("0-1-7,1-1-9")
    assert later.wanted("other") == Lsn("1/0")
    assert not later.is_pinned("default")


def test_a_later_session_of_the_request_wants_what_an_earlier_one_has_committed() -> None:
    stickiness = Stickiness()
    stickiness.watch("default", Session(committed=Gtids("0-1-7")))
    assert stickiness.wanted("default") == Gtids("0-1-7")
    assert stickiness.wanted("other") is None


@pytest.mark.parametrize("committed", [None, Gtids(",".join(f"{n}-1-1" for n in range(300)))])
def test_without_a_position_that_fits_it_is_the_time(committed: Position | None) -> None:
    stickiness = Stickiness(json.dumps({"other": ["", 60]}), now=50)
    stickiness.watch("default", Session(committed=committed))
    later = remembered(stickiness)
    assert later.is_pinned("default")
    assert later.is_pinned("other")
    assert not Stickiness(stickiness.remember(100) or "", now=101).is_pinned("default")


@pytest.mark.parametrize(
    "text", ["", "default", "{", "[1]", "3", '{"default": 3}', '{"default": ["x"]}', '{"default": ["x", "y"]}',
             '{"default": ["mariadb x", 0]}', '{"default": ["' + "9" * 5000 + '", 0]}'],
)  # fmt: skip
def test_other_text_counts_as_none(text: str) -> None:
    stickiness = Stickiness(text, now=50)
    assert stickiness.wanted("default") is None
    assert not stickiness.is_pinned("default")


@pytest.mark.mariadb
async def test_a_slave_is_asked_once_in_a_session(cluster: MariaCluster) -> None:
    with configured(maria(cluster, slaves=1)):
        async with prepared(cluster):
            reached = Gtids(cluster.master.execute("SELECT @@gtid_binlog_pos AS p")[0]["p"])
            with cluster.slaves[0].general_log() as statements:
                session = DbSession(servers_of(), wanted=reached)
                for _ in range(3):
                    await session.scalar(select(text("@@server_id")))
                await session.commit()
                assert await session.scalar(select(text("@@server_id"))) == 2
                await session.aclose()
            assert sum("gtid_current_pos" in statement for statement in statements) == 1
            servers_of().slaves[0].position = reached  # as the watch has seen it
            with cluster.slaves[0].general_log() as statements:
                async with DbSession(servers_of(), wanted=reached) as session:
                    assert await session.scalar(select(text("@@server_id"))) == 2
            assert not any("gtid" in statement for statement in statements)


@pytest.mark.mariadb
async def test_a_role_is_obeyed_whatever_the_slave_has(cluster: MariaCluster) -> None:
    with configured(maria(cluster, slaves=1)):
        async with prepared(cluster), DbSession(servers_of(), wanted=Gtids("0-1-999999999")) as session:
            statement = select(text("@@server_id"))
            assert await session.scalar(statement, execution_options={"role": "slave"}) == 2
            assert await session.scalar(statement) == 1
            assert session.is_on_master
            assert (await session.scalars(select(User))).all() == []


@pytest.mark.mariadb
async def test_a_slave_that_is_down_is_no_error_when_a_position_is_wanted(cluster: MariaCluster) -> None:
    with configured(maria(cluster)):
        async with prepared(cluster):
            reached = Gtids(cluster.master.execute("SELECT @@gtid_binlog_pos AS p")[0]["p"])
            for slave in cluster.slaves:
                slave.process.kill()
            async with DbSession(servers_of(), wanted=reached) as session:
                assert await session.scalar(select(text("@@server_id"))) == 1
