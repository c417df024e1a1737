"""Whether one server answers, and a master takes writes: found by a probe, which goes on until the server is back.

    a statement, or opening a connection,
    has waited for SUSPECT_SECONDS ──► probe ── no answer within PROBE_SECONDS ──► is_down: callers are refused at once
    a write was refused ─────────────►   │  ▲─ takes no writes ──────────────────► is_read_only: writes are 503
                                         │  │                                        │
                     answers, or refuses ┘  └──────────── again every PROBE_SECONDS ─┘

A probe is a connection of its own, for which the host's name is resolved again. A server that refuses connections at
once is only told in the log: each caller hears of that by itself, and of the server's return, too. Callers wait
for a probe after a refused write only, which they must tell from a fault of their own: 1290 also comes from INTO
OUTFILE, 25006 from a transaction that was begun as READ ONLY.
"""

import asyncio
import enum
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

from torngas_aio._cleanup import close_safely
from torngas_aio._concurrency import BackgroundTask
from torngas_aio.db._connections import codes_of
from torngas_aio.exception import DatabaseUnavailable

__all__ = [
    "MYSQL_QUESTION",
    "PROBE_SECONDS",
    "SUSPECT_SECONDS",
    "Outage",
    "is_refusal",
    "mysql_takes_writes",
    "postgres_takes_writes",
]

logger = logging.getLogger("torngas_aio.db")

SUSPECT_SECONDS = 0.4
"""How long a statement, or opening a connection, may take before the server is probed beside it."""

PROBE_SECONDS = 0.4
"""How long one probe may take; also the pause between two probes of a server that is down."""


class _State(enum.Enum):
    """A server's, and what the log says when it has come to it."""

    UP = "is back."
    DOWN = f"is down: no answer within {PROBE_SECONDS:g} s."
    REFUSED = "is down: it refuses connections, or its host cannot be reached."
    READ_ONLY = "is now read-only: writes are answered 503 until it, or the server that takes its name, takes them."


_OUT_OF_REACH = {_State.DOWN, _State.REFUSED}


