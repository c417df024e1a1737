"""The most expensive requests that are accepted take the memory that is known of them, and not more."""

import pytest

from benchmarks.costly import cases, peak

MIB = 1024 * 1024


@pytest.mark.parametrize("name", cases())
def test_memory_of_the_most_expensive_requests(name: str) -> None:
    """At most 3.5 times its size, or 32 MiB where Python objects are made of many small values."""
    run, size = cases()[name]
    assert peak(run) <= max(3.5 * size, 32 * MIB)
