"""A runner like `asyncio.Runner`, with a time limit on each step of the shutdown.

tasks        cancelled; abandoned if they swallow the cancellation
generators   closed
threads      joined for a few seconds; the process exits even if some still run

Watchdog     kills the process if its loop is blocked during the shutdown
"""

import asyncio
import contextvars
import faulthandler
import logging
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Self, TypeVar

from torngas_aio._cleanup import CLOSE_SECONDS, cancel_tasks, close_safely
from torngas_aio._compat.stdlib import call_before_threads_are_joined
from torngas_aio._compat.tornado import has_idle_loop

__all__ = ["LoopRunner", "Watchdog", "new_event_loop"]

logger = logging.getLogger("torngas_aio.server")

_Result = TypeVar("_Result")

_seconds = struct.Struct("d")


class LoopRunner:
    """A runner of coroutines on its own loop, which is closed at the end of the `with` block.

    Args:
        seconds: Time limit for tasks, generators and threads each to end.
    """

    def __init__(self, seconds: float = CLOSE_SECONDS) -> None:
        self._runner = asyncio.Runner(loop_factory=new_event_loop)
        self._threads = set(threading.enumerate())
        self._seconds = seconds

    def __enter__(self) -> Self:
        if has_idle_loop():
            logger.warning(
                "Before the server's loop runs, something was given to another one, which never will (an IOLoop's "
                "add_timeout or add_callback, PeriodicCallback.start, TCPServer.listen): it will not happen. "
                "Do it in `process_init` of a middleware."
            )
        return self

    def __exit__(self, *_: object) -> None:
        # Not `Runner.close`: it waits for tasks that swallow their cancellation, and for threads that hang.
        loop = self._runner.get_loop()
        try:
            loop.run_until_complete(_end_tasks(self._seconds))
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        end_threads((thread for thread in threading.enumerate() if thread not in self._threads), self._seconds)

    def run(self, work: Coroutine[object, None, _Result], context: contextvars.Context | None = None) -> _Result:
        """Run *work* to its end and return its result; Ctrl-C cancels it, as in `asyncio.Runner`.

        Args:
            context: The context to run in; None: one shared by all calls.
        """
        return self._runner.run(work, context=context)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop if uvloop is installed, else an asyncio one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _end_tasks(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await cancel_tasks(tasks, seconds)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": "A task failed at the end.", "exception": error, "task": task})
    await close_safely("the asynchronous generators", loop.shutdown_asyncgens, seconds)


def end_threads(threads: Iterable[threading.Thread], seconds: float) -> None:
    """Join *threads*, except daemons; the process will exit without waiting for those that still run.

    Args:
        seconds: Time limit for all threads together.
    """
    until = time.monotonic() + seconds
    hanging: list[threading.Thread] = []
    for thread in threads:
        if not thread.daemon:
            thread.join(max(until - time.monotonic(), 0))
            if thread.is_alive():
                logger.error("The thread %s hangs in %s; the process ends without it.", thread.name, _place_of(thread))
                hanging.append(thread)
    if hanging:
        call_before_threads_are_joined(_end_process_without, hanging)


def _end_process_without(threads: list[threading.Thread]) -> None:
    if any(thread.is_alive() for thread in threads):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if hasattr(sys, "last_value") else 0)  # 1: the program ended with an error


def _place_of(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)  # pyright: ignore[reportPrivateUsage]  # documented
    return "its end" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"


class Watchdog:
    """A thread that kills this process at a deadline, even if the event loop is blocked.

    It waits on a socket, so that a signal handler may call `set_deadline`.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        threading.Thread(target=self._watch, name="torngas_aio stop watchdog", daemon=True).start()

    def set_deadline(self, seconds: float) -> None:
        """Set the deadline to *seconds* from now; each call replaces the previous deadline."""
        self._sender.send(_seconds.pack(time.monotonic() + seconds))

    def close(self) -> None:
        """Cancel the deadline and end the thread."""
        self._sender.close()

    def _watch(self) -> None:
        with self._receiver, suppress(TimeoutError):
            while data := self._receiver.recv(_seconds.size):
                (until,) = _seconds.unpack(data)
                self._receiver.settimeout(max(until - time.monotonic(), 0.001))
            return
        os.write(2, b"The process does not stop: its loop is blocked. It is ended; this is what its threads do.\n")
        faulthandler.dump_traceback(all_threads=True)
        os._exit(1)
