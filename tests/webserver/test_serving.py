"""Serving ends politely: nothing accepted is dropped, everything opened is closed, in order."""

import asyncio
import gc
import os
import platform
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.polling import until
from tests.webserver.conftest import Client, Recorder
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.runner import new_event_loop
from torngas_aio.webserver.serving import run_until_stopped, serve, serving

Sockets = list[socket.socket]


@asynccontextmanager
async def client_of(sockets: Sockets) -> AsyncIterator[Client]:
    client = await Client.connect(sockets)
    try:
        yield client
    finally:
        await client.aclose()


async def started(task: asyncio.Task[None], ready: asyncio.Event) -> None:
    """Wait until the server of *task* is ready; raise why it is not."""
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        task.result()


async def test_requests_are_answered_while_the_block_runs(
    recorder: Recorder, listener: Sockets, http_server: str
) -> None:
    """Startup comes before the first request, shutdown after the last; the port is free at the end."""
    async with serving(recorder, make_backend(recorder, http_server), listener):
        assert recorder.events == ["startup"]
        async with client_of(listener) as client:
            assert (await client.ask()).endswith("\r\n\r\nhello")
            assert (await client.ask()).endswith("\r\n\r\nhello")
    assert recorder.events == ["startup", "shutdown"]
    assert listener[0].fileno() == -1


async def test_a_request_in_flight_is_answered_after_the_stop(
    recorder: Recorder, listener: Sockets, http_server: str
) -> None:
    """Newcomers are refused meanwhile, idle connections closed, and shutdown waits."""
    host, port = listener[0].getsockname()
    idle = await Client.connect(listener)
    busy = await Client.connect(listener)
    left = asyncio.Event()

    async def serve_once() -> None:
        async with serving(recorder, make_backend(recorder, http_server), listener):
            assert (await idle.ask()).endswith("hello")
            busy.send("/slow")
            await recorder.arrived.wait()
            left.set()

    task = asyncio.create_task(serve_once())
    await left.wait()
    assert await idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
    assert recorder.events == ["startup"]
    recorder.may_answer.set()
    answer = await busy.answer()
    assert answer.endswith("slow hello")
    assert await busy.is_closed()
    await task
    assert recorder.events == ["startup", "answered", "shutdown"]
    await idle.aclose()
    await busy.aclose()


async def test_a_request_beyond_the_grace_is_cut_off(recorder: Recorder, listener: Sockets, http_server: str) -> None:
    """The end does not wait for ever, and shutdown still runs."""
    client = await Client.connect(listener)
    async with serving(recorder, make_backend(recorder, http_server), listener, graceful_seconds=0.01):
        client.send("/slow")
        await recorder.arrived.wait()
    assert await client.is_closed()
    assert recorder.events == ["startup", "shutdown"]
    await client.aclose()
    recorder.may_answer.set()


async def test_a_cancelled_server_ends_politely_too(recorder: Recorder, listener: Sockets, http_server: str) -> None:
    """Cancelling the task that serves answers what is in flight first."""
    ready = asyncio.Event()
    task = asyncio.create_task(
        serve(recorder, sockets=listener, http_server=http_server, on_ready=ready.set, graceful_timeout=15)
    )
    await started(task, ready)
    async with client_of(listener) as client:
        client.send("/slow")
        await recorder.arrived.wait()
        task.cancel()
        await asyncio.sleep(0)
        recorder.may_answer.set()
        assert (await client.answer()).endswith("slow hello")
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorder.events == ["startup", "answered", "shutdown"]


async def test_a_failed_startup_leaves_nothing_open(recorder: Recorder, listener: Sockets, http_server: str) -> None:
    """Its error passes, the sockets are closed, what was opened is shut down."""

    async def startup() -> None:
        raise OSError("no database")

    recorder.startup = startup  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no database"):
        async with serving(recorder, make_backend(recorder, http_server), listener):
            pytest.fail("The block must not run.")
    assert recorder.events == ["shutdown"]
    assert listener[0].fileno() == -1


