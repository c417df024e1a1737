"""The servers of one database, and the choice of a slave for a request's reads.

ServerSpec ─► Node          engine, pool, and the server's state (up, down or late)
DatabaseSpec ─► Cluster     the master's node and the slaves'; `choose()` picks a slave
"""

import logging
import random
from dataclasses import replace
from time import monotonic
from typing import Any

from sqlalchemy.engine import Engine

from torngas_aio.db.dbalchemy.engines import is_in_memory, make_engine, open_connection, watch_outage
from torngas_aio.db.dbalchemy.positions import Position
from torngas_aio.db.dbalchemy.specs import DatabaseSpec, ServerSpec

__all__ = ["Cluster", "Node"]

logger = logging.getLogger("torngas_aio.db")

RETRY_SECONDS = 2.0
"""Seconds for which a slave that is down is not used; then one request tries it again."""


class Node:
    """One server: its engine and its state.

    Attributes:
        engine: The engine; it opens connections on first use.
        weight: Share of the reads among the slaves.
        label: The server's name in messages.
        outage: The server's availability; None for SQLite and for unknown drivers.
        is_master: Whether it is configured as the master.
        position: Its replication position at the last sample of `LagWatch`; None if unknown.
        is_late: Whether it lags too much for reads.
    """

    __slots__ = (
        "_retry_at", "_spec", "engine", "is_late", "is_master", "label", "outage", "position", "sync_engine", "weight",
    )  # fmt: skip

    def __init__(self, name: str, spec: ServerSpec) -> None:
        self.label = f"{name!r}, {spec.label}"
        self.engine = make_engine(spec, self.label)
        self.sync_engine: Engine = self.engine.sync_engine
        self.outage = None if spec.is_sqlite else watch_outage(self.engine, spec, self.label)
        self.weight = spec.weight
        self.is_master = spec.role == "master"
        self.is_late = False
        self.position: Position | None = None
        self._retry_at = 0.0
        self._spec = spec

    @property
    def is_down(self) -> bool:
        """Whether it was unreachable at the last attempt."""
        return self._retry_at > 0

    def mark_down(self) -> None:
        """Do not use it for `RETRY_SECONDS`."""
        if not self.is_down:
            logger.warning("Database %s is out of reach; reads go elsewhere until it is back.", self.label)
        self._retry_at = monotonic() + RETRY_SECONDS

    def mark_up(self) -> None:
        """Use it again."""
        if self.is_down:
            logger.warning("Database %s is back.", self.label)
            self._retry_at = 0.0

    def mark_late(self, lag: float) -> None:
        """Change `is_late` to its opposite; log that, with *lag* in seconds."""
        self.is_late = not self.is_late
        if self.is_late:
            logger.warning("Database %s lags %.0f s: left out until it has caught up.", self.label, lag)
        else:
            logger.warning("Database %s has caught up: it is used again.", self.label)

    def open_connection(self) -> Any:
        """Return a new connection outside the pool, with our dialect; call it in one of SQLAlchemy's greenlets."""
        return open_connection(self.sync_engine, self._spec)

    def may_be_tried(self) -> bool:
        """Return whether a request may use it; while it is down, one request per `RETRY_SECONDS` may."""
        if not self._retry_at:
            return True
        now = monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + RETRY_SECONDS  # RACE: no await since the check, so only this caller retries
        return True


class Cluster:
    """A master and its slaves, within one event loop.

    An SQLite file without slaves serves as its own slave: reads run outside transactions, so they neither wait for a
    writer nor make a later write fail with "database is locked"; write transactions take the lock when they begin.
    """

    def __init__(self, spec: DatabaseSpec) -> None:
        self.name = spec.name
        self.master = Node(spec.name, spec.master)
        self.slaves = tuple(Node(spec.name, each) for each in spec.slaves or _own_reader(spec.master))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The master and the slaves, in this order."""
        return (self.master, *self.slaves)

    def choose(self) -> Node | None:
        """Return a slave for one request's reads, chosen by weight; None if no slave may be tried."""
        slaves = self.slaves
        if len(slaves) == 1:
            return slaves[0] if not slaves[0].is_late and slaves[0].may_be_tried() else None
        up = [slave for slave in slaves if not slave.is_down and not slave.is_late]
        tried = next((slave for slave in slaves if slave.is_down and slave.may_be_tried()), None)
        if tried is not None:
            return tried
        if not up:
            return None
        return random.choices(up, [slave.weight for slave in up])[0]  # noqa: S311  # a share, not a secret

    async def aclose(self) -> None:
        """Close every pooled connection; the cluster can be used again afterwards."""
        for node in self.nodes:
            if node.outage is not None:
                await node.outage.aclose()
            await node.engine.dispose()


def _own_reader(master: ServerSpec) -> tuple[ServerSpec, ...]:
    return (replace(master, role="slave"),) if master.is_sqlite and not is_in_memory(master.url) else ()
