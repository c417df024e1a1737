"""Starting, serving and shutting down an application, in a running loop.

    startup hooks ─► accept ─► …serving… ─► drain ─► stop accepting ─► requests in flight, background tasks
                                   ▲     drain_seconds                     at most graceful_timeout
                    SIGTERM/SIGINT ┘                                    ─► shutdown hooks, pools
    a second signal aborts requests in flight; a signal during the start aborts the start

`run_until_stopped` adds signals to `serving`; `serve` is for programs with their own loop.
"""

import asyncio
import contextlib
import ctypes
import functools
import gc
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from tornado.httputil import HTTPServerConnectionDelegate

from torngas_aio._cleanup import CLOSE_SECONDS, cancel_tasks, close_safely, end_quickly
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler.websocket import SERVICE_RESTART
from torngas_aio.http.unix_sockets import DEFAULT_BACKLOG, UnixListener
from torngas_aio.webserver.backends import ServerBackend, make_backend
from torngas_aio.webserver.building import application_secret_faults
from torngas_aio.webserver.listeners import LOOPBACK, bind
from torngas_aio.webserver.stopping import (
    GRACEFUL_SECONDS,
    HURRY_SECONDS,
    SHUTDOWN_SECONDS,
    StoppedEarly,
    Stopping,
    StopSignals,
    on_signals,
)

if TYPE_CHECKING:
    from torngas_aio.webserver.single import SingleProcess

__all__ = ["GRACEFUL_SECONDS", "frozen_gc", "run_until_stopped", "serve", "serving"]

logger = logging.getLogger("torngas_aio.server")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_KEPT_BYTES = 16 * 1024 * 1024
_MAPPED_BYTES = 4 * 1024 * 1024  # larger allocations are mapped, and unmapped when they are freed


@contextlib.asynccontextmanager
async def serving(
    application: object,
    backend: ServerBackend,
    sockets: Iterable[socket.socket],
    *,
    graceful_seconds: float = GRACEFUL_SECONDS,
    stopping: Stopping | None = None,
) -> AsyncGenerator[None]:
    """Serve *application* through *backend* while the block runs; then shut down gracefully.

    Cancelling the block does not interrupt the shutdown.

    Args:
        application: Its coroutine methods `startup` and `shutdown`, if it has them, are awaited.
        sockets: Bound sockets. Those that do not listen yet do so after the startup. Closed at the end.
        graceful_seconds: Timeout for requests in flight after the end of the block.
        stopping: The full shutdown configuration, in place of *graceful_seconds*.

    Raises:
        StoppedEarly: `stopping.start` was set before the start was complete.
    """
    stopping = stopping or Stopping(graceful_seconds)
    startup, shutdown = getattr(application, "startup", None), getattr(application, "shutdown", None)
    sockets = list(sockets)
    try:
        if startup is not None:
            await _start_unless_stopped(startup, stopping.start)
        for each in sockets:
            if not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                each.listen(DEFAULT_BACKLOG)
        backend.add_sockets(sockets)
        if (started := getattr(backend, "started", None)) is not None:
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
        end = functools.partial(_end, application, backend, stopping)
        try:
            limit = stopping.drain_seconds + stopping.graceful_seconds + SHUTDOWN_SECONDS
            await close_safely("the HTTP server", end, limit)
        finally:
            if shutdown is not None:
                await close_safely("the application", shutdown, SHUTDOWN_SECONDS)


