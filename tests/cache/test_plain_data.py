"""Plain data comes back as it went; what would not is refused with its place."""

import datetime as dt
import decimal
import uuid

import pytest

from torngas_aio.cache.serializers import make_serializer
from torngas_aio.exception import SerializationError


def test_the_safe_pickle_holds_plain_data() -> None:
    safe = make_serializer("safe-pickle", {})
    for value in (
        {1, 2}, frozenset({1}), 1j, bytearray(b"x"), range(3), decimal.Decimal("1.5"), uuid.UUID(int=5),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.timedelta(1), (1, [2]),
    ):  # fmt: skip
        assert safe.loads(safe.dumps(value)) == value


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize(
    ("value", "place"),
    [
        ((1,), "value is of type tuple"),
        ({"a": [1, {"b": {2}}]}, "value['a'][1]['b'] is of type set"),
        ({"a": {1: 2}}, "value['a'] has the key 1 of type int"),
        (type("Text", (str,), {})("x"), "value is of type Text"),
    ],
    ids=repr,
)
def test_what_would_come_back_as_something_else_is_refused(name: str, value: object, place: str) -> None:
    with pytest.raises(SerializationError) as caught:
        make_serializer(name, {}).dumps(value)
    assert place in str(caught.value)
    assert "SESSION['serializer'] = 'signed-pickle', or SERIALIZER in a cache's OPTIONS." in str(caught.value)


def test_json_has_no_bytes_and_msgpack_has() -> None:
    with pytest.raises(SerializationError, match="bytes"):
        make_serializer("json", {}).dumps(b"x")
    packed = make_serializer("msgpack", {})
    assert packed.loads(packed.dumps([b"x"])) == [b"x"]
