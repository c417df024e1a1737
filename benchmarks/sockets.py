"""WebSocket clients: sockets and epoll alone, so that a client costs less than the server it measures.

    echo        each of many sockets sends its message again as soon as it has come back
    broadcast   one message to thousands of sockets: CPU time for each, and how long the loop was held
    idle        memory of thousands of sockets that say nothing

Begin with `echo`.
"""

import select
import socket
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.apps.common import NEWS
from benchmarks.client import connect, request_bytes
from benchmarks.process import AppProcess

__all__ = ["broadcast", "echo", "idle", "open_socket", "text_frame"]

MESSAGE = "m" * 128
ANSWER = b"\x81\x7e\x00\x80" + MESSAGE.encode()
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
MASK = b"\x5a\xc3\x17\x99"


def text_frame(text: str) -> bytes:
    """Return a client's frame with a text of 126 to 65,535 bytes."""
    payload = text.encode()
    masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + MASK + masked


def open_socket(port: int, path: str) -> socket.socket:
    """Return a socket that has read its 101, and nothing after it.

    Raises:
        ConnectionError: The handshake was refused.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(connect(port))
        connection.sendall(request_bytes(path, UPGRADE))
        head = b""
        while b"\r\n\r\n" not in head and (byte := connection.recv(1)):
            head += byte
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"{path} opens no WebSocket: {head[:80]!r}")
        stack.pop_all()
    return connection


@contextmanager
def _opened(port: int, path: str, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(open_socket(port, path)) for _ in range(count)]


def echo(app: AppProcess, seconds: float = 1, connections: int = 64) -> dict[str, float]:
    """Return CPU time, rate and latencies of messages of 128 bytes; then the latencies at half of that rate."""
    with _opened(app.port, "/echo", connections) as opened:
        client = _EchoClient(opened)
        client.run(seconds / 2)  # warm
        cpu = app.cpu_seconds()
        latencies = client.run(seconds)
        cpu = app.cpu_seconds() - cpu
        rate = len(latencies) / seconds
        paced = client.run(seconds, rate / 2)
    return {
        "rps": rate,
        "cpu_us": cpu / len(latencies) * 1e6,
        "p50_ms": _percentile(latencies, 50),
        "p99_ms": _percentile(latencies, 99),
        "half_p50_ms": _percentile(paced, 50),
        "half_p99_ms": _percentile(paced, 99),
    }


def _percentile(seconds: list[float], part: int) -> float:
    return statistics.quantiles(seconds, n=100)[part - 1] * 1e3


class _EchoClient:
    def __init__(self, opened: list[socket.socket]) -> None:
        self._sockets = {connection.fileno(): connection for connection in opened}
        self._poll = select.epoll()
        for number in self._sockets:
            self._poll.register(number, select.EPOLLIN)

    def run(self, seconds: float, rate: float = 0) -> list[float]:
        """Send and await messages, at *rate* a second or as fast as they come back; return how long each took."""
        latencies: list[float] = []
        frame, sent = text_frame(MESSAGE), dict.fromkeys(self._sockets, 0.0)
        free = deque(self._sockets)
        due = time.perf_counter()
        end = due + seconds
        while (now := time.perf_counter()) < end or len(free) < len(self._sockets):
            while free and now < end and due <= now:
                number = free.popleft()
                sent[number] = due if rate else now
                self._sockets[number].sendall(frame)
                due = due + 1 / rate if rate else due
            for number, _ in self._poll.poll(0 if rate else 1):
                if self._sockets[number].recv(4096) != ANSWER:
                    raise RuntimeError("a message did not come back as it was sent")
                latencies.append(time.perf_counter() - sent[number])
                free.append(number)
        return latencies


def broadcast(app: AppProcess, count: int = 5_000, times: int = 5) -> dict[str, float]:
    """Return CPU microseconds for each socket, and the longest time for which the loop was held, in ms."""
    with _opened(app.port, "/news", count) as opened:
        holds = [_broadcast_once(app, opened)]  # warm
        cpu = app.cpu_seconds()
        holds = [_broadcast_once(app, opened) for _ in range(times)]
        cpu = app.cpu_seconds() - cpu
    return {"cpu_us": cpu / times / count * 1e6, "held_ms": max(holds)}


def _broadcast_once(app: AppProcess, opened: list[socket.socket]) -> float:
    answer = app.ask(request_bytes("/broadcast", {"Connection": "close"}))
    for connection in opened:
        frame = connection.recv(4096)
        if not frame.endswith(NEWS.encode()):
            raise RuntimeError(f"a socket of {app.name} got {frame[:80]!r}")
    return float(answer.body)


def idle(app: AppProcess, count: int = 5_000) -> dict[str, float]:
    """Return the memory of each open WebSocket, in KB that no other process shares."""
    with _opened(app.port, "/echo", 10):
        before = app.private_bytes()
        with _opened(app.port, "/echo", count):
            time.sleep(0.5)
            return {"kb_per_socket": (app.private_bytes() - before) / count / 1024}
