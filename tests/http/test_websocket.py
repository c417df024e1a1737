"""WebSockets."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.http.test_flow_control import SIZE, Transport
from torngas_aio.http import websocket as websockets
from torngas_aio.http.websocket import WebSocketConnection


class Clock:
    """A loop whose timers run when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Any:
        self.timers.append((self.now + seconds, call))
        return SimpleNamespace(cancel=lambda: None)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [call for at, call in self.timers if at <= self.now]
        self.timers = [(at, call) for at, call in self.timers if at > self.now]
        for call in due:
            call()


@pytest.mark.parametrize("last", [0, 1, 4.5, 5, 5.5, 14, 33])
async def test_a_websockets_client_is_cut_off_soon_after_the_last_byte_it_took(
    monkeypatch: pytest.MonkeyPatch, last: float
) -> None:
    monkeypatch.setattr(websockets, "queued_bytes", lambda transport: transport.queued)
    clock, transport = Clock(), Transport()
    socket = WebSocketConnection(SimpleNamespace(), None, max_message_bytes=100)  # type: ignore[arg-type]
    socket.connection_made(transport)
    socket.write_message(b"x" * SIZE, binary=True)
    socket._loop = clock  # type: ignore[assignment]
    socket.pause_writing()
    while not transport.is_cut:
        clock.advance(0.5)
        transport.buffered -= 1000
        transport.queued += 1000 - 10 * (clock.now <= last)  # the system takes it, the client acknowledges ten
        assert clock.now < 60
    assert last + 9 <= clock.now <= last + 15.5
