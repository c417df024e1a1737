"""`send_file`: what arrives, clients that read slowly or not at all, and connections that cannot."""

import asyncio
import logging
import os
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.http.conftest import Start
from tests.http.wire import get
from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.handler import StaticFileHandler
from torngas_aio.http import flow_control

CONTENT = os.urandom(6_000_000)
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: what was not read is dropped


@pytest.fixture
def application(tmp_path: Path) -> Application:
    (tmp_path / "big").write_bytes(CONTENT)
    return Application([("/(.*)", StaticFileHandler, {"path": str(tmp_path)})])


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call of `sendfile` took."""
    counts: list[int] = []
    sendfile: Any = flow_control._sendfile

    def counted(*args: Any) -> int:
        count: int = sendfile(*args)
        counts.append(count)
        return count

    monkeypatch.setattr(flow_control, "_sendfile", counted)
    return counts


async def test_a_client_that_reads_slowly_gets_all_of_it(
    start: Start, application: Application, sent: list[int]
) -> None:
    served = await start(application)
    async with await served.client() as client:
        client.send(get("/big") + get("/big", "Range: bytes=1-2999999"))
        await client.reader.readuntil(b"\r\n\r\n")
        received = b""
        while len(received) < len(CONTENT):
            received += await client.reader.read(min(300_000, len(CONTENT) - len(received)))
            await asyncio.sleep(0)
        assert received == CONTENT
        assert (await client.answer()).body == CONTENT[1:3_000_000]
    assert sum(sent) == len(CONTENT) + 2_999_999


async def test_a_client_that_reads_nothing_is_cut_off(start: Start, application: Application) -> None:
    served = await start(application, write_timeout=0.2)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(served.address)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(sock, get("/big"))
        async with asyncio.timeout(10):
            await until(lambda: served.server.server_state.running)
            await until(lambda: not (served.server.server_state.connections or served.server.server_state.running))


async def test_a_server_that_stops_breaks_it_off(start: Start, application: Application) -> None:
    served = await start(application)
    async with await served.client() as client:
        client.reader._limit = 1000  # type: ignore[attr-defined]  # reads no further
        client.send(get("/big"))
        await client.reader.readuntil(b"\r\n\r\n")
        served.server.stop()
        await served.server.stop_gracefully(0.2)
        assert not served.server.server_state.running


async def test_tls_is_sent_through_its_transport(start: Start, application: Application, sent: list[int]) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    served = await start(application, ssl_options=ours)
    async with await served.client(theirs) as client:
        assert (await client.ask(get("/big"))).body == CONTENT
        assert (await client.ask(get("/big", "Range: bytes=-5"))).body == CONTENT[-5:]
    assert sent == []


@pytest.mark.parametrize("error", [BrokenPipeError, ConnectionResetError, TimeoutError, OSError])
async def test_a_broken_socket_ends_the_answer(
    start: Start,
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[OSError],
) -> None:
    """A client that has gone is no error of the server's; a file that cannot be read is one."""

    def broken(*_: Any) -> int:
        raise error("no")

    monkeypatch.setattr(flow_control, "_sendfile", broken)
    served = await start(application)
    async with await served.client() as client:
        client.send(get("/big"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()
    await until(lambda: not served.server.server_state.running)
    told = [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    assert [info[0] for info in told] == ([OSError] if error is OSError else [])


async def test_a_client_that_leaves_midway_is_no_error(
    start: Start, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    served = await start(application)
    for size in (1, 1_000, 100_000, 1_000_000) * 3:
        client = await served.client()
        client.send(get("/big"))
        await client.reader.readexactly(size)
        client.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.writer.transport.abort()
    await until(lambda: not served.server.server_state.connections)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
