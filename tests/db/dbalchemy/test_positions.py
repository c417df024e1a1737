"""Positions of each kind of server are compared, merged and read back."""

import pytest

from torngas_aio.db.dbalchemy.positions import Gtids, GtidSet, Lsn, Position, parse_position

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
