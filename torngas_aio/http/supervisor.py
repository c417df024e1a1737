"""The parent process, which starts, monitors and replaces worker processes over shared sockets.

    parent ── starts ──► worker: the same command, with TORNGAS_WORKER ── ready ──► accepts, until SIGTERM, then drains
       │ SIGTERM, SIGINT   every worker drains; the parent ends after the last one   (a second signal kills them)
       │ SIGHUP            workers are replaced one after another: the new one is ready before the old one drains
       │ a worker dies     it is replaced at once; after repeated deaths, with a pause of up to a second
       │ a worker's loop is blocked and sends no reports: after `hang_timeout` it is killed and replaced
       │ a worker exceeds its limit of requests or memory: it is replaced

The parent imports nothing of the project: each worker is a new interpreter that loads the code on disk. The first
worker binds the sockets unless the parent was given some. The parent holds the sockets of all workers: while one is
starting, hung or dead, another also accepts its connections. At a stop it closes its copies before it signals the
workers, so that listening ends when each worker closes its own.
"""

import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

from torngas_aio._json import JsonObject
from torngas_aio.http.status_socket import StatusSocket
from torngas_aio.http.systemd import ServiceManager
from torngas_aio.http.unix_sockets import UnixListeners
from torngas_aio.http.worker import REPORT_SECONDS
from torngas_aio.http.worker_slot import Program, RenewalLimits, Slot
from torngas_aio.http.worker_totals import WorkerTotals

__all__ = ["Program", "RenewalLimits", "Supervisor", "terminal_watch"]

logger = logging.getLogger("torngas_aio.supervisor")

