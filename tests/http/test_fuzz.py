"""Any bytes, split anywhere: no crash, no hang, and the same answers as in one piece."""

import asyncio
import contextvars
import itertools
import logging
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.test_refusals import MALFORMED, obey
from tests.http.wire import Direct, get
from torngas_aio.http.adapters import adapter_for
from torngas_aio.http.limits import Limits
from torngas_aio.http.protocol import HTTPProtocol
from torngas_aio.http.server_state import ServerState

SMALL = Limits(max_line_size=200, max_header_size=600, max_header_count=8, max_body_size=2000)
GOOD = [
    get("/"),
    get("/a?b=c", "X: y", "Cookie: a=b"),
    get("/", "Connection: close"),
    get("/", version="1.0"),
    b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"\r\n",
]
pieces = st.one_of(
    st.sampled_from(GOOD),
    st.sampled_from([data for _, data in MALFORMED.values() if len(data) < 500]),
    st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b":", b"\0", b"GET ", b"Host: x\r\n", b"0\r\n\r\n", b"HTTP/1.1\r\n"]),
    st.binary(max_size=20),
)
streams = st.lists(pieces, max_size=6).map(b"".join)


class Transport:
    """The other end of a protocol: collects what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close
    write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str) -> Any:
        return None


async def answers_to(data: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """What the server says to *data* when it arrives cut at *cuts*, and whether it closes."""
    application = Direct(obey)
    server_state = ServerState(asyncio.get_running_loop(), adapter_for(application), SMALL, contextvars.copy_context())
    protocol = HTTPProtocol(server_state)
    transport = Transport()
    protocol.connection_made(transport)  # type: ignore[arg-type]
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        if start < stop and not transport.is_closed:
            protocol.data_received(data[start:stop])
            for _ in range(3):
                await asyncio.sleep(0)
    for _ in range(40):
        await asyncio.sleep(0)
    was_closed = transport.is_closed
    protocol.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not server_state.running
    assert not server_state.connections
    server_state.close()
    return _without_words(transport.written), was_closed


def _without_words(written: bytes) -> bytes:
    """Answers without what may differ: the time, and in which words a refusal gives its reason."""
    answers = re.sub(rb"\r\nDate: [^\r]*", b"", written)
    return re.sub(rb"(HTTP/1\.1 [45]\d\d ).*\Z", rb"\1", answers, flags=re.DOTALL)  # a refusal is the last answer


def compare(data: bytes, *ways: list[int]) -> None:
    async def run() -> None:
        whole = await answers_to(data, [])
        for cuts in ways:
            assert await answers_to(data, cuts) == whole

    asyncio.run(run())


quiet = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.fixture(autouse=True)
def no_log() -> Any:
    """Refusals are not what is looked at here."""
    logging.getLogger("torngas_aio.http").setLevel(logging.ERROR)
    yield
    logging.getLogger("torngas_aio.http").setLevel(logging.NOTSET)


@given(data=streams, cuts=st.lists(st.integers(0, 400), max_size=8))
@quiet
def test_any_bytes_split_anywhere_get_the_same_answers(data: bytes, cuts: list[int]) -> None:
    compare(data, [cut for cut in cuts if cut < len(data)])


@given(data=streams)
@settings(quiet, max_examples=40)
def test_any_bytes_one_by_one_get_the_same_answers(data: bytes) -> None:
    compare(data, list(range(len(data))))


@pytest.mark.parametrize("name", [name for name, (_, data) in MALFORMED.items() if len(data) < 500])
def test_every_malformed_request_split_at_every_position(name: str) -> None:
    data = get("/1") + MALFORMED[name][1] + get("/2")
    compare(data, list(range(len(data))), *([cut] for cut in range(0, len(data), 5)))


@given(data=streams, cuts=st.lists(st.integers(0, 400), max_size=8))
@settings(quiet, max_examples=5000)
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_more_bytes(data: bytes, cuts: list[int]) -> None:
    compare(data, [cut for cut in cuts if cut < len(data)], list(range(len(data))))
