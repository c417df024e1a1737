"""A transport over Tornado's stream: a connection that ends while its last bytes leave."""

import asyncio
from typing import Any

import pytest

from torngas_aio.http.base import Successor
from torngas_aio.http.tornado_exchange import StreamTransport


class Stream:
    """A stream whose write ends when the test says so; closed, it has no socket, as Tornado's."""

    def __init__(self) -> None:
        self.socket: Any = object()
        self.error = None
        self.written = asyncio.get_running_loop().create_future()

    def closed(self) -> bool:
        return self.socket is None

    def close(self) -> None:
        self.socket = None

    def set_close_callback(self, callback: Any) -> None: ...

    def write(self, data: bytes) -> asyncio.Future[None]:
        return self.written

    def read_bytes(self, size: int, partial: bool) -> asyncio.Future[bytes]:
        return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("end", ["write_eof", "close", "abort"])
async def test_a_stream_that_closes_before_its_last_bytes_are_told_sent(end: str) -> None:
    loop = asyncio.get_running_loop()
    errors: list[Any] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    stream = Stream()
    transport = StreamTransport(stream, Successor())  # type: ignore[arg-type]  # stands in
    transport.write(b"goodbye")
    getattr(transport, end)()
    stream.close()
    stream.written.set_result(None)
    await asyncio.sleep(0)  # its callbacks run
    assert not errors
