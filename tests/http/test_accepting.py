"""Connections are accepted a few at a time; without file descriptors, after a pause, with one line in the log."""

import asyncio
import errno
import logging
import math
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.polling import until
from torngas_aio.http import accepting
from torngas_aio.http.accepting import Acceptor


class Exhausted:
    """A listening socket whose `accept` fails with *code*, at most *times* times, while `is_exhausted`."""

    def __init__(self, sock: socket.socket, code: int, times: float = math.inf) -> None:
        self._socket = sock
        self._times = times
        self._code = code
        self.failures = 0
        self.is_exhausted = True

    def accept(self) -> Any:
        if self.is_exhausted and self.failures < self._times:
            self.failures += 1
            raise OSError(self._code, "as told")
        return self._socket.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Taken:
    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.came = asyncio.Event()

    def __call__(self, connection: socket.socket, address: Any) -> None:
        self.connections.append(connection)
        self.came.set()


@pytest.fixture
async def taken() -> AsyncIterator[Taken]:
    made = Taken()
    yield made
    for connection in made.connections:
        connection.close()


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=200)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_file_descriptors_it_waits_and_says_so_once(
    taken: Taken, code: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more when it is over; nothing is lost meanwhile."""
    caplog.set_level(logging.INFO, "torngas_aio.http")
    monkeypatch.setattr(accepting, "_PAUSE_SECONDS", 0.01)
    sock: Any = Exhausted(listening(), code)
    acceptor = Acceptor(asyncio.get_running_loop(), sock, taken)
    acceptor.start()
    with socket.create_connection(sock.getsockname()):
        await until(lambda: sock.failures >= 4)
        assert sock.failures < 8
        sock.is_exhausted = False
        await taken.came.wait()
    acceptor.close()
    acceptor.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "No connection can be accepted" in caplog.text
    assert "Connections are accepted again." in caplog.text


async def test_it_may_be_closed_while_it_waits(taken: Taken) -> None:
    sock: Any = Exhausted(listening(), errno.EMFILE)
    acceptor = Acceptor(asyncio.get_running_loop(), sock, taken)
    acceptor.start()
    with socket.create_connection(sock.getsockname()):
        while not sock.failures:
            await asyncio.sleep(0)
        acceptor.close()
    assert sock.fileno() == -1


async def test_the_rest_is_accepted_before_the_end(taken: Taken) -> None:
    """More than fit in one turn."""
    sock = listening()
    acceptor = Acceptor(asyncio.get_running_loop(), sock, taken)
    clients = [socket.create_connection(sock.getsockname()) for _ in range(150)]
    acceptor.accept_rest()
    acceptor.close()
    assert len(taken.connections) == 150
    for client in clients:
        client.close()


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPERM, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EPROTO])
async def test_the_error_of_one_connection_does_not_cost_the_next(taken: Taken, code: int) -> None:
    """A stop, that accepts the rest, does not end with it either."""
    sock: Any = Exhausted(listening(), code, times=3)
    acceptor = Acceptor(asyncio.get_running_loop(), sock, taken)
    with socket.create_connection(sock.getsockname()):
        acceptor.accept_rest()
    acceptor.close()
    assert sock.failures == 3
    assert len(taken.connections) == 1


async def test_another_error_passes(taken: Taken) -> None:
    sock: Any = Exhausted(listening(), errno.EBADF)
    acceptor = Acceptor(asyncio.get_running_loop(), sock, taken)
    with pytest.raises(OSError, match="as told"):
        acceptor.accept_rest()
    acceptor.close()
