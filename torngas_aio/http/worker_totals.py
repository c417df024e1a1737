"""What all workers of a server have counted, ended ones included, and what each says about this moment.

    worker ── each second: what it has counted since ──► parent: WorkerTotals.counts, and Slot.now
    worker ── a socket ────────────────────────────────► parent: the totals, as one JSON object; then it closes

Begin with `WorkerTotals`.
"""

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from torngas_aio.http.worker_slot import Slot

__all__ = ["WorkerTotals", "add_counts"]

_SECONDS = 2.0
"""How long a worker that has asked may take to read the answer."""


class WorkerTotals:
    """The sums over the workers of one parent, since it has started.

    Attributes:
        counts: As `torngas_aio.operations.counts` describes them.
        restarts: How many workers have taken the place of another one, by why: died or renewed.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {}
        self.restarts: Counter[str] = Counter()

    def add(self, counts: dict[str, Any]) -> None:
        """Add what a worker has counted since the last time."""
        add_counts(self.counts, counts)

    def answer(self, sockets: Iterable[socket.socket], slots: Iterable[Slot]) -> None:
        """Send the totals on *sockets*, and close them; a thread waits for workers that read slowly."""
        now = {slot.number: slot.now for slot in slots if slot.pid and slot.now}
        told = json.dumps({"counts": self.counts, "restarts": self.restarts, "now": now}).encode()
        for each in sockets:
            threading.Thread(target=_send, args=(each, told), daemon=True).start()


def _send(to: socket.socket, told: bytes) -> None:
    with to, suppress(OSError):
        to.settimeout(_SECONDS)
        to.sendall(told)


def add_counts(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Add each number of *more* to the one in its place in *into*; what *into* lacks is taken as it is.

    Numbers stand in dicts of dicts, or in lists that have the same length in both.
    """
    for key, value in more.items():
        known = into.get(key)
        if known is None:
            into[key] = value
        elif isinstance(value, dict):
            add_counts(known, value)
        elif isinstance(value, list):
            into[key] = [one + other for one, other in zip(known, value, strict=True)]
        else:
            into[key] = known + value
