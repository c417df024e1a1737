"""From an application to answers and back to rest, in a running loop.

    startup hooks ─► accept ─► …serving… ─► stop accepting ─► requests in flight end ─► shutdown hooks, pools
                                   ▲                            at most graceful_timeout
                    SIGTERM/SIGINT ┘  a second one does not wait for them

Begin with `serving`; `run_until_stopped` adds signals, `serve` is for programs with a loop of their own.
"""

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import anyio.to_thread
from tornado.httputil import HTTPServerConnectionDelegate

from torngas_aio._closing import close_safely
from torngas_aio.webserver.doors import FrontDoor, make_door
from torngas_aio.webserver.sockets import LOOPBACK, bind, bind_unix

__all__ = ["GRACEFUL_SECONDS", "new_event_loop", "run_until_stopped", "serve", "serving", "settled_memory"]

logger = logging.getLogger("torngas_aio.server")

GRACEFUL_SECONDS = 30.0
SHUTDOWN_SECONDS = 60.0
"""How long shutdown hooks and pools may take together, each also having its own limit."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.asynccontextmanager
async def serving(
    application: Any,
    door: FrontDoor,
    sockets: Iterable[socket.socket],
    *,
    graceful_seconds: float = GRACEFUL_SECONDS,
    hurry: asyncio.Event | None = None,
) -> AsyncIterator[None]:
    """Serve *application* through *door* while the block runs; leaving it ends everything in order.

    A block that is cancelled is left only when all that has happened.

    Args:
        application: With `startup` and `shutdown`, both coroutines; without them they are left out.
        sockets: Bound and listening; closed at the end.
        graceful_seconds: How long requests in flight may take once the block has ended.
        hurry: Set: requests in flight are waited for no longer.
    """
    startup, shutdown = getattr(application, "startup", None), getattr(application, "shutdown", None)
    sockets = list(sockets)
    try:
        if startup is not None:
            await startup()
        door.add_sockets(sockets)
        if (started := getattr(door, "started", None)) is not None:
            await started()
    except BaseException:
        for each in sockets:
            each.close()
        if shutdown is not None:
            await close_safely("the application", shutdown, SHUTDOWN_SECONDS)
        raise
    try:
        yield
    finally:
        end = functools.partial(_end, application, door, graceful_seconds, hurry)
        try:
            await close_safely("the HTTP server", end, graceful_seconds + SHUTDOWN_SECONDS)
        finally:
            if shutdown is not None:
                await close_safely("the application", shutdown, SHUTDOWN_SECONDS)


async def run_until_stopped(
    application: Any,
    door: FrontDoor,
    sockets: Iterable[socket.socket],
    *,
    graceful_seconds: float = GRACEFUL_SECONDS,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; return when everything has been ended in order.

    Args:
        on_ready: Called when the first request can be answered.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal(number: int) -> None:
        name = signal.Signals(number).name
        if stop.is_set():
            logger.warning("%s again: requests in flight are cut off.", name)
            hurry.set()
        else:
            logger.info("%s: accepting no more; up to %g s for requests in flight.", name, graceful_seconds)
            stop.set()

    with _on_signals(on_signal):
        async with serving(application, door, sockets, graceful_seconds=graceful_seconds, hurry=hurry):
            with settled_memory():
                if on_ready is not None:
                    on_ready()
                await stop.wait()
    logger.info("The server has ended.")


@contextlib.contextmanager
def settled_memory() -> Iterator[None]:
    """Leave all that is in memory now out of every garbage collection while the block runs.

    Modules, settings and mappers stay for as long as the process does. Without this the collector goes through all of
    them again and again, some 30 ms each time in an application with a database, in which nobody is answered: a tenth
    of the CPU time, half of the 99th percentile (benchmarks/db.py).
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def serve(
    application: HTTPServerConnectionDelegate,
    *,
    port: int = 8000,
    address: str | None = LOOPBACK,
    unix_socket: str | None = None,
    sockets: Iterable[socket.socket] | None = None,
    http_server: str = "",
    graceful_timeout: float = GRACEFUL_SECONDS,
    on_ready: Callable[[], None] | None = None,
    **arguments: Any,
) -> None:
    """Serve *application* in the running loop until this call is cancelled, then end in order.

    For programs that have a loop and signal handlers of their own. No settings are read but what the
    application itself reads; `arguments` reach the HTTP server.

    Args:
        application: An `Application`, or any other `HTTPServerConnectionDelegate`.
        sockets: Listening sockets, in place of *port* and *address*.
        on_ready: Called when the first request can be answered.
    """
    if sockets is None and unix_socket:
        sockets = [await anyio.to_thread.run_sync(bind_unix, unix_socket)]
    elif sockets is None:
        sockets = await anyio.to_thread.run_sync(bind, port, address)
    door = make_door(application, http_server, **arguments)
    async with serving(application, door, sockets, graceful_seconds=graceful_timeout):
        if on_ready is not None:
            on_ready()
        await asyncio.get_running_loop().create_future()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop's where it is installed, else of asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _end(application: Any, door: FrontDoor, graceful_seconds: float, hurry: asyncio.Event | None) -> None:
    if hasattr(application, "close_sockets"):
        application.close_sockets()  # an open WebSocket would be a request in flight for ever
    if hurry is None:
        await door.stop_gracefully(graceful_seconds)
        return
    ending = asyncio.ensure_future(door.stop_gracefully(graceful_seconds))  # owned: awaited below in every case
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        await asyncio.wait((ending, hurried), return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurried.cancel()
        if not ending.done():
            ending.cancel()
            await asyncio.wait((ending,))
    if ending.cancelled():
        await door.stop_gracefully(0)
    else:
        ending.result()


@contextlib.contextmanager
def _on_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Call *handle* in the loop for each of SIGNALS while the block runs; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        try:
            loop.add_signal_handler(number, handle, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, _frame: loop.call_soon_threadsafe(handle, number))
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)
