"""Worker processes over shared sockets, and the parent that keeps them.

    parent ── fork ──► worker: serve(worker) ── worker.ready() ──► accepts, until SIGTERM, then drains and ends
       │ SIGTERM, SIGINT   every worker drains; the parent ends when they have        (twice: they are killed)
       │ SIGHUP            one after the other is replaced: the new one is ready before the old one drains
       │ a worker dies     it is replaced at once; one that keeps dying, after a pause of up to a second

The parent serves nothing and runs no event loop, so forking is safe at any time. It holds the sockets of all workers:
what a worker has not accepted when it dies is accepted by the next. At a stop it closes its copies before it tells the
workers, so that each worker's closing ends the listening. An application that is loaded in `serve`, not before, is
loaded again by SIGHUP. Begin with `Supervisor.run`.
"""

import asyncio
import logging
import mmap
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from tornado.netutil import bind_sockets

from torngas_aio.logger import shutdown_logging

__all__ = ["Supervisor", "Worker", "bind_for_workers"]

logger = logging.getLogger("torngas_aio.supervisor")

_STEADY_SECONDS = 10.0  # a worker that lived this long did not die of what killed those before it
# Before the first, second, ... restart of a worker that is not steady. Never longer: its sockets wait for it.
_PAUSES = (0.0, 0.1, 0.4, 1.0)
_KILL_SECONDS = 15.0  # on top of the graceful timeout, for shutdown hooks and what has to be left behind
_RENEWED = 1
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_HANDLED = (*_STOPPING, signal.SIGHUP, signal.SIGCHLD)


class Worker:
    """What `serve` gets in a worker process.

    Attributes:
        number: 0 to workers - 1; a worker that replaces another has its number.
        sockets: The listening sockets.
    """

    def __init__(
        self, number: int, sockets: Sequence[socket.socket], ready: int, alive: int, note: mmap.mmap | None = None
    ) -> None:
        self.number = number
        self.sockets = list(sockets)
        self._ready = ready
        self._alive = alive
        self._note = note

    def ready(self) -> None:
        """Tell the parent that this worker serves; to be called once."""
        os.write(self._ready, b"1")
        os.close(self._ready)

    def is_renewed(self) -> bool:
        """Whether another worker takes this one's place, rather than that the server stops; to be asked at SIGTERM."""
        return self._note is not None and self._note[0] == _RENEWED

    def when_orphaned(self, callback: Callable[[], Any]) -> None:
        """Have the running loop call *callback* when the parent has died; a worker should then stop."""
        loop = asyncio.get_running_loop()

        def notice() -> None:
            loop.remove_reader(self._alive)
            callback()

        loop.add_reader(self._alive, notice)


class _Slot:
    """One of the workers, as the parent sees it."""

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.pid = 0
        self.is_ready = False
        self.ready_pipe = -1
        self.started = 0.0
        self.deaths = 0
        self.restart_at: float | None = None
        self.kill_at: float | None = None
        self.note = mmap.mmap(-1, 1)  # shared with the worker: why it is told to end


