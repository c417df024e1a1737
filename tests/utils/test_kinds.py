"""Checks of one value: networks."""

from typing import Any

import pytest

from tests.checks.test_shapes import faults_of
from torngas_aio.exception import ConfigError
from torngas_aio.utils.addresses import Networks


@pytest.mark.parametrize(
    "entries",
    [("10.0.0.1",), ["10.0.0.0/8", "::1"], ["::ffff:10.0.0.0/104"], ["2001:db8::/32", "0.0.0.0/0"], [], False],
)
def test_what_the_whitelist_takes_passes(entries: Any) -> None:
    """The check and the decorator read an entry with the same function."""
    assert faults_of(WHITELIST=entries) == []
    assert repr(Networks(entries or ()))


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "x", "", "10.0.0.0/33", "::1%lo", " ::1", "10.0.0.1/255.0.0.0", "1.2.3", "fe80::1/10"]
)
def test_what_the_whitelist_refuses_is_a_fault(entry: str) -> None:
    (fault,) = faults_of(WHITELIST=[entry])
    assert fault.startswith(f"WHITELIST[0] = {entry!r}: must be")
    with pytest.raises(ConfigError):
        Networks([entry])