class Outage:
    """The state of one server, within one loop.

    Args:
        label: The server, for messages.
        probe: Opens a connection of its own and closes it; returns whether the server takes the writes that it is
            there for; raises, or is cancelled after `PROBE_SECONDS`.
        drop: Closes the pool's idle connections.

    Attributes:
        stale_before: Connections that were opened before, by the monotonic clock, are replaced: there was an outage, or
            another server has the name now.
    """

    def __init__(
        self, label: str, probe: Callable[[], Awaitable[bool]], drop: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self.label = label
        self.stale_before = 0.0
        self._state = _State.UP
        self._began_at = 0.0
        self._probe = probe
        self._drop = drop
        self._probing = BackgroundTask(f"probe of {label}")
        self._asked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, float] = {}
        self._connecting: set[asyncio.Timeout] = set()
        self._trusted_until = 0.0

    @property
    def is_down(self) -> bool:
        """Whether the last probe had no answer."""
        return self._state is _State.DOWN

    @property
    def is_read_only(self) -> bool:
        """Whether this is a master that took no writes when it was last asked."""
        return self._state is _State.READ_ONLY

    def check(self) -> None:
        """Do nothing while the server is up.

        Raises:
            DatabaseUnavailable: It is down.
        """
        if self.is_down:
            seconds = monotonic() - self._began_at
            raise DatabaseUnavailable(
                f"{self.label} is down: it has not answered for {seconds:.1f} s. It is tried again by itself. "
                "Is the server running and in reach?"
            )

    async def watched(self, connecting: Awaitable[object]) -> object:
        """Await *connecting*, which opens a connection; one that takes long has the server probed meanwhile.

        Raises:
            DatabaseUnavailable: The server was found to be down; nothing was asked of it yet.
            Exception: What *connecting* raises.
        """
        number = self.begin()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._connecting.add(limit)
                try:
                    return await connecting
                finally:
                    self._connecting.discard(limit)
        except TimeoutError:
            if limit.expired():
                self.check()
            raise
        except Exception as exc:
            if _is_refusal(exc):
                self.suspect()
            raise
        finally:
            self.end(number)

    def begin(self) -> int:
        """Note that an exchange with the server begins; return its number, for `end`. Takes less than 1 us."""
        number = next(self._numbers)
        self._waiting[number] = monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SUSPECT_SECONDS / 2, self._look)
        return number

    def end(self, number: int) -> None:
        """Note that an exchange has ended, in whatever way."""
        self._waiting.pop(number, None)

    def suspect(self) -> None:
        """Have the server probed now; nothing happens while a probe is under way."""
        if not self._probing.is_running:
            self._asked = asyncio.Event()
            self._probing.start(self._run)

    async def refuses_writes(self, own: Callable[[], Awaitable[bool]]) -> bool:
        """Return whether a write was refused because the master is lost, rather than by a fault of the statement.

        A new connection is asked; those who come meanwhile wait for the same answer.

        Args:
            own: Asks the server of the connection on which the write was refused, which may be another one.
        """
        if not self.is_read_only:
            self.suspect()
            await self._asked.wait()
        if self._state is not _State.UP:
            return True
        with suppress(Exception):  # it is lost, too
            if await own():
                return False
        logger.warning("%s is now another server: connections to the one before are replaced.", self.label)
        await self._replace_connections()
        return True

    def unavailable(self) -> DatabaseUnavailable:
        """Return what to raise for a write that was refused because the master is lost."""
        return DatabaseUnavailable(
            f"{self.label} is read-only; nothing was written. It is asked again by itself, and so is the server that "
            "its name then stands for: writes go on with the first that takes them."
        )

    async def aclose(self) -> None:
        """End the probing. Twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._probing.aclose()
        self._state = _State.UP

    def _look(self) -> None:
        """Suspect the server if the exchange that began first has waited for long."""
        self._timer = None
        started = next(iter(self._waiting.values()), None)
        if started is None:
            return
        self._timer = asyncio.get_running_loop().call_later(SUSPECT_SECONDS / 2, self._look)
        now = monotonic()
        if now - started >= SUSPECT_SECONDS and now >= self._trusted_until:
            self._trusted_until = now + now - started  # a statement that works for long is asked about ever more rarely
            self.suspect()

    async def _run(self) -> None:
        try:
            while True:
                await self._enter(await self._asked_state())
                self._asked.set()
                if self._state is _State.UP:
                    return
                await asyncio.sleep(PROBE_SECONDS)
        finally:
            self._asked.set()

    async def _asked_state(self) -> _State:
        limit = asyncio.timeout(PROBE_SECONDS)
        try:
            async with limit:
                return _State.UP if await self._probe() else _State.READ_ONLY
        except Exception as exc:  # noqa: BLE001  # callers hear of it by themselves
            if limit.expired():
                return _State.DOWN
            if _is_refusal(exc) and not self.is_read_only:
                return _State.REFUSED
        return _State.READ_ONLY if self.is_read_only else _State.UP  # a master is back when it takes writes

    async def _enter(self, state: _State) -> None:
        before, self._state = self._state, state
        if state is before:
            return
        if not {before, state} <= _OUT_OF_REACH:  # down one way or the other is told once
            logger.warning("%s %s", self.label, state.value)
        if _State.READ_ONLY in {before, state}:
            await self._replace_connections()
        elif state is _State.DOWN:
            self._began_at = self.stale_before = monotonic()
            connecting, self._connecting = self._connecting, set()
            for limit in connecting:
                limit.reschedule(asyncio.get_running_loop().time())

    async def _replace_connections(self) -> None:
        self.stale_before = monotonic()
        if self._drop is not None:
            await close_safely(self.label, self._drop)


def _is_refusal(error: Exception) -> bool:
    """Whether nothing listens at the server's address, as opposed to a server that turned the client away."""
    return any(isinstance(each, OSError) for each in (error, error.__cause__, error.__context__))


_REFUSALS = frozenset({1290, 1836, "25006"})

MYSQL_QUESTION = "SELECT @@global.read_only, @@global.innodb_read_only"
"""Its row is for `mysql_takes_writes`."""

_POSTGRES_QUESTION = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"


def is_refusal(error: BaseException | None) -> bool:
    """Whether *error* may mean that the server takes no writes."""
    return error is not None and any(code in _REFUSALS for code in codes_of(error))


def mysql_takes_writes(row: Iterable[object]) -> bool:
    """Whether the row of `MYSQL_QUESTION` is that of a server which takes writes."""
    return all(str(value).upper() in {"0", "OFF"} for value in row)  # MariaDB 12: OFF, ON, NO_LOCK


async def postgres_takes_writes(connection: Any) -> bool:
    """Ask the server of an asyncpg *connection*.

    In a transaction, which a refused statement has broken off, nothing can be asked: then the answer is what the server
    has reported of itself, which before PostgreSQL 14 is nothing: True.
    """
    if connection.is_in_transaction():
        return bool(getattr(connection.get_settings(), "in_hot_standby", "off") != "on")
    return not await connection.fetchval(_POSTGRES_QUESTION)
