"""How long a client may leave unread what waits for it; the clock is the test's."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from torngas_aio.http import flow_control
from torngas_aio.http.flow_control import FlowControlledProtocol
from torngas_aio.http.limits import Limits

SIZE = 5_000_000


class Transport:
    """Holds what the client has not taken, partly in the system's queue."""

    def __init__(self) -> None:
        self.buffered = 0
        self.queued = 0
        self.is_cut = False

    def write(self, data: bytes) -> None:
        self.buffered += len(data)

    def abort(self) -> None:
        self.is_cut = True

    def is_closing(self) -> bool:
        return self.is_cut

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    family = 0


def cut_after(monkeypatch: pytest.MonkeyPatch, reads: Callable[[int], int], moves: Callable[[int], int]) -> int | None:
    """Seconds after which the client is cut off; None if it is served to the end of the 100 s.

    Args:
        reads: Bytes that the client acknowledges in a second.
        moves: Bytes that the system takes from the transport in a second.
    """
    monkeypatch.setattr(flow_control, "queued_bytes", lambda transport: transport.queued)
    clock = SimpleNamespace(now=1000.0)
    loop = SimpleNamespace(time=lambda: clock.now)
    transport = Transport()
    channel = FlowControlledProtocol(SimpleNamespace(limits=Limits(), loop=loop, scheme=None))  # type: ignore[arg-type]
    channel.connection_made(transport)  # type: ignore[arg-type]
    channel.send(b"x" * SIZE)
    channel.pause_writing()
    for second in range(1, 100):
        clock.now += 1
        moved = min(moves(second), transport.buffered)
        transport.buffered -= moved
        transport.queued += moved
        transport.queued -= min(reads(second), transport.queued)
        channel.check_writing(clock.now)
        if transport.is_cut:
            return second
    return None


@pytest.mark.parametrize(
    ("last", "reads"),
    [
        (1, lambda second: 0),
        (1, lambda second: 300_000 if second == 1 else 0),  # what its own system takes without it
        (9, lambda second: 300_000 if second <= 9 else 0),
        (15, lambda second: 10_000 if second <= 15 else 0),
        (30, lambda second: 10_000 if second in {1, 8, 15, 22, 30} else 0),
    ],
)
@pytest.mark.parametrize("moves", [lambda second: 400_000, lambda second: 1000, lambda second: SIZE - 1])
def test_a_client_is_cut_off_soon_after_the_last_byte_it_took(
    monkeypatch: pytest.MonkeyPatch, last: int, reads: Callable[[int], int], moves: Callable[[int], int]
) -> None:
    """What the system takes from us meanwhile is no progress."""
    seconds = cut_after(monkeypatch, reads, moves)
    assert seconds is not None
    assert last < seconds <= last + 12


@pytest.mark.parametrize("pace", [300, 5000])
def test_a_slow_but_steady_client_is_served(monkeypatch: pytest.MonkeyPatch, pace: int) -> None:
    assert cut_after(monkeypatch, lambda _: pace, lambda _: 40_000) is None


@pytest.mark.parametrize("pace", [1, 100])
def test_a_client_that_takes_next_to_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, pace: int) -> None:
    assert cut_after(monkeypatch, lambda _: pace, lambda _: 40_000) == 10
