"""JSON, written and read the same way by both libraries."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torngas_aio import _json
from torngas_aio.exception import ArgumentError, InvalidJson, SerializationError


@pytest.fixture(params=["orjson", "standard"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "standard":
        monkeypatch.setattr(_json, "orjson", None)
    return str(request.param)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int = 1
    _hidden: int = 2


class Money:
    def __json__(self) -> dict[str, str]:
        return {"amount": "1.10"}


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: 2, None: 3, False: 4, 1.5: 5}, '{"1":2,"null":3,"false":4,"1.5":5}'),
        ({"a": float("nan"), "b": [float("inf")]}, '{"a":null,"b":[null]}'),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), '"2026-01-02T03:04:05Z"'),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6), '"2026-01-02T03:04:05.000006"'),  # noqa: DTZ001 - naive is what is tested
        (dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=8))), '"2026-01-02T00:00:00+08:00"'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (dt.time(1, 2), '"01:02:00"'),
        (uuid.UUID(int=3), '"00000000-0000-0000-0000-000000000003"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        ({Colour.RED: {dt.date(2026, 1, 2): 1}}, '{"red":{"2026-01-02":1}}'),
        (Point(), '{"x":1}'),
        (Money(), '{"amount":"1.10"}'),
        (Pair(1, 2), "[1,2]"),
        ({1}, "[1]"),
        (frozenset(), "[]"),
        (collections.UserDict(a=1), '{"a":1}'),
        (2**70, str(2**70)),
        ("\x00\x7f</", '"\\u0000\x7f</"'),
    ],
)
def test_values_are_written_alike(value: object, text: str) -> None:
    assert _json.dumps(value).decode() == text


def test_other_characters_are_escaped_unless_asked_not_to() -> None:
    assert _json.dumps({"é": "😀\u2028"}) == b'{"\\u00e9":"\\ud83d\\ude00\\u2028"}'
    assert _json.dumps({"é": "😀"}, ensure_ascii=False) == '{"é":"😀"}'.encode()


def test_structs_are_written() -> None:
    msgspec = pytest.importorskip("msgspec")
    struct: Any = msgspec.defstruct("User", [("name", str)])
    assert _json.dumps([struct("Ann")]) == b'[{"name":"Ann"}]'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"user": {"tags": [1, object()]}}, r"\$\.user\.tags\[1\] is a builtins\.object"),
        (b"x", r"\$ is a builtins\.bytes"),
        ({(1, 2): 3}, r"\$ has a key of type tuple"),
        ({"a": "\ud800"}, "lone surrogate"),
    ],
)
def test_what_cannot_be_written_is_named_with_its_place(value: object, message: str) -> None:
    with pytest.raises(SerializationError, match=message):
        _json.dumps(value)


def test_a_value_that_lies_in_itself_is_refused() -> None:
    around: list[object] = []
    around.append({"again": around})
    with pytest.raises(SerializationError, match=r"\$\[0\]\.again refers to what it lies in"):
        _json.dumps(around)


@pytest.mark.parametrize("wrap", [lambda inner: [inner, "[["], lambda inner: {"a": inner}])
def test_a_value_nested_too_deeply_is_refused(wrap: Callable[[object], object]) -> None:
    """At some 254 levels with every library and on every Python; brackets in texts do not count."""
    deep: object = {} if isinstance(wrap(0), dict) else []
    for _ in range(253):
        deep = wrap(deep)
    assert json.loads(_json.dumps(deep)) is not None
    for levels in (10, 1000, 5000):
        for _ in range(levels):
            deep = wrap(deep)
        with pytest.raises(SerializationError, match="too deep"):
            _json.dumps(deep)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**40), 10**40)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=20,
    )
)
def test_what_is_written_is_read_back(value: object) -> None:
    assert _json.loads(_json.dumps(value)) == value
    assert json.loads(_json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [b"[NaN]", b"[1,", b'["\\ud800"]', b"\xff", b"[1] x", b'{"a":1e999}', b"[-Infinity]", b"{1:2}", b"[01]", b"'a'"],
)
def test_what_is_no_json_is_refused_without_being_quoted(text: bytes) -> None:
    with pytest.raises(InvalidJson, match="not valid JSON") as caught:
        _json.parse_json(text)
    assert caught.value.status_code == 400
    assert "NaN" not in str(caught.value)


@pytest.mark.parametrize("text", [b'{"name": "caf\xe9"}', b'["\xed\xa0\x80"]', '{"a": 1}'.encode("utf-16")])
def test_another_charset_is_told(text: bytes) -> None:
    with pytest.raises(InvalidJson, match="it is not UTF-8"):
        _json.parse_json(text)


def test_where_the_fault_lies_is_told() -> None:
    with pytest.raises(InvalidJson, match=r"line 2, column \d"):
        _json.parse_json(b'{"a":\nnope}')


EXACT = [
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    -(2**63) - 1,
    10**29,
    -(10**30) + 7,
    10**100 + 1,
    10**4300 - 1,
    1 - 10**4300,
]


@pytest.mark.parametrize("number", EXACT, ids=lambda number: f"{number.bit_length()} bits")
@pytest.mark.parametrize("form", ["%s", "[%s]", '{"a":[1.5,%s]}', '{"%s":1}', '["%s"]', "[0.%s]", "[1e5,[%s,null]]"])
def test_integers_are_exact(number: int, form: str) -> None:
    text = form % (abs(number) if "0.%" in form else number)
    assert _json.loads(text) == _json.loads(text.encode()) == _json.parse_json(text.encode()) == json.loads(text)
    assert _json.loads(_json.dumps({"a": [number, None]})) == {"a": [number, None]}
    assert _json.dumps({number: number}) == b'{"%b":%b}' % (str(number).encode(), str(number).encode())


@pytest.mark.parametrize("shift", range(12))
def test_an_integer_beyond_64_bits_is_exact_wherever_it_stands(shift: int) -> None:
    number = 10**20 - 1
    assert _json.loads(b"%b[%d]" % (b" " * shift, number)) == [number]


@pytest.mark.parametrize("digits", [4301, 5000, 900_000])
@pytest.mark.parametrize("form", ["%s", "-%s", "[%s]", '{"a":%s}'])
def test_integers_that_take_too_long_are_refused(form: str, digits: int) -> None:
    with pytest.raises(InvalidJson, match="more than 4300 digits") as caught:
        _json.parse_json((form % ("7" * digits)).encode())
    assert caught.value.status_code == 400


@pytest.mark.parametrize("form", ['"%s"', '["%s"]', '{"%s":1}'])
def test_texts_may_have_any_number_of_digits(form: str) -> None:
    text = form % ("7" * 5000)
    assert _json.parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "value", [10**4300, [-(10**4300)], {"a": 10**5000}, {10**4300: 1}], ids=lambda value: str(type(value))
)
def test_an_integer_of_too_many_digits_is_not_written(value: object) -> None:
    with pytest.raises(SerializationError, match="more than 4300 digits"):
        _json.dumps(value)


@pytest.mark.parametrize(
    "inner", [b'["x"]', b'"[", "]"', b'"\\\\", "\\""', b'"\\\\\\"[["', b"{}", b'{"":[]}', b'"","[[["', b"[[1],[2]]"]
)
def test_strings_are_no_brackets(inner: bytes) -> None:
    body = b"[[%b], [%b]]" % (inner, inner)
    value = json.loads(body)
    depth = _depth_of(value)
    assert _json.parse_json(body, max_depth=depth) == value
    with pytest.raises(InvalidJson, match="deeper"):
        _json.parse_json(body, max_depth=depth - 1)


def _depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth_of, inner), default=0) if isinstance(value, dict | list) else 0


def test_a_byte_order_mark_is_passed_over() -> None:
    assert _json.parse_json(b"\xef\xbb\xbf[1]") == [1]


def test_an_empty_body_is_told_apart() -> None:
    with pytest.raises(InvalidJson, match="body is empty"):
        _json.parse_json(b" \r\n")


def test_a_body_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidJson, match="larger than the 10 bytes") as caught:
        _json.parse_json(b"[" * 11, max_bytes=10)
    assert caught.value.status_code == 413


@pytest.mark.parametrize("depth", [1, 2, 5, 100])
def test_depth_is_bounded_exactly(depth: int) -> None:
    body = b"[" * depth + b'"]]]{{[["' + b"]" * depth
    assert _json.parse_json(body, max_depth=depth) is not None
    with pytest.raises(InvalidJson, match=f"deeper than the {depth} levels"):
        _json.parse_json(b'{"a":' + body + b"}", max_depth=depth)


def test_many_flat_objects_are_not_deep() -> None:
    assert len(_json.parse_json(b"[" + b"{},".join([b""] * 1000) + b"{}]", max_depth=2)) == 1000


def test_a_hundred_thousand_brackets_are_refused_at_once() -> None:
    with pytest.raises(InvalidJson, match="deeper"):
        _json.parse_json(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(InvalidJson):
        _json.loads(b"[" * 100_000)


@pytest.mark.parametrize("name", ["cb", "a.b.c", "$", "_1", "handlers[3]", "a[0][1].b", "jQuery1_2", "été"])
def test_callbacks_are_paths_of_identifiers(name: str) -> None:
    assert _json.check_callback(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "1a", "a-b", "alert(1)", "a b", "a\n", "a[b]", "[0]", "a[0", "delete", "a.class",
             "a;b", "a/**/", "<script>", "a" * 129, "a[0]b"]
)  # fmt: skip
def test_other_callbacks_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="JavaScript identifiers"):
        _json.jsonp(name, b"1")


def test_a_script_holds_nothing_that_ends_a_string_or_an_element() -> None:
    body = _json.dumps("\u2028\u2029</script>", ensure_ascii=False)
    assert _json.jsonp("a.b", body) == b'/**/a.b("\\u2028\\u2029<\\/script>");'


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"[[]],", b'{"a":[]},', b"[" * 99 + b"]" * 99 + b","])
def test_containers_are_bounded_in_number(unit: bytes) -> None:
    count = 1_048_576 // 10 // (unit.count(b"[") + unit.count(b"{"))
    few, many = (b"[" + unit * number + b"1]" for number in (count - 1, count + 2))
    if len(few) <= 1_048_576:
        assert len(_json.parse_json(few)) == count
    with pytest.raises(InvalidJson, match=r"more arrays and objects|larger than") as caught:
        _json.parse_json(many)
    assert caught.value.status_code == 413
    assert _json.parse_json(many, max_bytes=10_485_760) is not None


def test_brackets_in_strings_are_not_counted() -> None:
    assert len(_json.parse_json(b'["' + b"[]{}" * 200_000 + b'"]')[0]) == 800_000