async def run_until_stopped(
    application: object,
    backend: ServerBackend,
    sockets: Iterable[socket.socket],
    *,
    graceful_seconds: float = GRACEFUL_SECONDS,
    drain_seconds: float = 0.0,
    on_ready: Callable[[], None] | None = None,
    is_renewal: Callable[[], bool] | None = None,
    single: "SingleProcess | None" = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; return after the shutdown.

    A signal during the start aborts the start. A second one aborts requests in flight, a third one kills the process;
    SIGHUP (the terminal closes) does not count as a second or third one. If it is ignored (`nohup`, workers), it stays
    ignored.

    Args:
        drain_seconds: Time to keep serving after the signal, with `Connection: close` in each response.
        on_ready: Called when requests can be served.
        is_renewal: In a worker: called at a signal; returns whether another process replaces this one. The parent
            enforces the deadline, so a second signal has no effect.
        single: In a process without a parent: SIGHUP starts its renewal.
    """
    end_quickly()
    stop = StopSignals(graceful_seconds, drain_seconds, is_renewal, single)
    with on_signals(stop.on_signal, stop.deadline, drain_seconds + graceful_seconds + HURRY_SECONDS, stop.on_hangup):
        try:
            async with serving(application, backend, sockets, stopping=stop.stopping):
                stop.is_ready = True
                with frozen_gc():
                    keep_freed_memory()
                    if on_ready is not None:
                        on_ready()
                    await stop.wait()
        except StoppedEarly:
            logger.info("The server was stopped while it was starting.")
            return
    logger.info("The server has ended.")


def keep_freed_memory() -> None:
    """Let glibc keep up to 16 MiB of freed memory for later allocations, unless the environment sets its `malloc`.

    PERF: by default the memory of each larger body goes back to the system and returns as zeroed pages: a third of the
    CPU time (benchmarks, multipart).
    """
    is_set = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if sys.platform == "linux" and not is_set:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


@contextlib.contextmanager
def frozen_gc() -> Generator[None]:
    """Exclude all objects that exist now from garbage collection while the block runs.

    Modules, settings and mappers live as long as the process. PERF: without this each full collection scans them, which
    blocks an application with a database for some 30 ms: a tenth of the CPU time, half of the 99th percentile
    (benchmarks/db.py).
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
    drain_seconds: float = 0.0,
    on_ready: Callable[[], None] | None = None,
    **arguments: Any,
) -> None:
    """Serve *application* in the running loop until this call is cancelled, then shut down gracefully.

    For programs with their own loop and signal handlers. No settings are read except by the application.

    Args:
        application: An `Application`, or any other `HTTPServerConnectionDelegate`.
        sockets: Listening sockets, in place of *port* and *address*.
        graceful_timeout: Seconds for requests in flight and background tasks during the shutdown.
        drain_seconds: Time to keep serving after the cancellation, so that proxies can notice.
        on_ready: Called when requests can be served.
        arguments: Passed to the HTTP server.

    Raises:
        ConfigError: The application's `cookie_secret` is weak, the address cannot be bound, or TLS is misconfigured.
    """
    if isinstance(application, Application):
        ConfigError.gather(application_secret_faults(application), code="TGA106")
    unix: UnixListener | None = None
    if sockets is None and unix_socket:
        unix = await anyio.to_thread.run_sync(functools.partial(UnixListener, unix_socket, backlog=DEFAULT_BACKLOG))
        sockets = [unix.socket]
    elif sockets is None:  # a name server that does not respond must not delay a cancellation
        sockets = await anyio.to_thread.run_sync(bind, port, address, abandon_on_cancel=True)
    try:
        backend = make_backend(application, http_server, **arguments)
        async with serving(application, backend, sockets, stopping=Stopping(graceful_timeout, drain_seconds)):
            if on_ready is not None:
                on_ready()
            await asyncio.get_running_loop().create_future()
    finally:
        if unix is not None:
            unix.remove()


async def _start_unless_stopped(start: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Await `start()`, or cancel it when *stop* is set.

    Raises:
        StoppedEarly: *stop* was set first.
    """
    starting, stopped = asyncio.ensure_future(start()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        is_late = not starting.done()
        await cancel_tasks([task for task in (starting, stopped) if not task.done()], CLOSE_SECONDS)
    if is_late:
        raise StoppedEarly
    starting.result()


async def _end(application: object, backend: ServerBackend, stopping: Stopping) -> None:
    """Shut down gracefully; when `stopping.hurry` is set, abort the rest at once."""
    ending = asyncio.ensure_future(_end_in_order(application, backend, stopping))  # owned: awaited below in every case
    hurried = asyncio.ensure_future(stopping.hurry.wait())
    try:
        await asyncio.wait((ending, hurried), return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurried.cancel()
        if not ending.done():
            ending.cancel()
            await asyncio.wait((ending,))
    if ending.cancelled():
        await backend.stop_gracefully(0)
    else:
        ending.result()


async def _end_in_order(application: Any, backend: ServerBackend, stopping: Stopping) -> None:
    """Notify event streams, drain, close WebSockets, finish requests, then background tasks."""
    loop = asyncio.get_running_loop()
    if (is_stopping := getattr(application, "is_stopping", None)) is not None:
        is_stopping.set()
    if stopping.drain_seconds and not stopping.is_renewal():
        backend.start_draining()
        await asyncio.sleep(stopping.drain_seconds)
    until = loop.time() + stopping.graceful_seconds
    if hasattr(application, "close_sockets"):
        # An open WebSocket would be a request in flight without end.
        if stopping.is_renewal():
            application.close_sockets("The server is renewed.", SERVICE_RESTART)
        else:
            application.close_sockets()
    await backend.stop_gracefully(stopping.graceful_seconds)
    if (background := getattr(application, "background", None)) is not None:
        await background.drain(until - loop.time())
