"""Serializers against hostile bytes and values that would not come back."""

import os
import pickle
from typing import Any

import pytest

from torngas_aio.cache.serializers import JsonSerializer, Serializer, make_serializer
from torngas_aio.exception import ConfigError, SerializationError

NAMES = ["pickle", "safe-pickle", "signed-pickle", "json", "msgpack"]
SECRET = {"SECRET_KEY": "sixteen bytes at least"}


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, ("TORNGAS_EXPLOITED", "1")


@pytest.fixture(params=NAMES)
def serializer(request: pytest.FixtureRequest) -> Serializer:
    return make_serializer(request.param, SECRET)


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**63 - 1, -(2**63), 1.5, -0.25, 1e300, float("inf"), "", "12", "-5", "é", None, True, False, [], {}, [[]]],
    ids=repr,
)
def test_plain_values_come_back_as_they_went(serializer: Serializer, value: object) -> None:
    found = serializer.loads(serializer.dumps(value))
    assert found == value
    assert type(found) is type(value)


def test_integers_of_64_bits_are_digits(serializer: Serializer) -> None:
    assert serializer.dumps(-12) == b"-12"
    assert serializer.loads(b"-12") == -12
    assert serializer.dumps(True) != b"1"


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xc1", b"{", b"s" + b"x" * 40, b"-", b"\xff\xfe", b"\x80\x05."], ids=repr
)
def test_bytes_that_nobody_wrote_are_refused(serializer: Serializer, data: bytes) -> None:
    with pytest.raises(SerializationError):
        serializer.loads(data)


@pytest.mark.parametrize("name", ["safe-pickle", "signed-pickle", "json", "msgpack"])
def test_a_poisoned_pickle_runs_nothing(name: str) -> None:
    with pytest.raises(SerializationError):
        make_serializer(name, SECRET).loads(pickle.dumps(Exploit()))
    assert "TORNGAS_EXPLOITED" not in os.environ


def test_a_signature_of_another_secret_or_other_bytes_is_refused() -> None:
    signed, other = (
        make_serializer("signed-pickle", SECRET),
        make_serializer("signed-pickle", {"SECRET_KEY": b"x" * 16}),
    )
    data = signed.dumps({"a": 1})
    with pytest.raises(SerializationError, match="signature"):
        other.loads(data)
    for place in (0, 1, 20, len(data) - 1):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises(SerializationError):
            signed.loads(bytes(broken))


def test_a_serializer_is_named_by_path_class_or_object() -> None:
    path = "torngas_aio.cache.serializers.JsonSerializer"
    made = make_serializer(JsonSerializer, {})
    assert type(make_serializer(path, {})) is JsonSerializer
    assert make_serializer(made, {}) is made
    for wrong in ("no.such.path", "os.path", int):
        with pytest.raises(ConfigError, match="SERIALIZER"):
            make_serializer(wrong, {})  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ConfigError, match="16 or more"):
        make_serializer("signed-pickle", {"SECRET_KEY": "short"})


@pytest.mark.parametrize(
    "secret",
    [
        10**6,
        3.5,
        True,
        object(),
        ["a" * 32, 32],
        {1: "a" * 32, 2: 32},
        {"1": "a" * 32, "10": "b" * 32},
        {None: "a" * 32},
    ],
)
def test_a_secret_that_is_no_text_is_refused(secret: object) -> None:
    """`bytes(32)` are 32 zeros, which everybody knows."""
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        make_serializer("signed-pickle", {"SECRET_KEY": secret})