_STEADY_SECONDS = 10.0  # of life, after which a worker's death does not count as a repeated one
# Before the first, second, ... restart of a worker that dies repeatedly; short, because connections wait for it.
_PAUSES = (0.0, 0.1, 0.4, 1.0)
_KILL_SECONDS = 15.0  # on top of the graceful timeout, for shutdown hooks and abandoned tasks
_HUNG_SECONDS = 5.0  # without a report, after which other workers accept a worker's connections
_DUMP_SECONDS = 1.0  # for a hung worker to write the stacks of its threads before it is killed
_RETRY_RENEWAL_SECONDS = 60.0  # before another try to replace a worker over its limit whose replacement did not start
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_HANDLED = (*_STOPPING, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """The parent of *workers* processes that serve.

    A worker, `torngas_aio.http.worker.current_worker()` in its process, serves its sockets until SIGTERM, then drains.

    Args:
        program: The command of the workers.
        sockets: Listening sockets for each worker; None: the first worker binds them and passes them to the parent.
        limits: When a worker is replaced.
        graceful_timeout: Seconds that a worker may take to finish its requests.
        drain_seconds: Seconds for which a worker continues to accept before that, at a stop.
        ready_timeout: Seconds that a worker may take to become ready.
        hang_timeout: Seconds for which a worker's loop may be blocked before it is replaced; 0: no limit.

    Raises:
        ValueError: *workers* is below 1.
    """

    def __init__(
        self,
        program: Program,
        workers: int,
        *,
        sockets: Sequence[Sequence[socket.socket]] | None = None,
        limits: RenewalLimits = RenewalLimits(),  # noqa: B008  frozen
        graceful_timeout: float = 30.0,
        drain_seconds: float = 0.0,
        ready_timeout: float = 60.0,
        hang_timeout: float = 60.0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers={workers!r}: at least one process must serve.")
        self._program = program
        self._workers = workers
        self._limits = limits
        self._slots = [self._new_slot(number) for number in range(workers)]
        self._leaving: list[Slot] = []  # draining workers; a replacement may already have their number
        self._groups: list[list[socket.socket]] = [list(each) for each in sockets or ()]
        self._leave_seconds = drain_seconds + graceful_timeout + _KILL_SECONDS
        self._ready_timeout = ready_timeout
        self._hang_timeout = hang_timeout
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._renewing: list[int] = []
        self._renewal_began = 0.0
        self._incoming: Slot | None = None  # the replacement that is being started
        self._is_stopping = False
        self._has_served = False
        self._is_announced = False  # READY=1 has been sent since the start, or since the last SIGHUP
        self._status = 0
        self._totals = WorkerTotals()
        self._unix = UnixListeners()
        self._manager = ServiceManager()
        self._watchdog_at: float | None = 0.0 if self._manager.watchdog_seconds else None
        self._checked_at = time.monotonic()  # when `_check_deadlines` last ran
        self._has_terminal_closed = terminal_watch()
        self._began = time.monotonic()
        self._renewal: JsonObject = {"state": "none"}

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the status to exit with.

        0 after a graceful stop; 1 if the workers could not start or had to be killed.
        """
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        woken.setblocking(False)
        old_handlers = {number: signal.signal(number, self._on_signal) for number in _HANDLED}
        old_wakeup = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ, lambda: _empty(wake))
        try:
            with StatusSocket() as status:
                if status.socket is not None:
                    self._selector.register(
                        status.socket, selectors.EVENT_READ, lambda: status.answer(self._status_fields())
                    )
                logger.info("Process %d starts %d workers.", os.getpid(), len(self._slots))
                self._start_missing()
                while self._slots or self._leaving or self._incoming:
                    self._turn()
            return self._status
        finally:
            signal.set_wakeup_fd(old_wakeup)
            for number, handler in old_handlers.items():
                signal.signal(number, handler)
            self._unix.remove()
            self._selector.close()
            wake.close()
            woken.close()

    def _turn(self) -> None:
        """Wait for the next event or deadline and handle it."""
        for key, _ in self._selector.select(self._next_timeout()):
            if key.fileobj in self._selector.get_map():  # not closed by an earlier callback
                key.data()
        signals, self._signals = self._signals, []
        for number in signals:
            if number in _STOPPING:
                self._stop(signal.Signals(number).name)
            elif number == signal.SIGHUP and not self._is_stopping:  # a shell sends SIGHUP again after the terminal
                if self._has_terminal_closed():
                    self._stop("SIGHUP, the terminal has closed")
                else:
                    self._renew()
        self._reap()
        self._check_deadlines()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _status_fields(self) -> dict[str, object]:
        now = time.monotonic()
        return {
            "pid": os.getpid(), "command": list(self._program.command), "folder": self._program.folder,
            "age": now - self._began, "renewal": self._renewal,
            "workers": [slot.describe(now) for slot in self._all_slots() if slot.pid],
        }  # fmt: skip

    def _all_slots(self) -> list[Slot]:
        return [*self._slots, *self._waiting(), *self._leaving]

    def _waiting(self) -> list[Slot]:
        return [] if self._incoming is None else [self._incoming]

    # Starting

    def _new_slot(self, number: int) -> Slot:
        return Slot(number, self._limits.reduced())

    def _start_missing(self) -> None:
        """Start the workers that have not been started; without sockets only the first, which binds them."""
        for slot in self._slots if self._groups else self._slots[:1]:
            if not self._is_stopping and slot.process is None and slot.restart_at is None:
                self._start(slot)

    def _start(self, slot: Slot) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            slot.start(self._program, self._workers, self._groups[slot.number] if self._groups else [])
        except OSError as exc:
            logger.error("Worker %d cannot be started: %s.", slot.number, exc)
            slot.started = time.monotonic()
            self._on_end(slot, f"an error ({exc.strerror})")
            return
        assert slot.channel is not None
        slot.ready_until = slot.started + self._ready_timeout
        self._selector.register(slot.channel, selectors.EVENT_READ, lambda: self._on_message(slot))

    def _on_message(self, slot: Slot) -> bool:
        """Process a worker's messages; return whether there were any. `_reap` handles its end."""
        silence = time.monotonic() - slot.reported_at
        if (said := slot.read()) is None:
            self._forget_channel(slot)
            return False
        if said and slot.is_hung:
            slot.is_hung, slot.is_dumped, slot.hung_until = False, False, None
            logger.warning("Worker %d (process %d) reports again, after %.1f s.", slot.number, slot.pid, silence)
            self._lend_sockets()
        for line in said:
            if "sockets" in line:
                self._groups.append(slot.take_sockets(line["sockets"]))
                if len(self._groups) == self._workers:
                    self._start_missing()
            elif "ready" in line:
                slot.code, slot.may_block = line["code"], line["may_block"]
                self._on_ready(slot)
            elif "counts" in line:
                slot.now = line["now"]
                slot.note_own(line.get("own", {}), line.get("gone", ()))
                self._totals.add(line["counts"])
            elif "unix" in line:
                slot.unix_path = line["unix"]
                self._unix.answer(slot.take_sockets(1), slot.unix_path)
            elif "totals" in line:
                self._totals.answer(slot.take_sockets(1), self._all_slots())
            else:
                slot.requests, slot.rss = line["requests"], line["rss"]
                self._renew_if_enough(slot)
        return bool(said)

    def _on_ready(self, slot: Slot) -> None:
        slot.is_ready = self._has_served = True
        slot.ready_until = None
        logger.info(
            "Worker %d is ready (process %d, %.1f s%s).",
            slot.number, slot.pid, time.monotonic() - slot.started, f", {slot.code}" if slot.code else "",
        )  # fmt: skip
        if slot is self._incoming:
            self._incoming = None
            old, self._slots[slot.number] = self._slots[slot.number], slot
            self._totals.restarts["renewed"] += 1
            old.send_renewed()
            self._dismiss(old)
        self._lend_sockets()
        self._announce()

    def _announce(self) -> None:
        """Send READY=1 to the service manager once all workers serve, and again after a renewal."""
        is_busy = self._renewing or self._incoming or self._is_stopping
        if is_busy or not all(slot.is_ready for slot in self._slots):
            return
        self._unix.keep({slot.unix_path for slot in self._slots})
        if self._renewal["state"] == "running":
            self._renewal = {"state": "done", "at": time.time()}
        if not self._is_announced:
            self._is_announced = True
            self._manager.ready(self._renewal.get("error") or f"{len(self._slots)} workers serve.")

    def _forget_channel(self, slot: Slot) -> None:
        if slot.channel is not None:
            self._selector.unregister(slot.channel)
            slot.channel.close()
            slot.channel = None

    # Ending

    def _dismiss(self, slot: Slot) -> None:
        """Send SIGTERM to a worker and set the deadline for its end."""
        if slot.process is None:
            return
        slot.kill_at = time.monotonic() + self._leave_seconds
        slot.ready_until = None
        self._leaving.append(slot)
        slot.process.terminate()

    def _stop(self, why: str) -> None:
        """Stop every worker; the second call kills them."""
        if self._is_stopping:
            logger.warning("%s again: %d workers are killed.", why, len(self._leaving))
            self._status = 1
            for slot in self._leaving:
                slot.kill()
            return
        logger.info("%s: %d workers finish their requests.", why, len(self._slots))
        self._is_stopping = True
        self._manager.stopping()
        for group in self._groups:  # before the workers are signalled: theirs are then the last copies
            for each in group:
                each.close()
        self._unix.close()
        self._renewing = []
        slots, self._slots = [*self._slots, *self._waiting()], []
        self._incoming = None
        for slot in slots:
            self._dismiss(slot)

    def _renew(self) -> None:
        """Begin to replace every worker, one after another."""
        logger.info(
            "SIGHUP: %d workers are replaced, one after the other; the new ones run the code that is in %s now.",
            len(self._slots), self._program.folder,
        )  # fmt: skip
        self._renewal_began = time.monotonic()
        self._renewal = {"state": "running", "at": time.time()}
        self._renewing = [slot.number for slot in self._slots]
        self._is_announced = False
        self._manager.reloading()

    def _renew_if_enough(self, slot: Slot) -> None:
        if self._slots[slot.number : slot.number + 1] != [slot] or slot.number in self._renewing:
            return
        if slot.reported_at >= slot.renewable_from and slot.limits.is_exceeded(slot.requests, slot.rss):
            slot.renewable_from = slot.reported_at + _RETRY_RENEWAL_SECONDS
            logger.info(
                "Worker %d has had %d requests and holds %d MiB: it is replaced.",
                slot.number, slot.requests, slot.rss >> 20,
            )  # fmt: skip
            self._renewing.append(slot.number)

    def _reap(self) -> None:
        """Handle every worker that has ended."""
        for slot in self._all_slots():
            if slot.process is not None and (code := slot.process.poll()) is not None:
                while slot.channel is not None and self._on_message(slot):  # its last messages
                    pass
                self._forget_channel(slot)  # a child process of the worker may hold the other end open
                self._on_end(slot, f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}", code)

    def _on_end(self, slot: Slot, how: str, code: int = 1) -> None:
        pid = slot.pid
        slot.process = slot.ready_until = None
        self._totals.keep_own(slot)
        if not slot.is_ready and slot not in self._leaving:
            self._totals.failed_starts += 1
        if slot in self._leaving:
            self._leaving.remove(slot)
            # The signal arrived before its handler was set: ours, or the terminal's to the whole process group.
            was_starting = -code in _STOPPING and not slot.is_ready
            if code and self._is_stopping and not was_starting:
                self._status = 1
            logger.info("Worker %d has ended (process %d, %s).", slot.number, pid, how)
        elif slot is self._incoming:
            began = time.localtime(self._slots[slot.number].started_at)
            why = (
                f"The new worker {slot.number} ended with {how} before it was ready: the old ones stay, with the code "
                f"of {time.strftime('%Y-%m-%d %H:%M:%S', began)}."
            )
            logger.error("%s", why)
            self._renewal = {"state": "failed", "at": time.time(), "error": why}
            self._incoming = None
            self._renewing = []
            self._announce()
        elif not self._has_served:
            logger.error(
                "Worker %d ended with %s before any worker was ready: the server does not start.", slot.number, how
            )
            self._status = 1
            self._stop("A worker cannot start")
        else:
            self._schedule_restart(slot, pid, how)

    def _schedule_restart(self, slot: Slot, pid: int, how: str) -> None:
        """Schedule the restart of a worker that died."""
        now = time.monotonic()
        slot.is_ready = False
        self._totals.restarts["hung" if slot.is_hung else "died"] += 1
        slot.deaths = 1 if now - slot.started >= _STEADY_SECONDS else slot.deaths + 1
        pause = _PAUSES[min(slot.deaths, len(_PAUSES)) - 1]
        slot.restart_at = now + pause
        logger.error("Worker %d died (process %d, %s); the next one starts in %.1f s.", slot.number, pid, how, pause)
        self._lend_sockets()

    def _lend_sockets(self) -> None:
        """Lend the sockets of each worker that cannot accept connections to another one, until it can."""
        if self._is_stopping or len(self._groups) < self._workers:
            return
        wanted: dict[Slot, list[int]] = {slot: [] for slot in self._slots if slot.is_accepting}
        for number in [slot.number for slot in self._slots if wanted and not slot.is_accepting]:
            borrower = next((slot for slot in wanted if number in slot.lent), None)
            borrower = borrower or min(wanted, key=lambda slot: len(wanted[slot]))
            if not _are_same(self._groups[number], self._groups[borrower.number]):
                wanted[borrower].append(number)
        for slot, numbers in wanted.items():
            if numbers != slot.lent:
                slot.lend({number: self._groups[number] for number in numbers})

    # Deadlines

    def _next_timeout(self) -> float | None:
        """Return the seconds until the next deadline; None if there is none."""
        if self._renewing and self._incoming is None and not self._leaving:
            return 0.0
        everyone = self._all_slots()
        times = [
            moment
            for slot in everyone
            for moment in (slot.restart_at, slot.kill_at, slot.ready_until, slot.hung_until, self._hung_at(slot))
        ]
        due = [moment for moment in (*times, self._watchdog_at) if moment is not None]
        if not due:
            return None
        # At most the interval of reports, so that `_check_deadlines` notices when this process was suspended.
        return min(max(min(due) - time.monotonic(), 0.0), REPORT_SECONDS)

    def _hung_at(self, slot: Slot) -> float | None:
        """Return when a worker counts as hung if it does not report before; None if it cannot."""
        return slot.reported_at + _HUNG_SECONDS if slot in self._slots and slot.is_accepting else None

    def _check_hung(self, slot: Slot, now: float) -> None:
        """Log a worker that does not report; kill it after `hang_timeout`."""
        if (hung_at := self._hung_at(slot)) is not None and now >= hung_at:
            slot.is_hung = True
            is_bounded = self._hang_timeout and not slot.may_block
            slot.hung_until = slot.reported_at + self._hang_timeout if is_bounded else None
            logger.error(
                "Worker %d (process %d) has not reported for %.0f s: its event loop is blocked.%s%s",
                slot.number, slot.pid, now - slot.reported_at,
                " Another worker accepts its connections." if any(each.is_accepting for each in self._slots) else "",
                f" It is replaced after {self._hang_timeout:g} s." if is_bounded else "",
            )  # fmt: skip
            self._lend_sockets()
        elif slot.hung_until is not None and now >= slot.hung_until:
            if slot.is_dumped:
                slot.hung_until = None
                slot.kill()
                return
            logger.error(
                "Worker %d (process %d) has been blocked for %.0f s: it is killed. The stacks of its threads follow.",
                slot.number, slot.pid, now - slot.reported_at,
            )  # fmt: skip
            slot.hung_until = now + _DUMP_SECONDS
            slot.dump()

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        if (passed := now - self._checked_at) > 2 * REPORT_SECONDS:  # this process, and perhaps a worker, was suspended
            for slot in self._all_slots():
                slot.postpone(passed, now)
        self._checked_at = now
        for slot in self._all_slots():
            if slot.restart_at is not None and now >= slot.restart_at:
                slot.restart_at = None
                self._start(slot)
            if slot.kill_at is not None and now >= slot.kill_at:
                logger.error("Worker %d (process %d) does not end; it is killed.", slot.number, slot.pid)
                slot.kill_at = None
                slot.kill()
            if slot.ready_until is not None and now >= slot.ready_until:
                logger.error("Worker %d (process %d) is not ready in time; it is killed.", slot.number, slot.pid)
                slot.ready_until = None
                slot.kill()
            self._check_hung(slot, now)
        self._feed_watchdog(now)
        self._renew_next()

    def _feed_watchdog(self, now: float) -> None:
        """Send WATCHDOG=1 to the service manager while the server starts and while any worker reports."""
        if self._watchdog_at is None or now < self._watchdog_at:
            return
        self._watchdog_at = now + self._manager.watchdog_seconds
        silence = max(2 * self._manager.watchdog_seconds, 3 * REPORT_SECONDS)
        if not all(slot.is_ready and now - slot.reported_at > silence for slot in self._all_slots()):
            self._manager.watchdog()

    def _renew_next(self) -> None:
        """Start the next replacement, once the last one is ready and the worker it replaced has ended."""
        if not self._renewing or self._incoming is not None or self._leaving:
            return
        old = self._slots[self._renewing.pop(0)]
        is_new = old.started > self._renewal_began and not old.limits.is_exceeded(old.requests, old.rss)
        if old.process is None or is_new:  # it died in the meantime and has been, or will be, restarted
            self._announce()
            return
        self._incoming = self._new_slot(old.number)
        self._start(self._incoming)


def _are_same(group: Sequence[socket.socket], other: Sequence[socket.socket]) -> bool:
    """Return whether two workers share their sockets, so that each accepts for both."""
    return all(os.path.sameopenfile(one.fileno(), two.fileno()) for one, two in zip(group, other, strict=True))


def terminal_watch() -> Callable[[], bool]:
    """Return a function that reports, on SIGHUP, whether this process's terminal has closed.

    It returns False if SIGHUP is ignored (`nohup`).
    """
    had_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()
    return lambda: had_terminal and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _empty(wake: socket.socket) -> None:
    with suppress(BlockingIOError):
        wake.recv(4096)