async def test_an_error_in_the_block_passes_after_the_end(
    recorder: Recorder, listener: Sockets, http_server: str
) -> None:
    """Shutdown has run by then."""
    with pytest.raises(KeyError):
        async with serving(recorder, make_backend(recorder, http_server), listener):
            raise KeyError("on purpose")
    assert recorder.events == ["startup", "shutdown"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_run(
    recorder: Recorder, listener: Sockets, http_server: str, number: signal.Signals
) -> None:
    """The first signal lets requests in flight finish; handlers are put back afterwards."""
    before = signal.getsignal(number)
    ready = asyncio.Event()
    task = asyncio.create_task(
        run_until_stopped(recorder, make_backend(recorder, http_server), listener, on_ready=ready.set)
    )
    await started(task, ready)
    async with client_of(listener) as client:
        client.send("/slow")
        await recorder.arrived.wait()
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
        recorder.may_answer.set()
        assert (await client.answer()).endswith("slow hello")
    await task
    assert recorder.events == ["startup", "answered", "shutdown"]
    assert signal.getsignal(number) == before


async def test_what_the_start_has_made_is_not_collected(
    recorder: Recorder, listener: Sockets, http_server: str
) -> None:
    """While the server runs the collector leaves it alone; garbage from before is gone; then all is as it was."""
    before = gc.get_freeze_count()
    garbage = Recorder()
    garbage.itself = garbage  # type: ignore[attr-defined]  # a cycle: only the collector frees it
    is_alive = weakref.ref(garbage)
    del garbage
    ready = asyncio.Event()
    task = asyncio.create_task(
        run_until_stopped(recorder, make_backend(recorder, http_server), listener, on_ready=ready.set)
    )
    await started(task, ready)
    assert gc.get_freeze_count() > before + 1000
    assert is_alive() is None
    async with client_of(listener) as client:
        assert (await client.ask()).endswith("hello")
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert gc.get_freeze_count() == before


async def test_a_second_signal_does_not_wait(
    recorder: Recorder, listener: Sockets, http_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that never ends is cut off; shutdown hooks still run."""
    caplog.set_level("INFO", "torngas_aio.server")
    ready = asyncio.Event()
    task = asyncio.create_task(
        run_until_stopped(recorder, make_backend(recorder, http_server), listener, on_ready=ready.set)
    )
    await started(task, ready)
    async with client_of(listener) as client:
        client.send("/slow")
        await recorder.arrived.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: "SIGTERM: accepting no more" in caplog.text)
        os.kill(os.getpid(), signal.SIGTERM)
        await task
        assert await client.is_closed()
    assert recorder.events == ["startup", "shutdown"]
    assert "SIGTERM again" in caplog.text
    recorder.may_answer.set()


async def test_it_serves_on_a_unix_socket(recorder: Recorder, tmp_path: Path, http_server: str) -> None:
    """Given a path, no port is opened."""
    path = tmp_path / "app.sock"
    ready = asyncio.Event()
    task = asyncio.create_task(serve(recorder, unix_socket=str(path), http_server=http_server, on_ready=ready.set))
    await started(task, ready)
    client = await Client.connect_unix(path)
    assert (await client.ask()).endswith("hello")
    await client.aclose()
    task.cancel()
    await asyncio.wait([task])
    assert recorder.events == ["startup", "shutdown"]


async def test_what_has_no_lifespan_is_served_too(listener: Sockets, http_server: str) -> None:
    """A plain Tornado application needs neither startup nor shutdown."""
    from tornado import web

    from tests.webserver.conftest import Hello

    application = web.Application([("/", Hello)])
    async with serving(application, make_backend(application, http_server), listener), client_of(listener) as client:
        assert (await client.ask()).endswith("hello")


CHURN = """
import asyncio, os, resource, signal
from torngas_aio.application import Application
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.listeners import bind
from torngas_aio.webserver.serving import run_until_stopped

def churn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        bodies = [b"x" * 300_000 for _ in range(4)]
        del bodies
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def on_ready():
    churn()
    print("page faults:", churn())
    os.kill(os.getpid(), signal.SIGTERM)

application = Application([])
sockets = bind(0, "127.0.0.1")
asyncio.run(run_until_stopped(application, make_backend(application), sockets, on_ready=on_ready))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_of_bodies_is_kept_unless_the_environment_decides() -> None:
    def faults(**variables: str) -> int:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", CHURN]
        done = subprocess.run(command, env=own | variables, capture_output=True, text=True, timeout=60, check=True)
        return int(done.stdout.split()[-1])

    assert faults() < 100  # pages of 4 KiB, of 400 bodies of 300 KB
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 10_000


def test_the_loop_is_uvloop() -> None:
    """uvloop is installed here, so it is used."""
    loop = new_event_loop()
    try:
        assert type(loop).__module__ == "uvloop"
    finally:
        loop.close()
