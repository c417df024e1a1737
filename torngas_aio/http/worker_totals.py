"""The counters of all workers of a server, including ended ones, and each worker's current values.

worker ── each second: counts since the last report ──► parent: WorkerTotals.counts, and Slot.now
worker ── a socket ───────────────────────────────────► parent: sends the totals as one JSON object, then closes it
"""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from torngas_aio._json import JsonObject
from torngas_aio.http.worker_slot import Slot
from torngas_aio.utils.narrowing import is_dict, is_list

__all__ = ["WorkerTotals", "add_counts"]

_SECONDS = 2.0
"""How long a worker may take to read the totals."""


_LASTING = frozenset({"counter", "histogram", "summary"})
_MAX_OWN = 20_000


class WorkerTotals:
    """The totals over the workers of one parent since its start.

    Attributes:
        counts: See `torngas_aio.operations.counts`.
        own: The project's own metrics left by ended workers; see `torngas_aio.operations.project_metrics`.
        restarts: Replaced workers, by reason: died, hung or renewed.
        failed_starts: Workers that ended before they were ready.
    """

    def __init__(self) -> None:
        self.counts: JsonObject = {}
        self.own: JsonObject = {}
        self.restarts: Counter[str] = Counter()
        self.failed_starts = 0

    def add(self, counts: JsonObject) -> None:
        """Add a worker's counts since its last report."""
        add_counts(self.counts, counts)

    def keep_own(self, slot: Slot) -> None:
        """Keep the project's counters of a worker that has ended; its gauges are dropped."""
        types = {key[1:]: told[0] for key, told in slot.own.items() if key.startswith("#")}
        for key, value in slot.own.items():
            family = key[1:] if key.startswith("#") else key.partition("\n")[0]
            if types.get(family) in _LASTING and (key in self.own or len(self.own) < _MAX_OWN):
                _add_own(self.own, key, value)
        slot.own = {}

    def answer(self, sockets: Iterable[socket.socket], slots: Iterable[Slot]) -> None:
        """Send the totals on *sockets*, and close them; a thread waits for each slow reader."""
        slots = list(slots)
        moment = time.monotonic()
        now = {
            slot.number: {**slot.now, "lag": max(slot.now["lag"], slot.silence(moment))}
            for slot in slots
            if slot.pid and slot.now
        }
        own = dict(self.own)
        for slot in slots:
            for key, value in slot.own.items():
                _add_own(own, key, value)
        told = json.dumps({
            "counts": self.counts, "restarts": self.restarts, "failed_starts": self.failed_starts,
            "states": Counter(slot.state for slot in slots), "now": now, "own": own,
        }).encode()  # fmt: skip
        for each in sockets:
            threading.Thread(target=_send, args=(each, told), daemon=True).start()


def _add_own(into: JsonObject, key: str, value: object) -> None:
    into[key] = value if key.startswith("#") else into.get(key, 0.0) + value


def _send(to: socket.socket, told: bytes) -> None:
    with to, suppress(OSError):
        to.settimeout(_SECONDS)
        to.sendall(told)


def add_counts(into: JsonObject, more: JsonObject) -> None:
    """Add each number of *more* to the one at the same place in *into*; copy those that *into* lacks.

    Numbers are in dicts of dicts, or in lists that have the same length in both.
    """
    for key, value in more.items():
        known = into.get(key)
        if known is None:
            into[key] = value
        elif is_dict(value):
            add_counts(known, value)
        elif is_list(value):
            into[key] = [one + other for one, other in zip(known, value, strict=True)]
        else:
            into[key] = known + value