class Supervisor:
    """Keeps *workers* processes serving.

    Args:
        serve: Called in each worker; serves `worker.sockets` until SIGTERM, then drains and returns. It
            installs its own signal handlers and calls `worker.ready()` once it accepts connections.
        sockets: Listening sockets for all workers; or, as `bind_for_workers` gives them, a list for each.
        graceful_timeout: Seconds that a worker may take to finish what it has begun.
        drain_seconds: Seconds for which a worker goes on before that, at a stop.
        ready_timeout: Seconds that a worker may take to become ready.
        code: What the log says the workers run, when SIGHUP renews them.
    """

    def __init__(
        self,
        serve: Callable[[Worker], None],
        sockets: Sequence[socket.socket] | Sequence[Sequence[socket.socket]],
        workers: int,
        *,
        graceful_timeout: float = 30.0,
        drain_seconds: float = 0.0,
        ready_timeout: float = 60.0,
        code: str = "",
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers={workers!r}: at least one process must serve.")
        self._serve = serve
        self._slots = [_Slot(number, _own(sockets, number)) for number in range(workers)]
        self._leaving: dict[int, _Slot] = {}  # workers that drain, by pid; their number may serve again already
        self._sockets = [each for slot in self._slots for each in slot.sockets]
        self._leave_seconds = drain_seconds + graceful_timeout + _KILL_SECONDS
        self._code = code
        self._ready_timeout = ready_timeout
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._renewing: list[_Slot] = []
        self._incoming: _Slot | None = None  # the replacement that is not ready yet
        self._is_stopping = False
        self._has_served = False
        self._status = 0
        self._alive_pipe = (-1, -1)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the status to exit with.

        0 after an orderly end; 1 when the workers could not start, or had to be killed.
        """
        self._alive_pipe = os.pipe()
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        woken.setblocking(False)
        old_handlers = {number: signal.signal(number, self._note) for number in _HANDLED}
        old_wakeup = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ, None)
        try:
            logger.info("Process %d starts %d workers.", os.getpid(), len(self._slots))
            for slot in self._slots:
                self._start(slot)
            while self._slots or self._leaving or self._incoming:
                self._turn(wake)
            return self._status
        finally:
            signal.set_wakeup_fd(old_wakeup)
            for number, handler in old_handlers.items():
                signal.signal(number, handler)
            self._selector.close()
            wake.close()
            woken.close()
            for end in self._alive_pipe:
                os.close(end)

    def _turn(self, wake: socket.socket) -> None:
        """Wait for the next thing to happen, and deal with it."""
        for key, _ in self._selector.select(self._next_timeout()):
            if key.data is None:
                with suppress(BlockingIOError):
                    wake.recv(4096)
            else:
                self._on_ready(key.data)
        signals, self._signals = self._signals, []
        for number in signals:
            if number in _STOPPING:
                self._stop(signal.Signals(number).name)
            elif number == signal.SIGHUP:
                self._renew()
        self._reap()
        self._mind_the_clock()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    # Starting

    def _start(self, slot: _Slot) -> None:
        """Fork the worker of *slot*."""
        ready, told = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # RACE: a signal between fork and the child's own handlers would be noted there and lost; so it waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if not pid:
            self._run_worker(slot, told, ready)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        os.close(told)
        slot.pid, slot.ready_pipe, slot.started = pid, ready, time.monotonic()
        slot.is_ready, slot.restart_at, slot.kill_at = False, None, None
        self._selector.register(ready, selectors.EVENT_READ, slot)

    def _run_worker(self, slot: _Slot, told: int, ready: int) -> NoReturn:
        """Serve, in the child, and never return into the parent's code."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _HANDLED:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
            self._selector.close()
            self._close_what_is_not_of(slot, ready)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            self._serve(Worker(slot.number, slot.sockets, told, self._alive_pipe[0], slot.note))
            status = 0
        except SystemExit as exc:
            status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        except BaseException:
            logger.exception("Worker %d failed.", slot.number)
        finally:
            shutdown_logging()  # one deadline for all files
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _close_what_is_not_of(self, slot: _Slot, ready: int) -> None:
        """Close, in the child, what belongs to the parent and to other workers.

        A listening socket of another worker that stayed open here would go on listening when that one has closed it.
        """
        for each in self._sockets:
            if each not in slot.sockets:
                each.close()
        incoming = () if self._incoming is None else (self._incoming,)
        pipes = (other.ready_pipe for other in (*self._slots, *incoming) if other.ready_pipe >= 0)
        for end in (ready, self._alive_pipe[1], *pipes):
            os.close(end)

    def _on_ready(self, slot: _Slot) -> None:
        """Take a worker's word that it is ready; an end without a word is its death, which `_reap` sees."""
        said = os.read(slot.ready_pipe, 1)
        self._forget_pipe(slot)
        if not said:
            return
        slot.is_ready = self._has_served = True
        logger.info("Worker %d is ready (process %d, %.1f s).", slot.number, slot.pid, time.monotonic() - slot.started)
        if slot is self._incoming:
            self._incoming = None
            old = self._slots[slot.number]
            slot.deaths = 0
            self._slots[slot.number] = slot
            old.note[0] = _RENEWED
            self._dismiss(old)

    def _forget_pipe(self, slot: _Slot) -> None:
        if slot.ready_pipe >= 0:
            self._selector.unregister(slot.ready_pipe)
            os.close(slot.ready_pipe)
            slot.ready_pipe = -1

    # Ending

    def _dismiss(self, slot: _Slot) -> None:
        """Have a worker drain and end."""
        if not slot.pid:
            return
        slot.kill_at = time.monotonic() + self._leave_seconds
        self._leaving[slot.pid] = slot
        self._send(slot, signal.SIGTERM)

    def _send(self, slot: _Slot, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(slot.pid, number)

    def _stop(self, why: str) -> None:
        """Have every worker end; when asked again, at once."""
        if self._is_stopping:
            logger.warning("%s again: %d workers are killed.", why, len(self._leaving))
            self._status = 1
            for slot in self._leaving.values():
                self._send(slot, signal.SIGKILL)
            return
        logger.info("%s: %d workers finish what they have begun.", why, len(self._slots))
        self._is_stopping = True
        for each in self._sockets:  # before the workers hear of it: the last copy is then theirs
            each.close()
        self._renewing = []
        slots, self._slots = self._slots, []
        incoming, self._incoming = self._incoming, None
        for slot in (*slots, *((incoming,) if incoming else ())):
            self._dismiss(slot)

    def _renew(self) -> None:
        """Begin to replace every worker, one after the other."""
        if self._is_stopping:
            return
        logger.info(
            "SIGHUP: %d workers are replaced, one after the other; the new ones run %s.",
            len(self._slots), self._code or "what they load at their start",
        )  # fmt: skip
        self._renewing = list(self._slots)

    def _reap(self) -> None:
        """Take note of every worker that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._on_exit(pid, os.waitstatus_to_exitcode(status))

    def _on_exit(self, pid: int, code: int) -> None:
        how = f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if pid in self._leaving:
            slot = self._leaving.pop(pid)
            self._forget_pipe(slot)
            # A signal ended it before it could hear it: ours, or the terminal's, which the whole group gets.
            was_starting = -code in _STOPPING and not slot.is_ready
            if code and self._is_stopping and not was_starting:
                self._status = 1
            logger.info("Worker %d has ended (process %d, %s).", slot.number, pid, how)
            return
        if self._incoming is not None and pid == self._incoming.pid:
            self._forget_pipe(self._incoming)
            logger.error(
                "The new worker %d ended with %s before it was ready: the old ones stay.", self._incoming.number, how
            )
            self._incoming = None
            self._renewing = []
            return
        dead = [slot for slot in self._slots if slot.pid == pid]
        if not dead:  # a child of somebody else in this process
            return
        slot = dead[0]
        self._forget_pipe(slot)
        slot.pid = 0
        if not self._has_served:
            logger.error(
                "Worker %d ended with %s before any worker was ready: the server does not start.", slot.number, how
            )
            self._status = 1
            self._stop("A worker cannot start")
            return
        self._schedule_restart(slot, pid, how)

    def _schedule_restart(self, slot: _Slot, pid: int, how: str) -> None:
        """Plan the restart of a worker that died."""
        now = time.monotonic()
        slot.deaths = 1 if now - slot.started >= _STEADY_SECONDS else slot.deaths + 1
        pause = _PAUSES[min(slot.deaths, len(_PAUSES)) - 1]
        slot.restart_at = now + pause
        logger.error("Worker %d died (process %d, %s); the next one starts in %.1f s.", slot.number, pid, how, pause)

    # The clock

    def _next_timeout(self) -> float | None:
        """Seconds until something is due; None when nothing is."""
        times = [slot.restart_at for slot in self._slots]
        times += [slot.kill_at for slot in self._leaving.values()]
        waiting = [*self._slots, *((self._incoming,) if self._incoming else ())]
        times += [slot.started + self._ready_timeout for slot in waiting if slot.ready_pipe >= 0]
        if self._renewing and self._incoming is None and not self._leaving:
            return 0.0
        due = [moment for moment in times if moment is not None]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _mind_the_clock(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.restart_at is not None and now >= slot.restart_at:
                self._start(slot)
        for slot in self._leaving.values():
            if slot.kill_at is not None and now >= slot.kill_at:
                logger.error("Worker %d (process %d) does not end; it is killed.", slot.number, slot.pid)
                slot.kill_at = None
                self._send(slot, signal.SIGKILL)
        for slot in (*self._slots, *((self._incoming,) if self._incoming else ())):
            if slot.ready_pipe >= 0 and now >= slot.started + self._ready_timeout:
                logger.error("Worker %d (process %d) is not ready in time; it is killed.", slot.number, slot.pid)
                slot.started = now  # once is enough
                self._send(slot, signal.SIGKILL)
        self._renew_next()

    def _renew_next(self) -> None:
        """Start the next replacement, once the last one is ready and its forerunner has ended."""
        if not self._renewing or self._incoming is not None or self._leaving:
            return
        old = self._renewing.pop(0)
        if self._slots[old.number] is not old or not old.pid:  # it died meanwhile, and is new already
            return
        self._incoming = _Slot(old.number, old.sockets)
        self._start(self._incoming)


def bind_for_workers(
    port: int,
    address: str | None = None,
    workers: int = 1,
    *,
    family: socket.AddressFamily = socket.AF_UNSPEC,
    backlog: int = 1024,
) -> list[list[socket.socket]]:
    """Return listening sockets for each worker, among which the system spreads new connections evenly.

    Each worker has sockets of its own on the same port (SO_REUSEPORT). Where there is no such option, all
    get the same ones, and whoever is quickest accepts.

    Raises:
        OSError: The port is taken.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        shared = bind_sockets(port, address, family, backlog)
        return [shared for _ in range(workers)]
    first = bind_sockets(port, address, family, backlog, reuse_port=True)
    port = first[0].getsockname()[1]
    return [first, *(bind_sockets(port, address, family, backlog, reuse_port=True) for _ in range(workers - 1))]


def _own(sockets: Sequence[socket.socket] | Sequence[Sequence[socket.socket]], number: int) -> Sequence[socket.socket]:
    """The sockets of worker *number*."""
    if sockets and not isinstance(sockets[0], socket.socket):
        own: Any = sockets[number]
        return own  # type: ignore[no-any-return]
    return sockets  # type: ignore[return-value]
